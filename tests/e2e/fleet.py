"""Five devices on two edges, each beside a browser whose every word bears its device's name.

What a command says never holds the name: it is the browser that adds it. So a message that went to the wrong browser,
or came from it, is seen.
"""

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.e2e import faults
from tests.e2e.at_once import together
from tests.e2e.chrome import chrome_path
from tests.e2e.raw_cdp import Message, RawClient
from tests.e2e.raw_control import RawOperator
from tests.e2e.steady_client import Speech
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Part, Parts
from tests.fakes.processes import command_line
from tests.fakes.tcp_proxy import TcpProxy

HEARTBEAT_S = 2  # lost after 4.5 s of silence
ENVIRONMENT = {
    "BROWSERGO_AGENT_IDLE_RETRY_S": "0.2",
    "BROWSERGO_EDGE_HEARTBEAT_INTERVAL_S": str(HEARTBEAT_S),
    "BROWSERGO_EDGE_LEASE_RENEWAL_S": "0.5",  # so that the registry has heard of every heartbeat soon
}
EDGES = ("edge-1", "edge-2")
REAL = ("real-1", "real-2")
FAKE = ("fake-1", "fake-2", "fake-3")
DEVICES = (*REAL, *FAKE)
FIRST_EDGE = {"real-1": "edge-1", "real-2": "edge-2", "fake-1": "edge-1", "fake-2": "edge-2", "fake-3": "edge-1"}
CLIENTS = 4  # of each device


class Registered(NamedTuple):
    """A device as an operator sees it, but for what changes while all is well."""

    state: str
    edge: str
    epoch: int
    connection_id: str
    boot: str


class Fleet:
    """The relay and its five agents, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.parts = Parts(folder, ENVIRONMENT)
        self.fakes = {name: FakeBrowser(product=name) for name in FAKE}
        self.agents: dict[str, Part] = {}
        self._pages: dict[str, list[str]] = {}
        self._ways: dict[str, TcpProxy] = {}
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            for fake in self.fakes.values():
                opening.enter_context(fake)
            opening.enter_context(self.parts)
            self.parts.registry()
            self.parts.router()
            self.parts.control()
            for edge_id in EDGES:
                self.parts.edge(edge_id)
                host, _, port = self.parts.edge_url(edge_id).removeprefix("ws://").partition(":")
                self._ways[edge_id] = opening.enter_context(TcpProxy((host, int(port))))
            self.start_agents()
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def start_agents(self) -> None:
        """Start all five and let them reach their edges in the same moment; returns when all of them answer."""
        for way in self._ways.values():
            way.hold()
        together([lambda name=name: self._start_agent(name) for name in DEVICES])  # type: ignore[misc]
        faults.until(lambda: sum(way.waiting for way in self._ways.values()) == len(DEVICES), "all five knock")
        for way in self._ways.values():
            way.release()
        for name in DEVICES:
            self.parts.wait_for_device(FIRST_EDGE[name], name)
        for name in REAL:
            self._pages[name] = open_stamping_pages(browser_endpoint(self.agents[name].pid), name)

    def kill_agents(self) -> None:
        """SIGKILL to all five before any of them is waited for."""
        for agent in self.agents.values():
            agent.kill()
        for agent in self.agents.values():
            self.parts.kill(agent)

    def registered(self) -> dict[str, Registered]:
        """What an operator's listDevices says."""
        return {
            name: Registered(
                device["state"], device["edge"], device["epoch"], device["connectionId"],
                device["deviceInfo"]["bootId"],
            )
            for name, device in self._listed().items()
        }  # fmt: skip

    def last_seen_ms(self) -> dict[str, int]:
        """When each device was last heard of, as the registry knows it."""
        return {name: device["lastSeen"] for name, device in self._listed().items()}

    def client(self, device: str, edge_id: str) -> RawClient:
        """A client of a device, at either edge."""
        return RawClient(self.parts.client_ws(edge_id, device))

    def speech(self, device: str, client: int, name: str) -> Speech:
        """What the device's client number `client` says, every word with `name` and a number in it."""
        if device in REAL:
            return asking_a_page(device, self._pages[device][client], name)
        return asking_a_fake(device, name)

    def _start_agent(self, name: str) -> None:
        first = FIRST_EDGE[name]
        edges = (first, *(edge_id for edge_id in EDGES if edge_id != first))
        urls = [f"ws://127.0.0.1:{self._ways[edge_id].port}" for edge_id in edges]
        if name in REAL:
            started = self.parts.start_agent(name, urls, None, {"BROWSERGO_AGENT_CHROME": chrome_path()})
        else:
            started = self.parts.start_agent(name, urls, self.fakes[name].url)
        self.agents[name] = started

    def _listed(self) -> dict[str, Message]:
        url = f"{self.parts.edge_url(EDGES[0])}/v2/control"
        with RawOperator.with_token(url, self.parts.token("control:read")) as operator:
            return operator.devices()


