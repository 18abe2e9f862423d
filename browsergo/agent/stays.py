"""Where the device is registered: with one of its edges in turn, and with two while it moves from one to the next."""

import asyncio
import random
from collections.abc import Callable

import structlog

from browsergo.agent.config import AgentConfig
from browsergo.agent.device import Device
from browsergo.agent.session import EdgeSession
from browsergo.core.backoff import Backoff
from browsergo.core.device_messages import Registration
from browsergo.core.errors import (
    BrowserGoError,
    DeviceReplaced,
    Forbidden,
    HandshakeRefused,
    TakenOver,
    Unauthenticated,
)

BUSY_RETRY_S = 0.5
RETRY_CAP_S = 30.0
TAKEN_OVER_PAUSE_S = 60.0
LINGER_S = 0.5  # at an edge that was left, for what comes over it late: an OPEN, the answer to an HTTP request


class Stay:
    """A session with one edge, running."""

    def __init__(self, url: str, session: EdgeSession, registration: Registration) -> None:
        self.url = url
        self.session = session
        self.task = asyncio.create_task(session.run(registration))

    async def until(self, event: asyncio.Event) -> None:
        """Wait for an event, or the end of the session."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    @property
    def was_taken_over(self) -> bool:
        """Whether it ended because another instance has the device."""
        return self.task.done() and not self.task.cancelled() and isinstance(self.task.exception(), TakenOver)


class Stays:
    """Keeps a device registered. `registration` says what the device is, each time anew."""

    def __init__(
        self,
        config: AgentConfig,
        device: Device,
        registration: Callable[[], Registration],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._config = config
        self._device = device
        self._registration = registration
        self._log = log
        self._backoff = Backoff(0.2, RETRY_CAP_S)
        self._turn = 0
        self._here: set[Stay] = set()
        self._farewells: set[asyncio.Task[None]] = set()

    def leave(self, reason: str) -> None:
        """Say goodbye wherever it is registered; only when all else has been said."""
        for stay in self._here:
            stay.session.leave(reason)

    async def keep(self) -> None:
        """Until cancelled. An edge that wants to be left is left once the device is linked to another one."""
        try:
            old: Stay | None = None
            while True:
                stay = self._begin()
                await stay.until(stay.session.linked)
                if old is not None and stay.session.linked.is_set():
                    self._see_off(old)
                    old = None
                await stay.until(stay.session.told_to_leave)
                if not stay.task.done():
                    old, pause_s = stay, self._moving(stay)
                else:
                    pause_s = self._lost(stay)
                    if old is not None and old.was_taken_over and not stay.session.registered.is_set():
                        pause_s, old = self._lost(old), None
                await asyncio.sleep(pause_s)
        finally:
            work: list[asyncio.Task[None]] = [*self._farewells, *(stay.task for stay in self._here)]
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    def _begin(self) -> Stay:
        url = self._config.edges[self._turn % len(self._config.edges)]
        session = EdgeSession(url, self._token(), self._device, self._config.pool, self._log)
        stay = Stay(url, session, self._registration())
        self._here.add(stay)
        return stay

    def _see_off(self, stay: Stay) -> None:
        stay.session.hand_over()
        farewell = asyncio.create_task(self._farewell(stay))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def _farewell(self, stay: Stay) -> None:
        await asyncio.wait({stay.task}, timeout=LINGER_S)
        stay.session.leave("it has moved to another edge")
        stay.task.cancel()
        await asyncio.gather(stay.task, return_exceptions=True)
        self._here.discard(stay)
        self._log.info("edge left", edge=stay.url)

    # --- how long to wait before the next one ---------------------------------------------------------------

    def _moving(self, stay: Stay) -> float:
        self._turn += 1
        pause_s = self._spread_s()
        self._log.info("asked to leave", edge=stay.url, leaving_in_s=round(pause_s, 2))
        return pause_s

    def _lost(self, stay: Stay) -> float:
        """The session ended: what is said of it, and how long to wait. Raises what no edge can be the reason of."""
        self._here.discard(stay)
        try:
            stay.task.result()
        except TakenOver as error:
            return self._taken_over(error)
        except BrowserGoError as error:
            self._turn += 1
            pause_s = self._retry_s(stay.session)
            refused = isinstance(error, HandshakeRefused | Unauthenticated | Forbidden)
            say = self._log.error if refused else self._log.warning
            what = "refused by the edge" if refused else "edge lost"
            say(what, edge=stay.url, reason=error.message, retry_in_s=round(pause_s, 2))
            return pause_s
        raise AssertionError("a session ends with an error")

    def _taken_over(self, error: TakenOver) -> float:
        """Its channels are nobody's any more, and it stays away."""
        self._backoff.reset()
        self._device.give_up(DeviceReplaced())
        pause_s = TAKEN_OVER_PAUSE_S * (1 + random.random() / 2)
        self._log.error("taken over", reason=error.message, retry_in_s=round(pause_s, 2))
        return pause_s

    def _retry_s(self, session: EdgeSession) -> float:
        """Little when clients wait, longer and longer when nobody lets us in."""
        if not session.registered.is_set():
            return self._backoff.next_delay_s(random.random())
        self._backoff.reset()
        return self._spread_s()

    def _spread_s(self) -> float:
        return random.random() * (BUSY_RETRY_S if self._device.channels else self._config.idle_retry_s)

    def _token(self) -> str:
        try:
            return self._config.read_token()
        except OSError as error:
            self._log.error("token cannot be read", reason=error.strerror)
        except ValueError as error:
            self._log.error("token cannot be read", reason=str(error))
        return ""
