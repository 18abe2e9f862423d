"""Every CDP client, unmodified: what it gives against Chrome itself it gives through the relay."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chrome import DirectChrome
from tests.e2e.clients.matrix import (
    ROWS,
    Comparison,
    Matrix,
    Relay,
    Row,
    Where,
    browser_version,
    expected,
    printed_by,
    run_program,
)
from tests.e2e.clients.scenario import STEPS
from tests.e2e.clients.table import PAGE, table, written_table
from tests.e2e.raw_cdp import RawClient
from tests.fakes.site import Site
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome


@pytest.fixture(scope="module")
def matrix(relay: Stack, forwarded: tuple[str, int], site: Site) -> Matrix:
    return Matrix(Relay(relay, forwarded), site.url)


QUICK = {"Playwright (Python)", "Puppeteer 24", "Puppeteer 25", "chrome-remote-interface", "pychrome", "Selenium"}


def rows() -> list[Any]:
    """Every row; the quick run has one of each of these clients."""
    quick = {row.client.name: row for row in reversed(ROWS) if row.client.name in QUICK}
    return [
        pytest.param(row, id=row.words, marks=() if quick.get(row.client.name) is row else pytest.mark.slow)
        for row in ROWS
    ]


@pytest.fixture(params=rows())
def comparison(request: pytest.FixtureRequest, matrix: Matrix) -> Comparison:
    row: Row = request.param
    return matrix.comparison(row)


def test_a_client_gives_through_the_relay_what_it_gives_against_chrome_itself(
    comparison: Comparison, relay: Stack
) -> None:
    verdicts = {step.name: comparison.verdict(step) for step in STEPS}
    assert "worse" not in verdicts.values(), comparison
    version = browser_version(relay.urls.client_ws)
    for step in STEPS:
        gives = comparison.relay.steps[step.name].get("gives")
        assert gives is None or gives | expected(step, version) == gives


def test_after_a_client_closed_the_browser_lives_and_others_are_as_unharmed_as_at_chrome_itself(
    comparison: Comparison,
) -> None:
    direct, through = comparison.direct.aftermath, comparison.relay.aftermath
    assert through.browser_lives
    if comparison.row.client.by_chance:
        assert len(through.pages_left or ()) == len(direct.pages_left or ())
    elif direct.browser_lives:
        assert through == direct
    else:
        assert through.bystander_kept


@pytest.mark.slow
@pytest.mark.timeout(600)  # alone it runs every row
def test_the_table_of_the_documentation_is_what_this_run_gives(matrix: Matrix) -> None:
    fresh = table([matrix.comparison(row) for row in ROWS])
    print(fresh)
    assert written_table(PAGE.read_text()) == fresh, "python -m tests.e2e.clients.table --write"


@pytest.mark.parametrize("name", ["Puppeteer 24", "pychrome", "nodriver"])
def test_a_client_that_drops_path_or_query_cannot_take_the_http_url(name: str, relay: Stack, site: Site) -> None:
    """What docs/clients/README.md sends through `browsergo forward` needs it."""
    client = next(row.client for row in ROWS if row.client.name == name)
    where = Where(relay.urls.client_http, {}, relay.urls.client_ws)
    assert list(printed_by(client.argv(), where, site.url, STEPS[:1])["steps"]["connect"]) == ["cannot"]


@pytest.mark.parametrize("through", ["direct", "relay"])
def test_selenium_that_connects_for_bidi_sends_one_of_the_pages_that_are_there_to_about_blank(
    through: str, direct_chrome: DirectChrome, relay: Stack, forwarded: tuple[str, int], site: Site
) -> None:
    where = Relay(relay, forwarded).forwarded()
    if through == "direct":
        where = Where(f"http://{direct_chrome.address}", {}, direct_chrome.client_ws)
    with RawClient(where.observed) as client:
        own = [client.open_page() for _ in range(2)]
        pages = [info["targetId"] for info in client.call("Target.getTargets")["targetInfos"] if info["type"] == "page"]
        attached = [client.call("Target.attachToTarget", {"targetId": page, "flatten": True}) for page in pages]
        sessions = [answer["sessionId"] for answer in attached]
        for session in sessions:
            client.evaluate("window.mine = 'still mine'", session)
        connect_and_close = [step for step in STEPS if step.name in {"connect", "close"}]
        bidi = next(row.client for row in ROWS if row.client.by_chance)
        printed = printed_by(bidi.argv(), where, site.url, connect_and_close)
        assert [step for step, outcome in printed["steps"].items() if "cannot" in outcome] == []
        assert [client.evaluate("window.mine", session) for session in sessions].count(None) == 1
        for session in own:
            client.call("Page.close", session=session)


@pytest.mark.slow
def test_pychrome_takes_the_devices_own_path_where_no_token_is_asked_for(tmp_path: Path, site: Site) -> None:
    with Stack(tmp_path, flags=("--insecure-no-auth",)) as stack:
        where = Where(stack.urls.client_http, {}, stack.urls.client_ws)
        pychrome = next(row.client for row in ROWS if row.client.name == "pychrome")
        run = run_program(pychrome.argv(), where, site.url)
        version = browser_version(stack.urls.client_ws)
    for step in STEPS:
        assert run.steps[step.name]["gives"] | expected(step, version) == run.steps[step.name]["gives"]
