"""Finding the edge of a device: as the registry's watch told, and without a registry as it told last."""

import asyncio
import random

import structlog

from browsergo.core.backoff import Backoff
from browsergo.core.errors import BrowserGoError, DeadlineExceeded, ServiceUnavailable
from edge.core.routes import Routes
from edge.stubs import RegistryStub

RETRY_FIRST_S, RETRY_CAP_S = 0.1, 2.0


class Placement:
    """Routes of all devices, kept by a watch of the registry."""

    def __init__(self, registry: RegistryStub, log: structlog.typing.FilteringBoundLogger) -> None:
        self._registry = registry
        self._log = log
        self._routes = Routes()
        self.is_current = False  # the watch is up and whole

    async def run(self) -> None:
        """Watch until cancelled. A registry that is away or ended is asked again; what it told last goes on."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        while True:
            try:
                async for told in self._registry.watch_routes(self._routes.generation, self._routes.revision):
                    self._routes.told(*told)
                    if told.revision:
                        self.is_current = True
                        backoff.reset()
                why = "the registry ended it"
            except BrowserGoError as error:
                why = error.message
            finally:
                self._routes.interrupted()
                was_current, self.is_current = self.is_current, False
            if was_current:
                self._log.info("watch of routes interrupted", detail=why, routes=len(self._routes))
            await asyncio.sleep(backoff.next_delay_s(0.5 + random.random() / 2))

    async def resolve(self, device: str) -> int:
        """The run of the edge that holds the device.

        Raises DeviceNotFound, DeviceOffline; ServiceUnavailable or DeadlineExceeded when the registry is away and never
        told of the device.
        """
        known = self._routes.edge_of(device)
        if self.is_current and known is not None:
            return known
        try:
            return await self._registry.resolve(device)
        except (ServiceUnavailable, DeadlineExceeded):
            if known is None:
                raise
            return known
