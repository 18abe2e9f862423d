"""Agents as processes, with real edges: several devices, takeover, and an end that leaves nothing behind."""

import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.chrome import DirectChrome, chrome_path
from tests.e2e.faults import until
from tests.e2e.raw_cdp import RawClient
from tests.fakes.browser import FakeBrowser
from tests.fakes.chrome_program import seen_by, write_program
from tests.fakes.parts import Part, Parts
from tests.fakes.processes import ProcessId, descendants, is_alive
from tests.fakes.stack import ROOT, clean_environment
from tests.fakes.tcp_proxy import TcpProxy

QUICK = {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.2"}
GONE = 4001
KNOWN_S = 3.0  # within which a client knows that its agent was stopped; the resume window is 30 s


def start_services(parts: Parts, edges: tuple[str, ...] = ("edge-1",)) -> None:
    """Everything but agents."""
    parts.registry()
    parts.router()
    parts.control()
    for edge_id in edges:
        parts.edge(edge_id)


def stop(part: Part) -> None:
    """SIGTERM and wait for the end, which is exit code 0."""
    assert part.end() == 0, part.text


def browser_product(url: str) -> str:
    """What the browser behind a URL says it is."""
    with RawClient(url) as client:
        return str(client.call("Browser.getVersion")["product"])


def test_two_agents_are_two_devices_each_with_its_own_browser(tmp_path: Path) -> None:
    with FakeBrowser(product="One/1") as one, FakeBrowser(product="Two/2") as two, Parts(tmp_path, QUICK) as parts:
        start_services(parts)
        parts.agent("first", ["edge-1"], one.url)
        parts.agent("second", ["edge-1"], f"http://localhost:{two.port}")
        assert browser_product(parts.client_ws("edge-1", "first")) == "One/1"
        assert browser_product(parts.client_ws("edge-1", "second")) == "Two/2"
        assert set(one.hosts) | set(two.hosts) == {"localhost"}
        assert not one.origins + two.origins


@pytest.mark.slow
@pytest.mark.chrome
def test_two_running_chromiums_are_driven_by_two_agents(tmp_path: Path, direct_chrome: DirectChrome) -> None:
    with DirectChrome() as other, Parts(tmp_path, QUICK) as parts:
        start_services(parts)
        parts.agent("first", ["edge-1"], f"http://{direct_chrome.address}")
        parts.agent("second", ["edge-1"], f"http://localhost:{other.address.rpartition(':')[2]}")
        pids = []
        for device in ("first", "second"):
            with RawClient(parts.client_ws("edge-1", device)) as client:
                assert client.evaluate("6 * 7", client.open_page()) == 42
                found = client.call("SystemInfo.getProcessInfo")["processInfo"]
                pids.append(next(process["id"] for process in found if process["type"] == "browser"))
        assert len(set(pids)) == 2


def test_a_second_agent_of_the_same_name_takes_over_and_the_first_stays_away(tmp_path: Path) -> None:
    quick = QUICK | {"BROWSERGO_EDGE_LEASE_RENEWAL_S": "0.5"}  # an edge hears at a renewal what was taken from it
    with FakeBrowser(product="One/1") as one, FakeBrowser(product="Two/2") as two, Parts(tmp_path, quick) as parts:
        start_services(parts, ("edge-1", "edge-2"))
        first = parts.agent("laptop", ["edge-1"], one.url)
        assert browser_product(parts.client_ws("edge-1", "laptop")) == "One/1"
        parts.agent("laptop", ["edge-2"], two.url)
        until(lambda: '"event": "taken over"' in first.text, "the first one hears of it")
        retry = re.search(r'"retry_in_s": ([\d.]+)', first.text.partition('"taken over"')[0].rpartition("\n")[2])
        assert retry is not None
        assert 60 <= float(retry[1]) <= 90
        for edge_id in ("edge-1", "edge-2"):
            assert browser_product(parts.client_ws(edge_id, "laptop")) == "Two/2"
        assert first.text.count('"event": "registered"') == 1


def test_a_stopped_agent_tells_its_clients_at_once_and_truthfully(tmp_path: Path) -> None:
    with FakeBrowser() as browser, Parts(tmp_path, QUICK) as parts:
        start_services(parts, ("edge-1", "edge-2"))
        agent = parts.agent("laptop", ["edge-2"], browser.url)
        with RawClient(parts.client_ws("edge-1", "laptop")) as client:
            session = client.call("Target.attachToTarget")["sessionId"]
            client.send(50, "Fake.never", {"key": "hangs"}, session)
            client.send(51, "Fake.count", {"key": "runs"}, session)
            assert client.receive_answers(1)[-1]["id"] == 51
            began_s = time.monotonic()
            stop(agent)
            answer, detached = client.receive_rest()
            assert time.monotonic() - began_s < KNOWN_S
            assert answer["id"] == 50
            assert "reason=CHANNEL_GONE executed=unknown" in answer["error"]["data"]
            assert detached == {"method": "Target.detachedFromTarget", "params": {"sessionId": session}}
            assert client.socket.close_code == GONE
            assert "the agent was stopped" in (client.socket.close_reason or "")
        assert browser.executions == {"hangs": 1, "runs": 1}


def test_clients_hear_of_the_end_also_when_much_is_still_on_its_way(tmp_path: Path) -> None:
    # Through a proxy, what the links still hold is slower than the goodbye on the control connection.
    with FakeBrowser() as browser, ExitStack() as opened:
        parts = opened.enter_context(Parts(tmp_path, QUICK))
        start_services(parts, ("edge-1", "edge-2"))
        host, _, port = parts.edge_url("edge-2").removeprefix("ws://").partition(":")
        proxy = opened.enter_context(TcpProxy((host, int(port))))
        agent = parts.agent("laptop", ["edge-2"], browser.url, dial=[f"ws://127.0.0.1:{proxy.port}"])
        url = parts.client_ws("edge-1", "laptop")
        clients = [opened.enter_context(RawClient(url)) for _ in range(4)]
        for client in clients:
            client.send(1, "Fake.flood", {"count": 20_000, "bytes": 50_000})
        for client in clients * 200:
            client.receive()
        began_s = time.monotonic()
        agent.send(signal.SIGTERM)
        for client in clients:
            numbered = client.receive_rest()
            assert [message["id"] for message in numbered if "id" in message] == [1]
            assert "executed=unknown" in numbered[-1]["error"]["data"]
            assert (client.socket.close_code, "stopped" in (client.socket.close_reason or "")) == (GONE, True)
        assert time.monotonic() - began_s < KNOWN_S
        assert agent.ended() == 0, agent.text


@pytest.mark.chrome
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_agent_leaves_no_process_and_no_profile(tmp_path: Path, number: int) -> None:
    environment = QUICK | {"BROWSERGO_AGENT_CHROME": chrome_path()}
    with Parts(tmp_path, QUICK) as parts:
        start_services(parts)
        agent = parts.agent("laptop", ["edge-1"], None, environment)
        state = tmp_path / "agent-laptop"
        assert [path.name[:7] for path in state.iterdir()] == ["chrome-"]
        family = below(agent.pid)
        with RawClient(parts.client_ws("edge-1", "laptop")) as client:
            assert client.evaluate("6 * 7", client.open_page()) == 42
            family |= below(agent.pid)
            began_s = time.monotonic()
            agent.send(number)
            client.receive_rest()
            assert client.socket.close_code == GONE
            assert time.monotonic() - began_s < KNOWN_S
        assert agent.ended() == 0, agent.text
        assert list(state.iterdir()) == []
        assert [process for process in family if is_alive(process)] == []


@pytest.mark.chrome
def test_a_killed_agent_takes_its_browser_with_it() -> None:
    environment = QUICK | {"BROWSERGO_AGENT_CHROME": chrome_path()}
    # In a folder with a short path, all that such an end leaves behind lies in the profile.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Parts(Path(folder), QUICK) as parts:
        start_services(parts)
        agent = parts.agent("laptop", ["edge-1"], None, environment)
        family = below(agent.pid)
        assert family
        parts.kill(agent)
        until(lambda: not any(map(is_alive, family)), "the browser is gone", 10)


def test_an_agent_stops_within_its_time_also_when_its_browser_will_not(tmp_path: Path) -> None:
    program = write_program(tmp_path / "chrome", "stubborn")
    agent = standing_alone("--chrome", str(program), "--state-dir", str(tmp_path / "state"))
    try:
        agent.wait_ready()
        until(lambda: Path(f"{program}.seen").exists(), "the browser runs")
        seen = seen_by(program)
        family = below(agent.pid)
        assert {seen.pid, seen.grandchild} <= {process.pid for process in family}
        began_s = time.monotonic()
        stop(agent)
        assert time.monotonic() - began_s < 6
        assert not seen.profile.exists()
        until(lambda: not any(map(is_alive, family)), "all that it started is gone", 5)
    finally:
        agent.end()


def standing_alone(*words: str) -> Part:
    """An agent without any relay."""
    return Part("agent", ["browsergo.agent", "--edges", "ws://127.0.0.1:9", *words], QUICK)


def below(pid: int) -> set[ProcessId]:
    """The living processes below one."""
    return {process for process in descendants(pid) if is_alive(process)}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--cdp", "localhost:9222"), "agent: cdp: this is http://HOST:PORT"),
        (
            ("--cdp", "http://127.0.0.1:9222", "--chrome", "/bin/true"),
            "agent: --chrome (BROWSERGO_AGENT_CHROME) starts",
        ),
        (("--chrome", "/no/such/browser"), "chrome: /no/such/browser is not a program that can be started"),
        (("--edges", "http://127.0.0.1:3000"), "agent: edges: "),
    ],
)
def test_what_cannot_be_run_is_one_line_and_exit_code_2(words: tuple[str, ...], line: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "browsergo.agent", *words],
        cwd=ROOT, env=clean_environment({}), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert line in run.stderr
    assert run.stderr.count("\n") == 1


def test_no_browser_on_this_machine_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    environment = clean_environment({"PATH": str(tmp_path), "HOME": str(tmp_path)})
    environment.pop("BROWSERGO_AGENT_CHROME", None)
    environment.pop("PLAYWRIGHT_BROWSERS_PATH", None)
    run = subprocess.run(
        [sys.executable, "-m", "browsergo.agent"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "install one, name one with --chrome PATH" in run.stderr
