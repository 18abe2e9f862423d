"""What dies meanwhile is a pause for clients that live on; what cannot be saved is said once, and truthfully.

The browser of most of these tests is a fake that counts, so that "executed at most once" is observed and not inferred.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e import faults
from tests.e2e.endings import DEVICE_LOST, NO_CLOSE_FRAME, talk_to_the_end
from tests.e2e.figures import say
from tests.e2e.raw_cdp import RawClient
from tests.e2e.steady_client import SteadyClient, counting, evaluating
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Part, Parts
from tests.fakes.stack import Stack
from tests.fakes.tcp_proxy import TcpProxy

LATENCY_S = 0.002
# Leases are renewed so rarely that no test can be saved by it.
ENVIRONMENT = {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.5", "BROWSERGO_EDGE_LEASE_RENEWAL_S": "40"}
RESTART_PAUSE_S = 10.0  # a Python process starts on a loaded machine, trunks and links come back
RECONNECT_PAUSE_S = 5.0
NO_PAUSE_S = 1.0
SLOW_CONSUMER = 4003
EDGES = ("--edge-id edge-1", "--edge-id edge-2")


@pytest.fixture(scope="module")
def counting_browser() -> Iterator[FakeBrowser]:
    """The browser that counts."""
    with FakeBrowser(LATENCY_S) as browser:
        yield browser


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, counting_browser: FakeBrowser) -> Iterator[Stack]:
    """A supervised stack in front of it; each test waits until what the one before broke is whole again."""
    with Stack(tmp_path_factory.mktemp("counted"), ENVIRONMENT, ("--cdp", counting_browser.url)) as stack:
        yield stack


@pytest.fixture(scope="module")
def relay_to_break(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A supervised stack with a browser of its own."""
    with Stack(tmp_path_factory.mktemp("broken"), ENVIRONMENT) as stack:
        yield stack


def drive_through(
    stack: Stack, browser: FakeBrowser, name: str, break_it: Callable[[], object], most_s: float
) -> float:
    """Two clients keep commands in flight while `break_it` happens: all of it must come, once, in order.

    Returns their longest pause, in seconds, which may not exceed `most_s`.
    """
    with ExitStack() as opened:
        clients = [
            opened.enter_context(SteadyClient(stack.urls.client_ws, counting(f"{name}-{side}"))) for side in "ab"
        ]
        for client in clients:
            client.more(60)
        began_s = time.monotonic()
        break_it()
        for client in clients:
            client.more(300)
    for client in clients:
        client.check_complete()
    for side, client in zip("ab", clients, strict=True):
        counts = {browser.executions[f"{name}-{side}:{number}"] for number in range(1, client.sent + 1)}
        assert counts == {1}, f"executed {counts} times"
    pause_s = max(client.longest_pause_s(began_s) for client in clients)
    say(f"{name}: a pause of {pause_s * 1000:.0f} ms; {sum(client.sent for client in clients)} commands")
    assert pause_s < most_s
    return pause_s


def test_a_killed_router_is_a_pause(counted: Stack, counting_browser: FakeBrowser) -> None:
    faults.bring_device_to(counted, "edge-2")
    router = faults.process(counted, faults.ROUTER)
    drive_through(counted, counting_browser, "router", lambda: faults.kill(router), RESTART_PAUSE_S)


def test_a_killed_device_edge_is_a_pause(counted: Stack, counting_browser: FakeBrowser) -> None:
    before = faults.bring_device_to(counted, "edge-2")
    edge = faults.process(counted, "--edge-id edge-2")
    drive_through(counted, counting_browser, "device edge", lambda: faults.kill(edge), RECONNECT_PAUSE_S)
    after = faults.wait_whole(counted)
    assert after["edge"] == "edge-1"
    assert after["epoch"] > before["epoch"]
    assert after["deviceInfo"]["bootId"] == before["deviceInfo"]["bootId"]


def test_epochs_rise_over_a_restart_of_the_registry(counted: Stack) -> None:
    before = faults.bring_device_to(counted, "edge-2")
    faults.kill(faults.process(counted, faults.REGISTRY))
    faults.wait_whole(counted)
    after = faults.bring_device_to(counted, "edge-1")
    assert after["epoch"] > before["epoch"]


