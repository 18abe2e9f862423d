"""Unmodified Playwright through the relay does what it does against Chrome directly."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chrome import DirectChrome
from tests.fakes.site import RESOURCE_PATHS, TALL_HEIGHT_PX, TALL_WIDTH_PX, Site
from tests.fakes.stack import ROOT, Stack

SCENARIO = Path(__file__).with_name("playwright_scenario.py")
TIMEOUT_S = 90


def run_scenario(url: str, site: Site) -> dict[str, Any]:
    """The scenario's results over the browser endpoint (or http address) `url`."""
    run = subprocess.run(
        [sys.executable, str(SCENARIO), url, site.url],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    results: dict[str, Any] = json.loads(run.stdout)
    return results


@pytest.fixture(scope="module")
def direct(direct_chrome: DirectChrome, site: Site) -> dict[str, Any]:
    """What the scenario gives without a relay."""
    return run_scenario(direct_chrome.client_ws, site)


@pytest.mark.slow
@pytest.mark.chrome
def test_the_scenario_does_what_it_says(direct: dict[str, Any]) -> None:
    assert direct["form"]["before"] == "nobody yet"
    assert direct["form"]["after"] == "Hello, Ada Lovelace ✓!"
    assert [value["square"] for value in direct["evaluates"]] == [n * n for n in range(200)]
    assert direct["screenshot"]["bytes"] > 3_000_000
    assert direct["screenshot"]["px"] == [TALL_WIDTH_PX, TALL_HEIGHT_PX]
    assert direct["screenshot"]["valid"]
    assert direct["pdf"] == {"whole": True, "pages": 1, "some": True}
    assert {path for path, _, _ in direct["network"]["seen"]} == {"/resources", *RESOURCE_PATHS}
    assert {path: status for path, status, _ in direct["network"]["seen"]}["/missing.png"] == 404
    assert direct["tabs"]["kept"] == [0, 1, 2]
    assert not direct["connected_after_close"]


@pytest.mark.slow
@pytest.mark.chrome
def test_playwright_by_ws_url_gives_the_same_results_as_direct(
    relay: Stack, direct: dict[str, Any], site: Site
) -> None:
    assert run_scenario(relay.urls.client_ws, site) == direct


@pytest.mark.slow
@pytest.mark.chrome
def test_playwright_by_http_url_gives_the_same_results_as_direct(
    relay: Stack, direct: dict[str, Any], site: Site
) -> None:
    assert run_scenario(relay.urls.client_http, site) == direct
