"""Finding the edge of a device: as the registry's watch told, and without a registry as it told last."""

from collections.abc import AsyncIterator, Callable

import structlog

from browsergo.chassis.following import Follower
from browsergo.core.errors import DeadlineExceeded, ServiceUnavailable
from browsergo.core.views import Told
from edge.stubs import RegistryStub


class Placement:
    """Routes of all devices, kept by a watch of the registry."""

    def __init__(
        self,
        registry: RegistryStub,
        placed: Callable[[str, int | None], None],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """`placed` hears of every device and the edge run that holds it, None for none."""
        self._registry = registry
        self._placed = placed
        self.routes = Follower(self._watch, "routes", log)

    async def run(self) -> None:
        """Watch until cancelled."""
        await self.routes.run()

    async def resolve(self, device: str) -> int:
        """The run of the edge that holds the device.

        Raises DeviceNotFound, DeviceOffline; ServiceUnavailable or DeadlineExceeded when the registry is away and never
        told of the device.
        """
        known = self.routes.view.get(device)
        if self.routes.is_current and known is not None:
            return known
        try:
            return await self._registry.resolve(device)
        except (ServiceUnavailable, DeadlineExceeded):
            if known is None:
                raise
            return known

    async def _watch(self, generation: int, revision: int) -> AsyncIterator[Told[int]]:
        async for told in self._registry.watch_routes(generation, revision):
            entries = list(told.entries)
            for device, edge in entries:
                self._placed(device, edge)
            yield told._replace(entries=entries)
