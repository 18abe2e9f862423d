"""Whatever dies under load, nothing is lost, done twice or sent astray; clients that live on see a short pause.

With two routers, as a relay that must not stop has. What one router costs, which is the start of a process, and what
several faults at once do, is in test_resume.py.
"""

import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle

import pytest

from tests.e2e import faults
from tests.e2e.endings import DEVICE_LOST, DEVICE_REPLACED, DRAINING, NO_CLOSE_FRAME, Ending
from tests.e2e.figures import pauses_ms, percentile, say
from tests.e2e.loaded_stack import CLIENT_EDGES, DEVICES, LoadedStack, check_endings
from tests.e2e.raw_cdp import RawClient
from tests.e2e.steady_client import SteadyClient
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Part
from tests.fakes.processes import ProcessId, is_alive

# In an order in which the first four may die while the one before is still away.
VICTIMS = ("device edge", "control", "router-1", "registry", "router-2")
PAUSE_S = 2.0
STAYED_AWAY_S = 3.0  # ten times as long as an agent with clients takes to come back
NO_PAUSE_S = 1.0
TWO_MINUTES_S = 120.0


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedStack]:
    """The relay; every test waits until what it broke is whole again."""
    with LoadedStack(tmp_path_factory.mktemp("loaded")) as loaded:
        yield loaded


class Ends:
    """Processes that end under load, and the longest pause of each client after each."""

    def __init__(self, loaded: LoadedStack, clients: list[SteadyClient]) -> None:
        self.pauses = defaultdict[str, list[float]](list)
        self._loaded, self._clients = loaded, clients
        self._devices = cycle(DEVICES)
        began_s = self._go_on()
        self.usual = [client.longest_pause_s(began_s) for client in clients]

    def one(self, name: str, *, wait: bool, end: Callable[[ProcessId], None] = faults.kill) -> None:
        """End it and let every client go on; `wait` until all is whole again, too."""
        victim = self._loaded.victim(name, next(self._devices))
        began_s = time.monotonic()
        end(victim)
        self._go_on()
        if wait:
            self._loaded.wait_whole()
        self.pauses[name] += [client.longest_pause_s(began_s, time.monotonic()) for client in self._clients]

    def judge(self) -> None:
        """Say the figures, and hold them to what is promised."""
        say(f"nothing ended: {pauses_ms(self.usual)}")
        for name, values_s in self.pauses.items():
            say(f"{name}: {pauses_ms(values_s)}")
        every = [value_s for values_s in self.pauses.values() for value_s in values_s]
        answers = sum(client.sent for client in self._clients)
        say(f"all {len(every) // len(self._clients)} of them, {answers} commands: {pauses_ms(every)}")
        assert percentile(every, 0.99) <= PAUSE_S
        for name in self.pauses.keys() & {"registry", "control"}:
            assert percentile(self.pauses[name], 0.99) <= NO_PAUSE_S

    def _go_on(self) -> float:
        began_s = time.monotonic()
        for client in self._clients:
            client.more(10)  # one after the other: 40 answers in all
        return began_s


def test_each_service_and_the_edge_of_a_device_is_killed_once_under_load(loaded: LoadedStack) -> None:
    before = loaded.wait_whole()
    with loaded.load("round") as clients:
        ends = Ends(loaded, clients)
        for name in VICTIMS[:-1]:
            ends.one(name, wait=False)
    ends.judge()
    after = loaded.wait_whole()
    # Both kept their runs; no kill but that of its own edge made a device register again.
    assert {name: after[name]["deviceInfo"]["bootId"] for name in after} == {
        name: before[name]["deviceInfo"]["bootId"] for name in before
    }
    assert after["local"]["epoch"] > before["local"]["epoch"]
    assert (after["laptop"]["edge"], after["laptop"]["epoch"]) == (before["laptop"]["edge"], before["laptop"]["epoch"])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_minutes_of_kills_lose_nothing_double_nothing_and_pause_shortly(loaded: LoadedStack) -> None:
    with loaded.load("minutes") as clients:
        ends = Ends(loaded, clients)
        ends_s = time.monotonic() + TWO_MINUTES_S
        while time.monotonic() < ends_s:
            for name in VICTIMS:
                ends.one(name, wait=True)
    ends.judge()


