"""An agent beside a browser that runs elsewhere: on another host, not there yet, gone and back."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.e2e import faults
from tests.e2e.chrome import DirectChrome
from tests.e2e.raw_cdp import RawClient
from tests.e2e.raw_http import Address, Answer
from tests.e2e.test_discovery import get
from tests.e2e.test_playwright import run_scenario
from tests.fakes.browser import FakeBrowser
from tests.fakes.hosts import Host, may_make_hosts, two_hosts
from tests.fakes.parts import Parts
from tests.fakes.site import Site
from tests.fakes.stack import Stack, free_port
from tests.fakes.tcp_proxy import TcpProxy

NAME = "chrome"
PORT = 9222
GONE = 4001
QUICK = {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.2"}
SILENCE_KNOWN_S = 90.0  # 30 s, three probes 10 s apart, and what a loaded machine adds
KNOWN_S = 3.0  # within which clients know that a browser is gone; nothing is waited out

other_host = pytest.mark.skipif(not may_make_hosts(), reason="network namespaces are made by root")


class Elsewhere(NamedTuple):
    """A relay on one host, and a Chromium and a site on another, which is reached as http://chrome:9222."""

    relay_host: Host
    chrome_host: Host
    stack: Stack
    chrome: DirectChrome
    site: Site

    def get(self, path: str) -> Answer:
        """Ask the edge, with a client's token."""
        token = self.stack.urls.tokens["client"]
        return self.relay_host.call(lambda: get(self.stack.address, path, token))

    def evaluate(self, url: str, expression: str) -> Any:
        """The value of an expression at a page endpoint."""

        def evaluate() -> Any:
            with RawClient(url) as client:
                return client.evaluate(expression, "")

        return self.relay_host.call(evaluate)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """`browsergo up --cdp http://chrome:9222`. Chromium listens on the loopback of its own host only."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with ExitStack() as opened:
        relay_host, chrome_host = opened.enter_context(two_hosts(folder, ("relay", NAME)))
        site = opened.enter_context(chrome_host.running(Site))
        chrome = opened.enter_context(chrome_host.running(DirectChrome))
        host, _, port = chrome.address.partition(":")
        listen = (chrome_host.address, PORT)
        _ = opened.enter_context(chrome_host.running(lambda: TcpProxy((host, int(port)), listen)))
        flags = ("--cdp", f"http://{NAME}:{PORT}")
        stack = opened.enter_context(relay_host.running(lambda: Stack(folder, flags=flags)))
        yield Elsewhere(relay_host, chrome_host, stack, chrome, site)


@other_host
@pytest.mark.chrome
def test_chrome_refuses_to_be_asked_by_name(elsewhere: Elsewhere) -> None:
    def ask(address: Address) -> int:
        return elsewhere.relay_host.call(lambda: get(address, "/json/version").status)

    assert ask((NAME, PORT)) == 500, "what the agent has to avoid"
    assert ask((elsewhere.chrome_host.address, PORT)) == 200


@other_host
@pytest.mark.chrome
def test_the_two_hosts_share_no_loopback(elsewhere: Elsewhere) -> None:
    site = urlsplit(elsewhere.site.url)

    def ask_site() -> int:
        return get((str(site.hostname), int(site.port or 0)), "/").status

    assert elsewhere.chrome_host.call(ask_site) == 200
    with pytest.raises(ConnectionRefusedError):
        elsewhere.relay_host.call(ask_site)


@other_host
@pytest.mark.chrome
@pytest.mark.slow
def test_playwright_drives_a_chrome_on_another_host_as_if_it_were_beside_it(elsewhere: Elsewhere) -> None:
    beside = elsewhere.chrome_host.call(lambda: run_scenario(elsewhere.chrome.client_ws, elsewhere.site))
    # By http, so that the URL which discovery hands out is the one that is driven.
    through = elsewhere.relay_host.call(lambda: run_scenario(elsewhere.stack.urls.client_http, elsewhere.site))
    assert through == beside


@other_host
@pytest.mark.chrome
def test_discovery_leads_through_the_edge_and_not_to_where_chrome_thinks_it_is(elsewhere: Elsewhere) -> None:
    version = json.loads(elsewhere.get("/v2/cdp/local/json/version").body)
    pages = json.loads(elsewhere.get("/v2/cdp/local/json/list").body)
    assert "Chrome/" in version["Browser"]
    assert pages
    for document in (version, *pages):
        parts = urlsplit(document["webSocketDebuggerUrl"])
        assert (parts.hostname, parts.port) == elsewhere.stack.address
        assert parts.path.startswith("/v2/cdp/local/devtools/")
    said = json.dumps([version, pages])
    for foreign in (f"{NAME}:{PORT}", elsewhere.chrome_host.address, "localhost", elsewhere.chrome.address):
        assert foreign not in said
    page = next(page for page in pages if page["type"] == "page")
    assert elsewhere.evaluate(page["webSocketDebuggerUrl"], "6 * 7") == 42


@other_host
@pytest.mark.chrome
@pytest.mark.slow
def test_a_silent_cut_is_noticed_clients_are_told_and_the_device_comes_back(elsewhere: Elsewhere) -> None:
    with elsewhere.relay_host.running(lambda: RawClient(elsewhere.stack.urls.client_ws)) as client:
        session = client.open_page()
        with elsewhere.chrome_host.unplugged():
            began_s = time.monotonic()
            client.send(100, "Runtime.evaluate", {"expression": "6 * 7"}, session)
            answer, detached = client.receive_rest(SILENCE_KNOWN_S)
            print(f"a silent cut is known after {time.monotonic() - began_s:.0f} s")
            assert answer["id"] == 100
            assert "executed=unknown" in answer["error"]["data"]
            assert detached["params"]["sessionId"] == session
            assert client.socket.close_code == GONE
    faults.until(lambda: elsewhere.get("/v2/cdp/local/json/version").status == 200, "the device is back")
    page = json.loads(elsewhere.get("/v2/cdp/local/json/list").body)[0]
    assert elsewhere.evaluate(page["webSocketDebuggerUrl"], "6 * 7") == 42


# --- a browser that comes and goes -------------------------------------------------------------------------


def start_services(parts: Parts) -> None:
    """Everything but agents, with two edges."""
    parts.registry()
    parts.router()
    parts.control()
    for edge_id in ("edge-1", "edge-2"):
        parts.edge(edge_id)


def status(parts: Parts) -> int:
    """What a client is answered that asks for the laptop's browser."""
    url = urlsplit(parts.client_ws("edge-1", "laptop"))
    connection = HTTPConnection(str(url.hostname), url.port, timeout=15)
    try:
        connection.request("GET", f"{url.path}/json/version?{url.query}")
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_browser_that_is_not_there_yet_is_a_device_when_it_appears(tmp_path: Path) -> None:
    port = free_port()
    with Parts(tmp_path, QUICK) as parts:
        start_services(parts)
        agent = parts.start_agent("laptop", [parts.edge_url("edge-2")], f"http://localhost:{port}")
        faults.until(lambda: agent.text.count("browser unavailable") >= 2, "it tries again")
        assert status(parts) == 404, "a device without a browser is none"
        with FakeBrowser(port=port) as browser:
            parts.wait_for_device("edge-1", "laptop")
            with RawClient(parts.client_ws("edge-1", "laptop")) as client:
                client.call("Fake.count", {"key": "late"})
            assert browser.executions == {"late": 1}
            assert agent.end() == 0


