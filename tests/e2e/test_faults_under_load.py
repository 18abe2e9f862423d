"""Whatever dies under load, nothing is lost, done twice or sent astray; clients that live on see a short pause.

With two routers, as a relay that must not stop has. What one router costs, which is the start of a process, and what
several faults at once do, is in test_resume.py.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import cycle

import pytest

from tests.e2e import faults
from tests.e2e.at_once import together
from tests.e2e.endings import DEVICE_LOST, NO_CLOSE_FRAME, Ending, talk_to_the_end
from tests.e2e.figures import pauses_ms, percentile, say
from tests.e2e.loaded_stack import CLIENT_EDGES, DEVICES, LoadedStack
from tests.e2e.raw_cdp import RawClient
from tests.e2e.steady_client import SteadyClient

# In an order in which the first four may die while the one before is still away.
VICTIMS = ("device edge", "control", "router-1", "registry", "router-2")
PAUSE_S = 2.0
NO_PAUSE_S = 1.0
TWO_MINUTES_S = 120.0


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedStack]:
    """The relay; every test waits until what it broke is whole again."""
    with LoadedStack(tmp_path_factory.mktemp("loaded")) as loaded:
        yield loaded


class Kills:
    """Kills under load, and the longest pause of each client after each."""

    def __init__(self, loaded: LoadedStack, clients: list[SteadyClient]) -> None:
        self.pauses = defaultdict[str, list[float]](list)
        self._loaded, self._clients = loaded, clients
        self._devices = cycle(DEVICES)
        began_s = self._go_on()
        self.usual = [client.longest_pause_s(began_s) for client in clients]

    def one(self, name: str, *, wait: bool) -> None:
        """Kill it and let every client go on; `wait` until all is whole again, too."""
        victim = self._loaded.victim(name, next(self._devices))
        began_s = time.monotonic()
        faults.kill(victim)
        self._go_on()
        if wait:
            self._loaded.wait_whole()
        self.pauses[name] += [client.longest_pause_s(began_s, time.monotonic()) for client in self._clients]

    def judge(self) -> None:
        """Say the figures, and hold them to what is promised."""
        say(f"nothing killed: {pauses_ms(self.usual)}")
        for name, values_s in self.pauses.items():
            say(f"{name}: {pauses_ms(values_s)}")
        every = [value_s for values_s in self.pauses.values() for value_s in values_s]
        answers = sum(client.sent for client in self._clients)
        say(f"all {len(every) // len(self._clients)} kills, {answers} commands: {pauses_ms(every)}")
        assert percentile(every, 0.99) <= PAUSE_S
        for name in ("registry", "control"):
            assert percentile(self.pauses[name], 0.99) <= NO_PAUSE_S

    def _go_on(self) -> float:
        began_s = time.monotonic()
        for client in self._clients:
            client.more(10)  # one after the other: 40 answers in all
        return began_s


def test_each_service_and_the_edge_of_a_device_is_killed_once_under_load(loaded: LoadedStack) -> None:
    before = loaded.wait_whole()
    with loaded.load("round") as clients:
        kills = Kills(loaded, clients)
        for name in VICTIMS[:-1]:
            kills.one(name, wait=False)
    kills.judge()
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
        kills = Kills(loaded, clients)
        ends_s = time.monotonic() + TWO_MINUTES_S
        while time.monotonic() < ends_s:
            for name in VICTIMS:
                kills.one(name, wait=True)
    kills.judge()


# --- what cannot be saved ----------------------------------------------------------------------------------

MORTALS, ROUNDS = 3, 3


def end_all(
    loaded: LoadedStack, device: str, edge_id: str, topic: str, break_it: Callable[[], object]
) -> dict[str, Ending]:
    """Some clients of a device on one edge talk while `break_it` happens once, until all are closed: their endings."""
    endings = dict[str, Ending]()

    def live(name: str, break_it: Callable[[], object]) -> None:
        with RawClient(loaded.stack.client_ws(edge_id, device)) as client:
            session: str = client.call("Target.attachToTarget")["sessionId"]
            client.send(100, "Fake.never", {"key": f"{name}:100"}, session)

            def say_next(number: int) -> None:
                client.send(number, "Fake.stamp", {"key": f"{name}:{number}"}, session)

            endings[name] = talk_to_the_end(client, 100, say_next, break_it)
        if endings[name].code == DEVICE_LOST:
            endings[name].check(session)

    names = [f"{topic}-{number}" for number in range(MORTALS)]
    breaks: list[Callable[[], object]] = [break_it, *[lambda: None] * (MORTALS - 1)]
    together([lambda name=name, wrong=wrong: live(name, wrong) for name, wrong in zip(names, breaks, strict=True)])  # type: ignore[misc]
    return endings


def check_endings(loaded: LoadedStack, device: str, endings: dict[str, Ending], code: int) -> None:
    """Each was closed so, and told nothing but the truth: by now the browser did all that it ever will."""
    told = defaultdict[str, int](int)
    for name, ending in endings.items():
        assert ending.code == code, f"{name}: {ending.reason}"
        ending.check_truth(lambda number, name=name: loaded.browsers[device].executions[f"{name}:{number}"])  # type: ignore[misc]
        for word in ending.words.values():
            told[word] += 1
        told["answered"] += len(ending.answers) - len(ending.errors)
        told["closed on"] += len(ending.sent) - len(ending.answers)
    say(f"{len(endings)} clients closed {code}: {dict(told)}")


@pytest.mark.slow
def test_a_client_edge_killed_under_load_harms_only_its_own_clients_and_runs_nothing_twice(loaded: LoadedStack) -> None:
    endings = dict[str, Ending]()
    for number in range(ROUNDS):
        loaded.wait_whole()
        # The steady clients of this one are on the other client edge.
        with loaded.load(f"survivors-{number}", edges=CLIENT_EDGES[1:]):
            victim = loaded.victim(CLIENT_EDGES[0], "laptop")
            endings |= end_all(loaded, "laptop", CLIENT_EDGES[0], f"orphan-{number}", lambda: faults.kill(victim))  # noqa: B023 - called at once
    loaded.wait_whole()
    check_endings(loaded, "laptop", endings, NO_CLOSE_FRAME)


@pytest.mark.slow
def test_an_agent_killed_under_load_ends_only_its_own_channels_truthfully(loaded: LoadedStack) -> None:
    endings = dict[str, Ending]()
    for number in range(ROUNDS):
        loaded.wait_whole()
        with loaded.load(f"others-{number}", devices=("local",)):
            edge_id = CLIENT_EDGES[number % len(CLIENT_EDGES)]
            endings |= end_all(loaded, "laptop", edge_id, f"mortal-{number}", lambda: loaded.restart_agent("laptop"))
    loaded.wait_whole()
    check_endings(loaded, "laptop", endings, DEVICE_LOST)
    assert {ending.words[100] for ending in endings.values()} == {"unknown"}
    assert any("no" in ending.words.values() for ending in endings.values())
