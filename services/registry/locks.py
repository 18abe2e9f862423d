"""One lock a device, kept only while somebody holds it or waits for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class DeviceLocks:
    """Registrations of one device happen one after the other; those of others are not held up."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def holding(self, device_id: str) -> AsyncIterator[None]:
        """Hold the device's lock while the block runs; those who wait get it in the order they came."""
        lock, users = self._locks.get(device_id, (asyncio.Lock(), 0))
        self._locks[device_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            self._leave(device_id)

    def _leave(self, device_id: str) -> None:
        lock, users = self._locks[device_id]
        if users == 1:
            del self._locks[device_id]
        else:
            self._locks[device_id] = (lock, users - 1)

    def __len__(self) -> int:
        return len(self._locks)
