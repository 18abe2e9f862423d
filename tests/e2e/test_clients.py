"""Every CDP client, unmodified: what it gives against Chrome itself it gives through the relay."""

import pytest

from tests.e2e.clients.matrix import ROWS, Comparison, Matrix, Relay, Row, browser_version, expected
from tests.e2e.clients.scenario import STEPS
from tests.fakes.site import Site
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome


@pytest.fixture(scope="module")
def matrix(relay: Stack, forwarded: tuple[str, int], site: Site) -> Matrix:
    return Matrix(Relay(relay, forwarded), site.url)


@pytest.fixture(params=ROWS, ids=lambda row: row.words)
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