@pytest.mark.slow
def test_two_faults_at_once_are_one_pause(counted: Stack, counting_browser: FakeBrowser) -> None:
    faults.bring_device_to(counted, "edge-2")
    victims = [faults.process(counted, words) for words in (faults.ROUTER, "--edge-id edge-2", faults.REGISTRY)]

    def break_it() -> None:
        for victim in victims:
            faults.kill(victim)

    drive_through(counted, counting_browser, "router, device edge and registry", break_it, 2 * RESTART_PAUSE_S)


def start_services(parts: Parts, routers: list[str]) -> dict[str, Part]:
    """Everything but agents; the routers by name."""
    parts.registry()
    started = {name: parts.router(name) for name in routers}
    parts.control()
    for edge_id in ("edge-1", "edge-2"):
        parts.edge(edge_id)
    return started


@pytest.mark.slow  # the quick test under load has two routers too
def test_with_two_routers_the_other_one_goes_on(tmp_path: Path, counting_browser: FakeBrowser) -> None:
    with Parts(tmp_path, ENVIRONMENT) as parts:
        routers = start_services(parts, ["router-1", "router-2"])
        parts.agent("laptop", ["edge-2"], counting_browser.url)
        with SteadyClient(parts.client_ws("edge-1", "laptop"), counting("routers")) as client:
            for name in ("router-1", "router-2"):
                client.more(60)
                began_s = time.monotonic()
                parts.kill(routers[name])
                client.more(200)
                say(f"{name} of two: a pause of {client.longest_pause_s(began_s) * 1000:.0f} ms")
                assert client.longest_pause_s(began_s) < RECONNECT_PAUSE_S
                back = parts.router(name)
                faults.until(lambda back=back: back.text.count('"trunk up"') == 2, "both edges are on it")  # type: ignore[misc]
        client.check_complete()
        assert {counting_browser.executions[f"routers:{number}"] for number in range(1, client.sent + 1)} == {1}


@pytest.mark.slow
def test_connections_that_are_cut_are_a_pause(tmp_path: Path, counting_browser: FakeBrowser) -> None:
    with ExitStack() as opened:
        parts = opened.enter_context(Parts(tmp_path, ENVIRONMENT))
        start_services(parts, ["router-1"])
        host, _, port = parts.edge_url("edge-2").removeprefix("ws://").partition(":")
        proxy = opened.enter_context(TcpProxy((host, int(port))))
        url = f"ws://127.0.0.1:{proxy.port}"
        parts.agent("laptop", ["edge-2"], counting_browser.url, dial=[url])
        client = opened.enter_context(SteadyClient(parts.client_ws("edge-1", "laptop"), counting("cut")))
        pauses = []
        for _ in range(3):
            client.more(60)
            began_s = time.monotonic()
            assert proxy.cut() == 3, "a control connection and a pool of two"
            client.more(300)
            pauses.append(client.longest_pause_s(began_s))
        client.finish()
        client.check_complete()
        assert {counting_browser.executions[f"cut:{number}"] for number in range(1, client.sent + 1)} == {1}
        say(f"cut connections: pauses of {', '.join(f'{pause_s * 1000:.0f} ms' for pause_s in pauses)}")
        assert max(pauses) < RECONNECT_PAUSE_S


@pytest.mark.chrome
def test_a_real_browser_executes_each_command_once_whatever_dies(relay_to_break: Stack) -> None:
    faults.bring_device_to(relay_to_break, "edge-2")
    with SteadyClient(relay_to_break.urls.client_ws, evaluating()) as client:
        for words in (faults.ROUTER, "--edge-id edge-2", faults.REGISTRY):
            client.more(60)
            began_s = time.monotonic()
            faults.kill(faults.process(relay_to_break, words))
            client.more(300)
            say(f"real browser, {words}: a pause of {client.longest_pause_s(began_s) * 1000:.0f} ms")
        client.finish(lambda raw, session: raw.evaluate("executed", session))
    client.check_complete()
    assert client.last_word == list(range(1, client.sent + 1))


# --- what cannot be saved ----------------------------------------------------------------------------------


