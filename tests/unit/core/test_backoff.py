"""Delays between attempts grow, are jittered in full and capped."""

import pytest

from browsergo.core.backoff import Backoff


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    backoff = Backoff(first_s=0.5, cap_s=3.0)
    assert [backoff.next_delay_s(1.0) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_the_delay_is_anywhere_below_the_ceiling(chance: float) -> None:
    backoff = Backoff(first_s=2.0, cap_s=30.0)
    assert backoff.next_delay_s(chance) == 2.0 * chance
    assert backoff.next_delay_s(chance) == 4.0 * chance


def test_success_starts_over() -> None:
    backoff = Backoff(first_s=1.0, cap_s=30.0)
    for _ in range(4):
        backoff.next_delay_s(1.0)
    backoff.reset()
    assert backoff.next_delay_s(1.0) == 1.0


def test_a_thousand_failures_are_no_overflow() -> None:
    backoff = Backoff(first_s=1.0, cap_s=30.0)
    assert {backoff.next_delay_s(1.0) for _ in range(2000)} == {1.0, 2.0, 4.0, 8.0, 16.0, 30.0}