# --- browsers that stamp -----------------------------------------------------------------------------------


def browser_endpoint(agent_pid: int) -> str:
    """Where the browser that an agent started listens itself: the way past the relay."""
    line = command_line(faults.browser_below(agent_pid).pid)
    profile = next(word for word in line.split() if word.startswith("--user-data-dir=")).partition("=")[2]
    port, path = (Path(profile) / "DevToolsActivePort").read_text().split()
    return f"ws://127.0.0.1:{port}{path}"


def open_stamping_pages(endpoint: str, name: str) -> list[str]:
    """A page for each client, opened past the relay, in which `stamp` is the device's name: their target ids."""
    with RawClient(endpoint) as direct:
        for _ in range(CLIENTS):
            direct.evaluate(f"window.stamp = '{name}'", direct.open_page())
        targets = direct.call("Target.getTargets")["targetInfos"]
        return [target["targetId"] for target in targets if target["attached"] and target["type"] == "page"]


def asking_a_page(device: str, target: str, name: str) -> Speech:
    """Speech with a page that adds its stamp to what it is asked to log and to answer."""

    def prepare(client: RawClient) -> str:
        session: str = client.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        client.call("Runtime.enable", session=session)
        return session

    def command(number: int) -> tuple[str, Message]:
        expression = f"(said => (console.log(said), said))(stamp + '/{name}:{number}')"
        return "Runtime.evaluate", {"expression": expression, "returnByValue": True}

    def stamp(message: Message) -> tuple[str, int] | None:
        if message.get("method") == "Runtime.consoleAPICalled":
            return "event", _number(message["params"]["args"][0]["value"], device, name)
        return ("answer", _numbered(message, message["result"]["result"]["value"], device, name))

    return Speech(prepare, command, stamp)


def asking_a_fake(device: str, name: str) -> Speech:
    """Speech with a FakeBrowser whose product is the device's name; it counts executions under `NAME:n`."""

    def command(number: int) -> tuple[str, Message]:
        return "Fake.stamp", {"key": f"{name}:{number}"}

    def stamp(message: Message) -> tuple[str, int]:
        if message.get("method") == "Fake.stamped":
            return "event", _number(message["params"]["stamp"], device, name)
        return "answer", _numbered(message, message["result"]["stamp"], device, name)

    return Speech(lambda _: "", command, stamp)


def _number(said: str, device: str, name: str) -> int:
    """The number in `DEVICE/NAME:n`, which says nothing else."""
    stamp, _, number = said.rpartition(":")
    assert stamp == f"{device}/{name}", f"said {said!r} to {name} of {device}"
    return int(number)


def _numbered(answer: Message, said: str, device: str, name: str) -> int:
    number = _number(said, device, name)
    assert answer["id"] == number, answer
    return number


def speak(client: RawClient, speech: Speech, count: int, start: threading.Barrier) -> None:
    """Commands 1..count at once: each has its event, then its answer, once, in this order, and nothing else comes."""
    session = speech.prepare(client)
    start.wait(60)
    for number in range(1, count + 1):
        client.send(number, *speech.command(number), session)
    heard = client.receive_answers(count, timeout_s=60)
    # Whatever was answered twice, or said to somebody else's account, lies before this one's event.
    client.send(count + 1, *speech.command(count + 1), session)
    heard += client.receive_answers(1)
    expected: list[Any] = [(kind, number) for number in range(1, count + 2) for kind in ("event", "answer")]
    assert [speech.stamp(message) for message in heard] == expected
    assert {message.get("sessionId", "") for message in heard} == {session}
