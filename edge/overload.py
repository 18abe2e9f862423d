"""Looks at memory and event-loop lag once a second, and does what the rung of the ladder asks for.

docs/operations/overload.md says what clients, devices and operators see of it.
"""

import asyncio
import math
from collections.abc import Callable

import structlog

from browsergo.core.errors import Overloaded
from edge.clients import Clients, ClientSocket
from edge.config import EdgeConfig
from edge.core.overload import Change, Ladder, OverloadLimits, Rung
from edge.memory import available_bytes, give_back, resident_bytes

SAMPLE_S = 1.0
LEAST_CLOSED_BYTES = 64 << 10  # with less in its buffers, closing a channel frees nothing worth its client's trouble


class Overload:
    """The ladder of one edge. `memory` is where the figure comes from, in bytes; 0: it is not known here."""

    def __init__(self, limits: OverloadLimits, clients: Clients, log: structlog.typing.FilteringBoundLogger) -> None:
        self.memory: Callable[[], int] = resident_bytes
        self._ladder = Ladder(limits)
        self._clients = clients
        self._log = log
        self._leaving: list[ClientSocket] = []  # closed here, and not gone yet

    @property
    def limits(self) -> OverloadLimits:
        """What the ladder measures by."""
        return self._ladder.limits

    @property
    def rung(self) -> Rung:
        """Where this edge is on the ladder."""
        return self._ladder.rung

    @property
    def lag_s(self) -> float:
        """How late the event loop has been lately."""
        return self._ladder.lag_s

    @property
    def refusal(self) -> str:
        """Why nobody new is taken; empty: everybody is welcome."""
        return f"overloaded: {self._ladder.words}" if self.rung >= Rung.REFUSING else ""

    def check_newcomer(self) -> None:
        """Raise Overloaded while nobody new is taken."""
        if self.rung >= Rung.REFUSING:
            raise Overloaded(
                "this edge has too much to do and takes nobody new; try again later, or at another edge",
                retry_after_s=max(1, math.ceil(self.limits.stay_s)),
            )

    async def run(self) -> None:
        """Sample, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self._sample(max(0.0, loop.time() - due), loop.time())

    def _sample(self, lag_s: float, now_s: float) -> None:
        if self.rung > Rung.OK:
            give_back()
        change = self._ladder.sample(self.memory(), lag_s, now_s)
        if change is not None:
            self._moved(change)
        self._close_one()

    def _moved(self, change: Change) -> None:
        say = self._log.warning if change.now > change.was else self._log.info
        say("overload", rung=change.now.word, was=change.was.word, why=self._ladder.words)
        if Rung.OK in change:
            self._clients.save_credit(change.now > Rung.OK)

    def _close_one(self) -> None:
        """The channel with the biggest buffers ends, if it must; what leaves with others already is given its time."""
        self._leaving = [socket for socket in self._leaving if socket.unsent_bytes]
        if self._ladder.must_close(sum(socket.unsent_bytes for socket in self._leaving)):
            error = Overloaded(
                "this edge is short of memory, and this channel kept most of it by not taking its messages"
            )
            socket = self._clients.end_biggest(LEAST_CLOSED_BYTES, error)
            if socket is not None:
                self._leaving.append(socket)


def limits_of(config: EdgeConfig) -> OverloadLimits:
    """The limits that an edge is configured with."""
    limit = config.memory_limit_bytes or int(available_bytes() * config.memory_share)
    return OverloadLimits(limit, config.overload_lag_s, config.overload_stay_s)
