"""The clients' table says what differed: no result is the same as another by accident."""

from typing import Any

import pytest

from tests.e2e.clients.bystander import Aftermath
from tests.e2e.clients.matrix import ROWS, Comparison, Run
from tests.e2e.clients.scenario import STEPS
from tests.e2e.clients.table import BEGIN, END, table, with_table, written_table

ENDED = Aftermath(browser_lives=False)
UNHARMED = Aftermath(True, True, ("/page/left",))
HARMED = Aftermath(True, False, ())
CONNECT = STEPS[0]


def compared(direct: dict[str, Any], relay: dict[str, Any], after: Aftermath = UNHARMED) -> Comparison:
    """A row whose first step gave these outcomes and whose others gave nothing in particular."""
    others: dict[str, dict[str, Any]] = {step.name: {"gives": {}} for step in STEPS}
    return Comparison(
        ROWS[0], Run("1.0", others | {"connect": direct}, ENDED), Run("1.0", others | {"connect": relay}, after)
    )


@pytest.mark.parametrize(
    ("direct", "relay", "verdict"),
    [
        ({"gives": {"version": "1"}}, {"gives": {"version": "1"}}, "same"),
        ({"gives": {"version": "1"}}, {"gives": {"version": "2"}}, "worse"),
        ({"gives": {"version": "1"}}, {"cannot": "E: x"}, "worse"),
        ({"cannot": "E: x"}, {"cannot": "E: y"}, "cannot"),
        ({"cannot": "E: x"}, {"gives": {"version": "1"}}, "better"),
    ],
)
def test_the_relay_is_the_same_or_better_or_worse(direct: dict[str, Any], relay: dict[str, Any], verdict: str) -> None:
    assert compared(direct, relay).verdict(CONNECT) == verdict


def test_a_step_that_chrome_itself_cannot_do_either_has_a_note_with_the_reason() -> None:
    both = compared({"cannot": "E: no words"}, {"cannot": "E: no words"})
    lines = table([both, both]).splitlines()
    assert [line.count("no (1)") for line in lines[2:4]] == [1, 1]
    assert lines[5:] == ["1. Playwright (Python), connect: cannot against Chrome itself: E: no words"]


def test_what_a_close_left_behind_is_said_for_both() -> None:
    fine: dict[str, Any] = {"gives": {}}
    row = table([compared(fine, fine, HARMED)]).splitlines()[2]
    assert row.endswith("| browser ended | browser lives, its page closed, others harmed |")


def test_a_table_is_written_between_its_marks_and_nowhere_else() -> None:
    page = with_table(f"before\n{BEGIN}old\n{END}after\n", "fresh\n")
    assert page == f"before\n{BEGIN}fresh\n{END}after\n"
    assert written_table(page) == "fresh\n"
    with pytest.raises(ValueError, match="no place for a table"):
        with_table("no marks", "fresh\n")
