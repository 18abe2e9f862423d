"""`browsergo forward`: one device at the root of a loopback port, for clients that know only host and port."""

import json
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chrome import DirectChrome
from tests.e2e.node_program import run_node
from tests.e2e.raw_cdp import RawClient
from tests.e2e.raw_http import exchange, upgrade_request
from tests.e2e.test_discovery import get
from tests.fakes.site import Site
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome
ROOT = Path(__file__).parents[2]
Address = tuple[str, int]


def document(at: Address, path: str, method: str = "GET") -> Any:
    answer = get(at, path, method=method)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def test_urls_lead_back_to_the_forwarder_and_carry_no_ticket(forwarded: Address) -> None:
    url = document(forwarded, "/json/version")["webSocketDebuggerUrl"]
    assert url.startswith(f"ws://127.0.0.1:{forwarded[1]}/devtools/browser/")
    assert "ticket" not in url
    with RawClient(url) as client:
        assert client.call("Browser.getVersion")["product"].startswith("Chrome/")


def test_a_page_is_opened_driven_and_closed_at_the_root(forwarded: Address) -> None:
    page = document(forwarded, "/json/new?about:blank%23forward", "PUT")
    assert page["url"] == "about:blank#forward"
    assert page["id"] in {entry["id"] for entry in document(forwarded, "/json/list")}
    with RawClient(page["webSocketDebuggerUrl"]) as client:
        assert client.call("Target.getTargetInfo")["targetInfo"]["targetId"] == page["id"]
    assert get(forwarded, f"/json/close/{page['id']}").body == "Target is closing"


@pytest.mark.slow  # a quick row of test_clients.py goes this way too
def test_puppeteer_by_browser_url_gives_the_same_results_as_direct(
    forwarded: Address, direct_chrome: DirectChrome, site: Site
) -> None:
    scenario = "puppeteer_scenario.mjs"
    through = run_node(scenario, f"http://127.0.0.1:{forwarded[1]}", site.url)
    assert through == run_node(scenario, direct_chrome.client_ws, site.url)


def test_a_large_answer_passes_and_is_whole(forwarded: Address) -> None:
    with RawClient(document(forwarded, "/json/version")["webSocketDebuggerUrl"]) as client:
        target = client.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = client.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        assert client.evaluate("'x'.repeat(16 << 20)", session) == "x" * (16 << 20)
        client.call("Target.closeTarget", {"targetId": target})


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_page_elsewhere_cannot_use_it(forwarded: Address, header: dict[str, str], status: int) -> None:
    path = "/devtools/browser"
    assert exchange(forwarded, upgrade_request(forwarded, path, header)).status == status
    connection = HTTPConnection(*forwarded, timeout=10)
    connection.request("GET", "/json/list", headers=header)
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/v2/control", 404), ("/json/nothing", 404)])
def test_only_chromes_paths_are_served(forwarded: Address, path: str, status: int) -> None:
    assert get(forwarded, path).status == status


def test_what_is_not_http_is_refused(forwarded: Address) -> None:
    assert exchange(forwarded, b"nonsense\r\n\r\n").status == 400


def test_a_port_that_is_taken_is_one_clear_line(relay: Stack, forwarded: Address) -> None:
    argv = [sys.executable, "-m", "browsergo.cli.main", "forward", "--port", str(forwarded[1]), "--data-dir"]
    ended = subprocess.run(
        [*argv, str(relay.data_dir)], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "choose another with --port" in ended.stderr