def test_a_browser_that_goes_and_comes_back_is_another_boot_and_clients_are_told(tmp_path: Path) -> None:
    port = free_port()
    with Parts(tmp_path, QUICK) as parts, ExitStack() as clients:
        start_services(parts)
        with FakeBrowser(product="First/1", port=port) as first:
            agent = parts.agent("laptop", ["edge-2"], first.url)
            busy = clients.enter_context(RawClient(parts.client_ws("edge-1", "laptop")))
            idle = clients.enter_context(RawClient(parts.client_ws("edge-2", "laptop")))
            assert idle.call("Browser.getVersion")["product"] == "First/1"
            busy.send(50, "Fake.never", {"key": "hangs"})
            busy.call("Fake.count", {"key": "runs"})
        began_s = time.monotonic()
        [answer] = busy.receive_rest()
        assert answer["id"] == 50
        assert "executed=unknown" in answer["error"]["data"]
        assert idle.receive_rest() == []
        for client in (busy, idle):
            assert client.socket.close_code == GONE, client.socket.close_reason
            assert client.socket.close_reason
        assert time.monotonic() - began_s < KNOWN_S
        faults.until(lambda: status(parts) == 503, "known, and away")
        assert first.executions == {"hangs": 1, "runs": 1}
        with FakeBrowser(product="Second/2", port=port) as second:
            parts.wait_for_device("edge-1", "laptop")
            with RawClient(parts.client_ws("edge-1", "laptop")) as client:
                assert client.call("Browser.getVersion")["product"] == "Second/2"
            assert second.executions == {}, "nothing is executed again"
            assert agent.end() == 0
        boots = [line for line in agent.log if '"event": "registered"' in line]
        assert len(boots) == 2
