"""A supervised relay under steady load: clients on two edges, the devices of both on two other edges.

So an edge may be killed as a device's edge without being a client's. A device's answers bear its name, and what the
clients of the two devices say is the same: a message that went astray is seen.
"""

import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.e2e import faults
from tests.e2e.at_once import together
from tests.e2e.endings import NO_CLOSE_FRAME, Ending, talk_to_the_end
from tests.e2e.figures import say
from tests.e2e.fleet import asking_a_fake
from tests.e2e.raw_cdp import RawClient
from tests.e2e.steady_client import SteadyClient
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Part, agent_beside
from tests.fakes.processes import ProcessId
from tests.fakes.stack import Stack

ENVIRONMENT = {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.2"}
CLIENT_EDGES, DEVICE_EDGES = ("edge-1", "edge-2"), ("edge-3", "edge-4")
DEVICES = {faults.LOCAL: DEVICE_EDGES, "laptop": DEVICE_EDGES[::-1]}
MORTALS = 3
LATENCY_S = 0.02  # so that a client with 20 commands in flight has 50 answers a second


class LoadedStack:
    """The relay, its two agents (not supervised) and their counting browsers."""

    def __init__(self, folder: Path) -> None:
        flags = ("--no-device", "--edges", str(len(CLIENT_EDGES + DEVICE_EDGES)))
        self.stack = Stack(folder, ENVIRONMENT, flags, "tests.fakes.two_routers")
        self.browsers = {device: FakeBrowser(LATENCY_S, device) for device in DEVICES}
        self.agents: dict[str, Part] = {}
        self._folder = folder
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            for browser in self.browsers.values():
                opening.enter_context(browser)
            opening.enter_context(self.stack)
            opening.callback(self._end_agents)
            for device in DEVICES:
                self.start_agent(device)
            for device in DEVICES:
                faults.wait_whole(self.stack, device)
            self._children = len(self.stack.children())
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def start_agent(self, device: str) -> None:
        """Start a device's agent, for the first time or again."""
        self.agents[device] = self.agent_of(device, DEVICES[device], self.browsers[device])

    def agent_of(self, device: str, edges: tuple[str, ...], browser: FakeBrowser) -> Part:
        """An agent that dials these edges in this order. Whoever starts it ends it."""
        urls = [self.stack.edge_url(edge_id) for edge_id in edges]
        return agent_beside(self.stack, self._folder, device, urls, browser.url, ENVIRONMENT)

    def restart_agent(self, device: str) -> None:
        """SIGKILL a device's agent, and start it again."""
        agent = self.agents[device]
        agent.kill()
        assert agent.ended() == -signal.SIGKILL
        self.start_agent(device)

    def victim(self, name: str, device: str) -> ProcessId:
        """The process to kill: `router-1`, `registry`, `edge-1`..., or the edge that the device is on now."""
        if name == "device edge":
            name = faults.wait_whole(self.stack, device)["edge"]
        words = {"registry": faults.REGISTRY, "control": faults.CONTROL}
        kind = "--edge-id" if name.startswith("edge") else "--instance-id"
        return faults.process(self.stack, words.get(name, f"{kind} {name} "))

    def wait_whole(self) -> dict[str, dict[str, Any]]:
        """Wait until the supervisor has brought back what was killed, and every device is served: the devices."""
        faults.until(lambda: len(self.stack.children()) == self._children, "all processes are back")
        return {device: faults.wait_whole(self.stack, device) for device in DEVICES}

    @contextmanager
    def load(
        self, topic: str, *, devices: tuple[str, ...] = tuple(DEVICES), edges: tuple[str, ...] = CLIENT_EDGES
    ) -> Iterator[list[SteadyClient]]:
        """A client of each device on each of the edges; at the end all that they said was answered and done once."""
        with ExitStack() as opened:
            clients = {
                (device, edge_id): opened.enter_context(
                    SteadyClient(self.stack.client_ws(edge_id, device), asking_a_fake(device, f"{topic}-{edge_id}"))
                )
                for device in devices
                for edge_id in edges
            }
            for client in clients.values():
                client.more(20)
            yield list(clients.values())
        for client in clients.values():
            client.check_complete()
        for device in devices:
            said = {
                f"{topic}-{edge_id}:{number}": 1
                for edge_id in edges
                for number in range(1, clients[device, edge_id].sent + 1)
            }
            executions = self.browsers[device].executions.copy()  # the browser goes on for others meanwhile
            assert {key: times for key, times in executions.items() if key.startswith(f"{topic}-")} == said

    def end_all(
        self, device: str, edge_id: str, topic: str, break_it: Callable[[], object], mortals: int = MORTALS
    ) -> dict[str, Ending]:
        """Some clients of a device on one edge talk while `break_it` happens once, until all are closed."""
        endings = dict[str, Ending]()

        def live(name: str, break_it: Callable[[], object]) -> None:
            with RawClient(self.stack.client_ws(edge_id, device)) as client:
                session: str = client.call("Target.attachToTarget")["sessionId"]
                client.send(100, "Fake.never", {"key": f"{name}:100"}, session)

                def say_next(number: int) -> None:
                    client.send(number, "Fake.stamp", {"key": f"{name}:{number}"}, session)

                ending = endings[name] = talk_to_the_end(client, 100, say_next, break_it)
            if ending.code is not None and ending.code != NO_CLOSE_FRAME:
                ending.check(session, ending.code)

        names = [f"{topic}-{number}" for number in range(mortals)]
        breaks: list[Callable[[], object]] = [break_it, *[lambda: None] * (mortals - 1)]
        together([lambda name=name, wrong=wrong: live(name, wrong) for name, wrong in zip(names, breaks, strict=True)])  # type: ignore[misc]
        return endings

    def _end_agents(self) -> None:
        codes = {device: agent.end() for device, agent in self.agents.items()}
        assert set(codes.values()) <= {0}, "\n".join(agent.text for agent in self.agents.values())


def check_endings(endings: dict[str, Ending], code: int, *browsers: FakeBrowser) -> None:
    """Each was closed so, and told nothing but the truth: by now the browsers did all that they ever will."""
    told = defaultdict[str, int](int)
    for name, ending in endings.items():
        assert ending.code == code, f"{name}: {ending.reason}"
        ending.check_truth(lambda number, name=name: sum(each.executions[f"{name}:{number}"] for each in browsers))  # type: ignore[misc]
        for word in ending.words.values():
            told[word] += 1
        told["answered"] += len(ending.answers) - len(ending.errors)
        told["closed on"] += len(ending.sent) - len(ending.answers)
    say(f"{len(endings)} clients closed {code}: {dict(told)}")
