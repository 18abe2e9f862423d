"""The end of an edge's life: devices go elsewhere, clients finish, and those that stay are sent away in turn."""

import asyncio
import random
from collections.abc import Callable

import structlog

from browsergo.core.errors import Draining
from edge.clients import Clients
from edge.config import EdgeConfig
from edge.core.draining import gap_s
from edge.devices import Devices

STEP_S = 0.1
# An agent without clients takes up to 10 s to leave (`idle_retry_s`), so that a thousand do not register in one second.
DEVICES_LEAVE_S = 15.0


class Drain:
    """Everybody leaves. `forced` ends it at once; `open_clients` counts the client sockets that are still there."""

    def __init__(
        self,
        clients: Clients,
        devices: Devices,
        config: EdgeConfig,
        open_clients: Callable[[], int],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._clients = clients
        self._devices = devices
        self._config = config
        self._open_clients = open_clients
        self._log = log

    async def run(self, forced: asyncio.Event) -> None:
        """Returns when nobody is here any more; what is owed to clients and devices has been written."""
        self._devices.drain("the edge is shutting down")
        await self._let_finish(forced)
        await self._send_away(forced)
        self._clients.end_all(Draining())
        self._devices.end_all(Draining())

    async def _let_finish(self, forced: asyncio.Event) -> None:
        """Clients may stay for `drain_s`; a device that cannot leave waits for them, but not for other devices."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._config.drain_s
        devices_until_s = loop.time() + min(DEVICES_LEAVE_S, self._config.drain_s)
        while loop.time() < until_s and not forced.is_set():
            if not self._open_clients() and (not len(self._devices) or loop.time() > devices_until_s):
                return
            await _pause(STEP_S, forced)

    async def _send_away(self, forced: asyncio.Event) -> None:
        """One after the other, in random order: clients that came together do not fall on the next edge together."""
        loop = asyncio.get_running_loop()
        staying = self._clients.open_channels()
        random.shuffle(staying)
        if not staying:
            return
        gap, began_s = gap_s(len(staying), self._config.drain_spread_s), loop.time()
        self._log.info("sending clients away", clients=len(staying), within_s=round(gap * len(staying), 1))
        for number, channel in enumerate(staying):
            await _pause(began_s + number * gap - loop.time(), forced)
            self._clients.end(channel, Draining())


async def _pause(delay_s: float, forced: asyncio.Event) -> None:
    if delay_s <= 0:
        return
    try:
        async with asyncio.timeout(delay_s):
            await forced.wait()
    except TimeoutError:
        pass