@pytest.mark.parametrize("drains", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_edges_that_devices_are_on_drain_one_after_another_and_no_client_sees_it(
    loaded: LoadedStack, drains: int
) -> None:
    before = loaded.wait_whole()
    lost = {name: agent.text.count('"edge lost"') for name, agent in loaded.agents.items()}
    with loaded.load(f"drain-{drains}") as clients:
        ends = Ends(loaded, clients)
        for _ in range(drains):
            ends.one("device edge", wait=True, end=faults.drain)
    ends.judge()
    after = loaded.wait_whole()
    for name, agent in loaded.agents.items():
        assert after[name]["epoch"] > before[name]["epoch"], "it was asked to leave"
        assert after[name]["deviceInfo"]["bootId"] == before[name]["deviceInfo"]["bootId"]
        assert agent.text.count('"edge lost"') == lost[name], "it had left before its edge went"


@pytest.mark.slow
def test_a_client_at_the_edge_of_its_device_goes_on_there_when_the_device_has_left(loaded: LoadedStack) -> None:
    edge_id = loaded.wait_whole()["laptop"]["edge"]
    victim, agent = loaded.victim(edge_id, "laptop"), loaded.agents["laptop"]
    left = agent.text.count('"edge left"')
    with loaded.load("together", devices=("laptop",), edges=(edge_id,)) as [client]:
        os.kill(victim.pid, signal.SIGTERM)
        faults.until(lambda: agent.text.count('"edge left"') > left, "the device has left")
        client.more(20)
        assert is_alive(victim)


# --- what cannot be saved ----------------------------------------------------------------------------------

ROUNDS = 3


@pytest.mark.slow
def test_a_client_edge_killed_under_load_harms_only_its_own_clients_and_runs_nothing_twice(loaded: LoadedStack) -> None:
    endings = dict[str, Ending]()
    for number in range(ROUNDS):
        loaded.wait_whole()
        # The steady clients of this one are on the other client edge.
        with loaded.load(f"survivors-{number}", edges=CLIENT_EDGES[1:]):
            victim = loaded.victim(CLIENT_EDGES[0], "laptop")
            endings |= loaded.end_all("laptop", CLIENT_EDGES[0], f"orphan-{number}", lambda: faults.kill(victim))  # noqa: B023 - called at once
    loaded.wait_whole()
    check_endings(endings, NO_CLOSE_FRAME, loaded.browsers["laptop"])


@pytest.mark.slow
def test_an_agent_killed_under_load_ends_only_its_own_channels_truthfully(loaded: LoadedStack) -> None:
    endings = dict[str, Ending]()
    for number in range(ROUNDS):
        loaded.wait_whole()
        with loaded.load(f"others-{number}", devices=("local",)):
            edge_id = CLIENT_EDGES[number % len(CLIENT_EDGES)]
            endings |= loaded.end_all("laptop", edge_id, f"mortal-{number}", lambda: loaded.restart_agent("laptop"))
    loaded.wait_whole()
    check_endings(endings, DEVICE_LOST, loaded.browsers["laptop"])
    assert {ending.words[100] for ending in endings.values()} == {"unknown"}
    assert any("no" in ending.words.values() for ending in endings.values())


STAYING = 8
GAP_S = 0.1  # between two clients that are sent away, few as they are


@pytest.mark.slow
def test_clients_of_a_draining_edge_may_finish_and_those_that_stay_are_sent_away_one_by_one(
    loaded: LoadedStack,
) -> None:
    loaded.wait_whole()
    victim = loaded.victim(CLIENT_EDGES[0], "laptop")
    # Those at the other edge see nothing; those at this one see nothing either, if they finish in time.
    with loaded.load("elsewhere", edges=CLIENT_EDGES[1:]), ExitStack() as finishing:
        clients = finishing.enter_context(loaded.load("finishing", edges=CLIENT_EDGES[:1]))

        def drain() -> None:
            os.kill(victim.pid, signal.SIGTERM)
            for client in clients:
                client.more(20)
            finishing.close()

        endings = loaded.end_all("laptop", CLIENT_EDGES[0], "staying", drain, STAYING)
    loaded.wait_whole()
    check_endings(endings, DRAINING, loaded.browsers["laptop"])
    assert {ending.words[100] for ending in endings.values()} == {"unknown"}
    closes = sorted(ending.closed_s for ending in endings.values())
    say(f"{STAYING} clients were sent away within {closes[-1] - closes[0]:.2f} s")
    assert closes[-1] - closes[0] >= 0.8 * GAP_S * (STAYING - 1)


# --- takeover by another instance --------------------------------------------------------------------------


@pytest.fixture
def rival(loaded: LoadedStack) -> Iterator[FakeBrowser]:
    """Another browser, for another agent of the laptop; afterwards the laptop is as it was."""
    with FakeBrowser(product="rival") as browser:
        yield browser
        loaded.restart_agent("laptop")
        loaded.wait_whole()


def stamp_of(loaded: LoadedStack, edge_id: str) -> str:
    """What a new client of the laptop hears, whose browser says whose it is."""
    with RawClient(loaded.stack.client_ws(edge_id, "laptop")) as client:
        return str(client.call("Fake.stamp", {"key": "whose"})["stamp"])


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 1], ids=["the same edge", "another edge"])
def test_another_instance_takes_a_device_over_under_load_and_nothing_is_done_twice(
    loaded: LoadedStack, rival: FakeBrowser, at: int
) -> None:
    held_by = loaded.wait_whole()["laptop"]["edge"]
    edges = sorted(DEVICES["laptop"], key=lambda edge_id: edge_id != held_by)
    loser, started = loaded.agents["laptop"], list[Part]()
    registrations = loser.text.count('"registered"')

    def take_over() -> None:
        started.append(loaded.agent_of("laptop", (edges[at], edges[1 - at]), rival))

    try:
        with loaded.load(f"bystander-{at}", devices=("local",)):
            edge_id = CLIENT_EDGES[at]
            endings = loaded.end_all("laptop", edge_id, f"replaced-{at}", take_over)
            faults.until(lambda: '"taken over"' in loser.text, "the loser is told")
        check_endings(endings, DEVICE_REPLACED, loaded.browsers["laptop"], rival)
        assert {ending.words[100] for ending in endings.values()} == {"unknown"}
        assert not rival.executions, "the old clients' commands are not for the new browser"
        assert {stamp_of(loaded, edge_id) for edge_id in CLIENT_EDGES} == {"rival/whose"}
        time.sleep(STAYED_AWAY_S)
        [line] = [json.loads(line) for line in loser.log if '"taken over"' in line]
        assert line["retry_in_s"] >= 60
        assert loser.text.count('"registered"') == registrations
        assert {stamp_of(loaded, edge_id) for edge_id in CLIENT_EDGES} == {"rival/whose"}
    finally:
        codes = [agent.end() for agent in started]
    assert codes == [0]
