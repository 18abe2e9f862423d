"""Finding the edge of a device: as the registry's watch told, and without a registry as it told last."""

import structlog

from browsergo.chassis.following import Follower
from browsergo.core.errors import DeadlineExceeded, ServiceUnavailable
from edge.stubs import RegistryStub


class Placement:
    """Routes of all devices, kept by a watch of the registry."""

    def __init__(self, registry: RegistryStub, log: structlog.typing.FilteringBoundLogger) -> None:
        self._registry = registry
        self.routes = Follower(registry.watch_routes, "routes", log)

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
