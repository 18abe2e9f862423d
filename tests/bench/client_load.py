"""`python -m tests.bench.client_load DIALECT PLACE`: the clients of a row, and the clock.

Orders: `{"connect": N}` (client k talks to device dk), `{"run": {...}}` with the fields of Run; `pids` are the
processes whose CPU time is taken, by role.
"""

import asyncio
import gc
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import uvloop
from picows import WSError

from tests.bench import script
from tests.bench.control import orders, say
from tests.bench.cpu import used_ns
from tests.bench.dialects import DIALECTS, Dialect, Place
from tests.bench.sockets import Socket, dial

SETTLE_S = 0.3


class Run(NamedTuple):
    """One measurement: `commands` in all, `window` in flight a client; `events` of them a flood."""

    kind: str
    commands: int
    window: int
    events: int
    timeout_s: float
    pids: dict[str, list[int]]


class Client:
    """One client of one device."""

    def __init__(self, device: str, numbers: Iterator[int]) -> None:
        self.device = device
        self.socket: Socket
        self.errors = 0
        self.events = 0
        self.bytes = 0
        self.latencies_ns: list[int] = []
        self._numbers = numbers
        self._pending: dict[int, int] = {}
        self._unsent = 0
        self._unanswered = 0
        self._run: Run
        self._done: asyncio.Future[None]

    async def work(self, run: Run, count: int) -> None:
        """Send `count` commands, `window` at a time, until all are answered."""
        self.errors = self.events = self.bytes = 0
        self.latencies_ns, self._pending = [], {}
        self._run, self._unsent, self._unanswered = run, count, count
        self._done = asyncio.get_running_loop().create_future()
        for _ in range(min(run.window, count)):
            self._send_one()
        await asyncio.wait({self._done, self.socket.ended}, return_when=asyncio.FIRST_COMPLETED)
        if not self._done.done():
            raise ConnectionError("a client was disconnected")

    def on_text(self, _: Socket, message: bytes) -> None:
        """An answer or an event."""
        number = script.id_of(message)
        if number is None:
            self.events += 1
            return
        sent_ns = self._pending.pop(number, None)
        if sent_ns is None or not script.is_right(message, self.device, self._run.kind == "screenshot"):
            self.errors += 1
        if sent_ns is None:
            return
        self.latencies_ns.append(time.perf_counter_ns() - sent_ns)
        self.bytes += len(message)
        self._unanswered -= 1
        if self._unsent:
            self._send_one()
        elif not self._unanswered and not self._done.done():
            self._done.set_result(None)

    def _send_one(self) -> None:
        self._unsent -= 1
        number = next(self._numbers)
        if self._run.kind == "screenshot":
            command = script.screenshot(number)
        elif self._run.kind == "flood":
            command = script.flood(number, self._run.events)
        else:
            command = script.evaluate(number)
        self._pending[number] = time.perf_counter_ns()
        self.socket.send(command)


async def connect(dialect: Dialect, count: int) -> list[Client]:
    """So many clients. Their ids are unique over all, so that an answer to another's command is seen."""
    numbers = itertools.count(1)
    clients = [Client(f"d{number}", numbers) for number in range(count)]
    for client in clients:
        client.socket = await dial(dialect.client_url(client.device), client.on_text, dialect.client_headers())
    await asyncio.sleep(SETTLE_S)
    return clients


async def measure(clients: list[Client], run: Run) -> dict[str, Any]:
    """Do the work and count. Raises TimeoutError, ConnectionError."""
    gc.collect()
    before, own_before, began = used_ns(run.pids), time.process_time_ns(), time.perf_counter()
    share = max(1, run.commands // len(clients))
    async with asyncio.timeout(run.timeout_s), asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.work(run, share))
    wall_s, own_after, after = time.perf_counter() - began, time.process_time_ns(), used_ns(run.pids)
    answered = sum(len(client.latencies_ns) for client in clients)
    events = sum(client.events for client in clients)
    expected = answered * run.events
    units = events if run.events else answered
    return {
        "units": units,
        "errors": sum(client.errors for client in clients) + abs(events - expected),
        "wall_s": wall_s,
        "bytes": sum(client.bytes for client in clients),
        "latencies_ns": sorted(itertools.chain.from_iterable(client.latencies_ns for client in clients)),
        "cpu_ns": {role: after[role] - before[role] for role in run.pids},
        "client_cpu_ns": own_after - own_before,
    }


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a measurement."""
    latencies = found.pop("latencies_ns")
    at = {"p50_us": 0.5, "p99_us": 0.99}
    return found | {name: latencies[int((len(latencies) - 1) * share)] / 1000 for name, share in at.items()}


async def main(words: list[str]) -> None:
    """Serve orders."""
    dialect = DIALECTS[words[0]](Place(**json.loads(words[1])))
    clients: list[Client] = []
    say(ready=True)
    async for order in orders():
        try:
            if "connect" in order:
                for client in clients:
                    client.socket.transport.disconnect()
                clients = await connect(dialect, order["connect"])
                say(connected=len(clients))
            else:
                say(**summary(await measure(clients, Run(**order["run"]))))
        except* (OSError, TimeoutError, WSError) as errors:  # the row that failed is told and dropped
            error = errors.exceptions[0]
            say(failed=f"{type(error).__name__}: {error}"[:300])


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
