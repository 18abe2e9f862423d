"""Who is slow is held back within bounds, and nobody else is: clients that take nothing, devices that answer slowly."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from websockets.sync.client import connect

from tests.e2e import faults
from tests.e2e.at_once import together
from tests.e2e.figures import say
from tests.e2e.raw_cdp import RawClient
from tests.e2e.round_trips import Samples
from tests.e2e.small_beside_large import beside
from tests.fakes.browser import FakeBrowser
from tests.fakes.stack import Stack

FLOOD_EVENTS, FLOOD_EVENT_BYTES = 8000, 64_000
SAMPLES = 1500
MIB = 1 << 20
# A channel's credit (DeviceLimits), once more as gRPC has received it and Python has not read it, what its client's
# socket may hold unsent, one message beyond each, and a fifth.
EDGE_MIB = 1.2 * (2 * 8 + 1 + 3 * FLOOD_EVENT_BYTES / MIB)
# The same for the other end: what a channel may keep, and what its links and its browser's socket hold.
AGENT_MIB = 1.2 * (16 + 2 + 2 * FLOOD_EVENT_BYTES / MIB)
SLOW_CONSUMER = 4003
LET_GO_WITHIN_S = 30.0
STILL_WITHIN_S = 20.0  # then the agent would let the clients go


class SilentClient(RawClient):
    """A client that may read nothing for as long as it likes: it sends no pings whose answers it would miss."""

    def __enter__(self) -> Self:
        self.socket = connect(
            self._url, max_size=None, compression=None, proxy=None, ping_interval=None
        ).__enter__()  # fmt: skip
        return self


class Memory:
    """How much the processes of a stack have grown at most, looked at again and again until the context ends."""

    def __init__(self, stack: Stack, *words: str) -> None:
        self._pids = {name: faults.process(stack, name).pid for name in words}
        self._before = {name: faults.resident_mib(pid) for name, pid in self._pids.items()}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.grown_mib = dict.fromkeys(words, 0.0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            for name, pid in self._pids.items():
                grown = faults.resident_mib(pid) - self._before[name]
                self.grown_mib[name] = max(self.grown_mib[name], grown)

    def wait_still(self, name: str, least_mib: float) -> None:
        """Wait until a process has grown by so much, and no more for a second."""
        grown, since_s = 0.0, time.monotonic()

        def still() -> bool:
            nonlocal grown, since_s
            if self.grown_mib[name] > grown:
                grown, since_s = self.grown_mib[name], time.monotonic()
            return grown >= least_mib and time.monotonic() - since_s >= 1.0

        faults.until(still, f"{name} is full ({self})", STILL_WITHIN_S)

    def __str__(self) -> str:
        return ", ".join(f"{name} {mib:.1f} MiB" for name, mib in self.grown_mib.items())


EDGES = ("--edge-id edge-1", "--edge-id edge-2")


@pytest.fixture
def flooded(tmp_path: Path) -> Iterator[Stack]:
    """A stack whose browser, in a process of its own, floods when it is asked to; warm, so that growth is growth."""
    with ExitStack() as opened:
        browser = opened.enter_context(beside("browser"))
        stack = opened.enter_context(Stack(tmp_path, flags=("--cdp", browser.started())))
        with RawClient(stack.urls.client_ws) as client:
            client.send(1, "Fake.flood", {"count": 200, "bytes": FLOOD_EVENT_BYTES})
            while "id" not in client.receive():
                pass
            Samples(client).take(500)
        yield stack


@pytest.mark.slow
def test_a_client_that_takes_nothing_costs_its_bounds_and_others_nothing_until_it_is_let_go(flooded: Stack) -> None:
    with ExitStack() as opened:
        quick = opened.enter_context(RawClient(flooded.urls.client_ws))
        slow = opened.enter_context(SilentClient(flooded.urls.client_ws))
        alone, beside_it = Samples(quick), Samples(quick)
        alone.take(SAMPLES)
        with Memory(flooded, *EDGES, faults.ROUTER, faults.AGENT) as memory:
            slow.send(1, "Fake.flood", {"count": FLOOD_EVENTS, "bytes": FLOOD_EVENT_BYTES})
            slow.send(2, "Fake.count", {"key": "behind the flood"})
            began_s = time.monotonic()
            beside_it.take(SAMPLES, lambda: "SLOW_CONSUMER" in flooded.logs()["edge-1.log"])
            let_go_s = time.monotonic() - began_s
        messages = slow.receive_rest()
        assert slow.socket.close_code == SLOW_CONSUMER
    say(f"alone {alone}; beside a slow client {beside_it}; it was let go after {let_go_s:.1f} s; grown: {memory}")
    events = [message["params"]["n"] for message in messages if "id" not in message]
    answers = [message for message in messages if "id" in message]
    assert events == list(range(1, len(events) + 1))
    assert [message["id"] for message in answers] == [1, 2]
    assert all("reason=SLOW_CONSUMER executed=unknown" in message["error"]["data"] for message in answers)
    assert let_go_s < LET_GO_WITHIN_S
    assert max(memory.grown_mib[name] for name in (*EDGES, faults.ROUTER)) < EDGE_MIB
    assert memory.grown_mib[faults.AGENT] < AGENT_MIB
    assert beside_it.quantile_ms(0.99) <= 2 * alone.quantile_ms(0.99)


@pytest.mark.slow
def test_a_client_that_reads_again_in_time_gets_everything(flooded: Stack) -> None:
    with RawClient(flooded.urls.client_ws) as quick, SilentClient(flooded.urls.client_ws) as slow:
        slow.send(1, "Fake.flood", {"count": FLOOD_EVENTS, "bytes": FLOOD_EVENT_BYTES})
        Samples(quick).take(SAMPLES)
        for number in range(1, FLOOD_EVENTS + 1):
            assert slow.receive()["params"]["n"] == number
        assert slow.receive() == {"id": 1, "result": {}}


CHANNELS, EVENTS_EACH = 7, 600
# All that the agent keeps, however many channels there are (DeviceLimits); the largest message of each, and a fifth.
AGENT_TOTAL_MIB = 1.2 * (64 + CHANNELS * FLOOD_EVENT_BYTES / MIB)
FULL_MIB = 50.0


@pytest.mark.slow
def test_an_agent_whose_clients_all_take_nothing_keeps_its_bound_and_they_get_everything_when_they_read_again(
    flooded: Stack,
) -> None:
    with ExitStack() as opened:
        clients = [opened.enter_context(SilentClient(flooded.urls.client_ws)) for _ in range(CHANNELS)]
        with Memory(flooded, faults.AGENT) as memory:
            for client in clients:
                client.send(1, "Fake.flood", {"count": EVENTS_EACH, "bytes": FLOOD_EVENT_BYTES})
            memory.wait_still(faults.AGENT, FULL_MIB)
            kept_mib = memory.grown_mib[faults.AGENT]
            together([lambda client=client: receive_flood(client) for client in clients])  # type: ignore[misc]
        with RawClient(flooded.urls.client_ws) as newcomer:
            newcomer.call("Fake.count", {"key": "after the flood"})
    say(f"{CHANNELS} clients that take nothing: the agent grew by {kept_mib:.1f} MiB; with what came then: {memory}")
    assert memory.grown_mib[faults.AGENT] < AGENT_TOTAL_MIB < CHANNELS * EVENTS_EACH * FLOOD_EVENT_BYTES / MIB / 3


def receive_flood(client: RawClient) -> None:
    """All of it, once and in order, and then the answer."""
    for number in range(1, EVENTS_EACH + 1):
        assert client.receive()["params"]["n"] == number
    assert client.receive() == {"id": 1, "result": {}}


COMMANDS, COMMAND_BYTES = 1000, 100_000
LATENCY_S = 0.01
# What is kept until it is accepted (4 MiB, ClientLimits), and the same again on its way in and on its way out.
COMMANDS_MIB = 1.2 * 3 * 4


@pytest.mark.slow
def test_a_device_that_answers_slowly_holds_its_client_back_and_answers_everything_once(tmp_path: Path) -> None:
    with FakeBrowser(LATENCY_S) as browser, Stack(tmp_path, flags=("--cdp", browser.url)) as stack:
        client = RawClient(stack.urls.client_ws)
        with client, Memory(stack, *EDGES, faults.ROUTER, faults.AGENT) as memory:
            filler = "x" * COMMAND_BYTES

            def send_all() -> None:
                for number in range(1, COMMANDS + 1):
                    client.send(number, "Fake.count", {"key": f"slow:{number}", "filler": filler})

            sending = threading.Thread(target=send_all)
            began_s = time.monotonic()
            sending.start()
            answers = [message["id"] for message in client.receive_answers(COMMANDS) if "id" in message]
            sending.join()
    say(f"slow device: {COMMANDS} commands in {time.monotonic() - began_s:.1f} s; grown: {memory}")
    assert answers == list(range(1, COMMANDS + 1))
    assert {browser.executions[f"slow:{number}"] for number in range(1, COMMANDS + 1)} == {1}
    assert max(memory.grown_mib.values()) < COMMANDS_MIB < COMMANDS * COMMAND_BYTES / MIB / 3
