"""An EpochStore in memory that can be made to wait or to fail."""

import asyncio
from collections.abc import Mapping, Sequence

from browsergo.core.errors import ServiceUnavailable


class MemoryEpochs:
    """Keeps `newest`; hand the same object to a second registry to play a restart."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}
        self.broken = False
        self.waiting = 0
        self.arrived = asyncio.Event()  # set whenever a request waits
        self.open = asyncio.Event()  # requests wait until it is set
        self.open.set()

    async def next_epoch(self, device_id: str) -> int:
        await self._pass()
        self.newest[device_id] = self.newest.get(device_id, 0) + 1
        return self.newest[device_id]

    async def newest_epochs(self, device_ids: Sequence[str]) -> Mapping[str, int]:
        await self._pass()
        return {device_id: self.newest[device_id] for device_id in device_ids if device_id in self.newest}

    async def _pass(self) -> None:
        self.waiting += 1
        self.arrived.set()
        await self.open.wait()
        self.waiting -= 1
        if self.broken:
            raise ServiceUnavailable("the disk is full")