def test_a_killed_agent_ends_its_channels_truthfully(counted: Stack, counting_browser: FakeBrowser) -> None:
    faults.wait_whole(counted)
    agent = faults.process(counted, faults.AGENT)
    with RawClient(counted.urls.client_ws) as client:
        session: str = client.call("Target.attachToTarget")["sessionId"]
        client.send(100, "Fake.never", {"key": "mortal:100"}, session)
        began_s = time.monotonic()
        ending = talk_to_the_end(
            client,
            100,
            lambda number: client.send(number, "Fake.count", {"key": f"mortal:{number}"}, session),
            lambda: faults.kill(agent),
        )
        say(f"killed agent: its clients know after {time.monotonic() - began_s - 20 * 0.02:.1f} s")
    ending.check(session)
    assert "DEVICE_RESTARTED" in ending.reason
    words = ending.words
    assert words[100] == "unknown"
    assert "no" in words.values()
    faults.wait_whole(counted)
    ending.check_truth(lambda number: counting_browser.executions[f"mortal:{number}"])
    with RawClient(counted.urls.client_ws) as client:
        assert client.call("Browser.getVersion")["product"] == "Fake/1.0"


@pytest.mark.chrome
def test_a_killed_browser_ends_its_channels_truthfully_and_another_one_takes_its_place(relay_to_break: Stack) -> None:
    faults.wait_whole(relay_to_break)
    browser = faults.browser_process(relay_to_break)
    with RawClient(relay_to_break.urls.client_ws) as client:
        session = client.open_page()
        hang = {"expression": "new Promise(() => 0)", "awaitPromise": True}
        client.send(100, "Runtime.evaluate", hang, session)
        ending = talk_to_the_end(
            client,
            100,
            lambda number: client.send(number, "Runtime.evaluate", {"expression": str(number)}, session),
            lambda: faults.kill(browser),
        )
    ending.check(session)
    assert ending.executed(ending.errors[0]) == "unknown"
    began_s = time.monotonic()
    faults.wait_whole(relay_to_break)
    assert faults.browser_process(relay_to_break) != browser
    with RawClient(relay_to_break.urls.client_ws) as client:
        assert client.evaluate("6 * 7", client.open_page()) == 42
    say(f"killed browser: the next one serves after {time.monotonic() - began_s:.1f} s")


def test_a_device_that_does_not_come_back_is_given_up_after_the_window(
    tmp_path: Path, counting_browser: FakeBrowser
) -> None:
    window_s = 2.0
    with Parts(tmp_path, ENVIRONMENT | {"BROWSERGO_EDGE_RESUME_WINDOW_S": str(window_s)}) as parts:
        start_services(parts, ["router-1"])
        agent = parts.agent("laptop", ["edge-2"], counting_browser.url)
        with RawClient(parts.client_ws("edge-1", "laptop")) as client:
            client.send(100, "Fake.never", {"key": "given up"})
            client.call("Fake.count", {"key": "before"})
            parts.kill(agent)
            began_s = time.monotonic()
            [answer] = client.receive_answers(1)
            waited_s = time.monotonic() - began_s
            assert "reason=DEVICE_LOST executed=unknown" in answer["error"]["data"]
            with pytest.raises(ConnectionClosed):
                client.receive()
            assert client.socket.close_code == DEVICE_LOST
        assert window_s - 0.1 <= waited_s < window_s + 2
        assert counting_browser.executions["given up"] == 1


def test_a_killed_client_edge_is_a_broken_connection_and_nothing_runs_twice(
    counted: Stack, counting_browser: FakeBrowser
) -> None:
    faults.bring_device_to(counted, "edge-2")
    with RawClient(counted.urls.client_ws) as client:
        for number in range(1, 201):
            client.send(number, "Fake.count", {"key": f"orphan:{number}"})
        client.receive_answers(20)
        faults.kill(faults.process(counted, "--edge-id edge-1"))
        with pytest.raises(ConnectionClosed):
            client.receive_answers(200)
        assert client.socket.close_code == NO_CLOSE_FRAME
    device = faults.wait_whole(counted)
    assert device["edge"] == "edge-2"
    with RawClient(counted.urls.client_ws) as client:
        client.call("Fake.count", {"key": "orphan:after"})
    assert {counting_browser.executions[f"orphan:{number}"] for number in range(1, 201)} <= {0, 1}
