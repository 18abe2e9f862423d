"""What hostile clients send comes out as it does with Chrome, or as written down, and touches nobody else."""

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.e2e import faults, hostile_messages
from tests.e2e.chrome import DirectChrome
from tests.e2e.hostile_client import observe
from tests.e2e.hostile_messages import GOOD, HALF, MARK, OTHER_HALF, Hostile, wire
from tests.e2e.raw_cdp import RawClient
from tests.e2e.raw_control import RawOperator
from tests.e2e.steady_client import SteadyClient, evaluating
from tests.fakes.processes import ProcessId
from tests.fakes.raw_peer import CONTINUATION, TEXT, Raw
from tests.fakes.stack import ROOT, Stack

pytestmark = pytest.mark.chrome

PACE_S = 0.01
AT_ONCE = 8
PAGE = ROOT / "docs" / "protocol" / "hostile-clients.md"
IDS = [hostile.sent.replace("`", "") for hostile in hostile_messages.ALL]


class Attacked(NamedTuple):
    """A relay, who lived in it at first, and a client that minds its own business all the while."""

    stack: Stack
    processes: dict[ProcessId, str]
    bystander: SteadyClient


@pytest.fixture(scope="module")
def attacked(relay: Stack) -> Iterator[Attacked]:
    """The relay that hostile clients come to; at the end the bystander has missed nothing."""
    before = inhabitants(relay)
    with SteadyClient(relay.urls.client_ws, evaluating(), PACE_S) as bystander:
        bystander.more(10)
        yield Attacked(relay, before, bystander)
    bystander.check_complete()


def inhabitants(stack: Stack) -> dict[ProcessId, str]:
    """All processes of the stack and its browser's own."""
    return stack.children() | {faults.browser_process(stack): "browser"}


class Load(NamedTuple):
    """What the edges keep of clients."""

    channels: int
    pending_commands: int


def load(stack: Stack) -> Load:
    """As an operator sees it."""
    with RawOperator.with_token(stack.urls.control_ws, stack.urls.tokens["control"]) as operator:
        status = operator.receive()["data"]
    return Load(status["connections"]["active"], status["commands"]["pending"])


@pytest.mark.parametrize("hostile", hostile_messages.ALL, ids=IDS)
def test_the_relay_does_what_chrome_does_or_what_is_written_down(
    attacked: Attacked, direct_chrome: DirectChrome, hostile: Hostile
) -> None:
    with RawClient(direct_chrome.client_ws) as client:
        chrome = observe(client, hostile)
    with RawClient(attacked.stack.urls.client_ws) as client:
        relay = observe(client, hostile)
    assert chrome.text == hostile.chrome
    assert relay.text == (hostile.relay or hostile.chrome)
    if not hostile.relay:
        assert relay.comparable == chrome.comparable
    attacked.bystander.more(1)


def test_the_page_for_people_shows_the_same_table() -> None:
    heading, rule, *rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert (heading.count("|"), set(rule)) == (5, set("|-"))
    assert rows == hostile_messages.table()
    assert all(hostile.why for hostile in hostile_messages.ALL if hostile.relay)


def document_of(url: str, levels: int) -> str:
    """What DOM.getDocument answers for a page of so many elements within one another, unparsed, without the session."""
    with RawClient(url) as client:
        session = client.open_page()
        grow = (
            f"let e = document.body; for (let n = 0; n < {levels}; n++) e = e.appendChild(document.createElement('b'))"
        )
        client.call("Runtime.evaluate", {"expression": grow}, session)
        client.send(7, "DOM.getDocument", {"depth": -1}, session)
        while not (message := str(client.socket.recv(30))).startswith('{"id":7,'):
            pass
        return message.replace(session, "")


@pytest.mark.parametrize(("levels", "answered"), [(140, True), (600, False)])
def test_a_deep_document_comes_as_it_does_from_chrome(
    client_ws: str, direct_chrome: DirectChrome, levels: int, answered: bool
) -> None:
    """Chrome 156 itself has no more than 300 levels to give, two for each element; it says so, with the id."""
    relayed, direct = document_of(client_ws, levels), document_of(direct_chrome.client_ws, levels)
    assert relayed.count('"nodeName":"B"') == direct.count('"nodeName":"B"') == (levels if answered else 0)
    if not answered:
        assert relayed == direct
        assert "stack limit exceeded" in relayed


def test_a_ping_between_two_fragments_is_answered_at_once(client_ws: str) -> None:
    with RawClient(client_ws) as client:
        client.socket.socket.sendall(wire([Raw(TEXT, HALF, fin=False)], ""))
        assert client.socket.ping("between").wait(10)
        client.socket.socket.sendall(wire([Raw(CONTINUATION, OTHER_HALF, fin=True)], ""))
        assert "result" in client.receive()


@pytest.mark.parametrize("sent", [HALF, GOOD.encode()], ids=["in mid-message", "after a command"])
def test_a_client_that_is_cut_off_leaves_nothing_behind(client_ws: str, sent: bytes) -> None:
    with RawClient(client_ws) as observer, RawClient(client_ws) as client:
        context = client.call("Target.createBrowserContext", {"disposeOnDetach": True})["browserContextId"]
        client.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})
        assert context in contexts_of(observer)
        client.socket.socket.sendall(wire([Raw(TEXT, sent, fin=sent != HALF)], ""))
        reset(client.socket.socket)
        faults.until(lambda: context not in contexts_of(observer), "the browser has heard of the end")


def contexts_of(client: RawClient) -> set[str]:
    """The browser contexts that there are pages of."""
    return {target.get("browserContextId", "") for target in client.call("Target.getTargets")["targetInfos"]}


def reset(connection: socket.socket) -> None:
    """End the TCP connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def attack(client: RawClient, hostile: Hostile) -> None:
    """Once more, while others do the same."""
    assert observe(client, hostile).text == (hostile.relay or hostile.chrome), hostile.sent


def test_all_of_them_at_once_leave_nothing_behind_and_touch_nobody(attacked: Attacked) -> None:
    stack = attacked.stack
    with ExitStack() as opened, ThreadPoolExecutor(AT_ONCE) as pool:
        clients = [opened.enter_context(RawClient(stack.urls.client_ws)) for _ in hostile_messages.ALL]
        for attacking in [*map(pool.submit, [attack] * len(clients), clients, hostile_messages.ALL)]:
            attacking.result()
        attacked.bystander.finish()
        living = [client for client in clients if client.socket.close_code is None]
        assert len(living) > len(clients) / 2
        faults.until(lambda: load(stack) == Load(len(living), 0), "every command is settled")
    faults.until(lambda: load(stack) == Load(0, 0), "every channel is gone")
    attacked.bystander.check_complete()
    assert inhabitants(stack) == attacked.processes
    check_logs(stack)


def check_logs(stack: Stack) -> None:
    """No log holds anything of what was sent."""
    logs = stack.logs()
    assert {"agent.log", "edge-1.log", "edge-2.log", "router-1.log", "registry.log", "control.log"} <= set(logs)
    shown = [name for name, text in [*logs.items(), ("output", "".join(stack.output))] if MARK in text]
    assert not shown
