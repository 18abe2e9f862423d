"""Unmodified Puppeteer 24 through the relay does what it does against Chrome directly."""

from typing import Any

import pytest

from tests.e2e.chrome import DirectChrome
from tests.e2e.node_program import run_node
from tests.fakes.site import RESOURCE_PATHS, TALL_HEIGHT_PX, TALL_WIDTH_PX, Site
from tests.fakes.stack import Stack

SCENARIO = "puppeteer_scenario.mjs"


@pytest.fixture(scope="module")
def direct(direct_chrome: DirectChrome, site: Site) -> dict[str, Any]:
    """What the scenario gives without a relay."""
    return run_node(SCENARIO, direct_chrome.client_ws, site.url)


@pytest.mark.slow
@pytest.mark.chrome
def test_the_scenario_does_what_it_says(direct: dict[str, Any]) -> None:
    assert direct["form"]["after"] == "Hello, Ada Lovelace!"
    assert [value["square"] for value in direct["evaluates"]] == [n * n for n in range(200)]
    assert direct["screenshot"]["bytes"] > 3_000_000
    assert direct["screenshot"]["px"] == [TALL_WIDTH_PX, TALL_HEIGHT_PX]
    assert direct["screenshot"]["valid"]
    assert direct["pdf"] == {"whole": True, "pages": 1, "some": True}
    assert {line.split(",")[0] for line in direct["network"]["seen"]} == {"/resources", *RESOURCE_PATHS}
    assert direct["tabs"]["kept"] == [0, 1, 2]
    assert not direct["connectedAfterClose"]


@pytest.mark.slow
@pytest.mark.chrome
def test_puppeteer_by_ws_url_gives_the_same_results_as_direct(relay: Stack, direct: dict[str, Any], site: Site) -> None:
    assert run_node(SCENARIO, relay.urls.client_ws, site.url) == direct
