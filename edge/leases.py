"""Keeps the registry's view of this edge's devices true: renewals in batches, changes at once, releases."""

import asyncio
import time
from collections.abc import Iterable, Iterator

import structlog

from browsergo.core.errors import BrowserGoError, TakenOver
from browsergo.v2 import types_pb2
from edge.devices import Devices, Session
from edge.stubs import RegistryStub, identity_of, state_number

BATCH = 1000
BATCH_BYTES = 4 << 20  # half of what a gRPC message may have
RETRY_S = 0.5
LEAVE_WITHIN_S = 5.0  # a device that was asked to leave, from when it is registered elsewhere


class Leases:
    """Renews every lease each `interval_s`, and whenever `devices.changed` is set."""

    def __init__(
        self,
        devices: Devices,
        registry: RegistryStub,
        edge: types_pb2.EdgeRun,
        interval_s: float,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._devices = devices
        self._registry = registry
        self._edge = edge
        self._interval_s = interval_s
        self._log = log
        self._held: dict[str, int] = {}  # device -> epoch, as the registry knows it from us
        self.last_error = ""

    async def run(self) -> None:
        """Until cancelled. A registry that is away is asked again soon; the data path goes on meanwhile."""
        while True:
            wait_s = self._interval_s
            try:
                await self.renew()
                self.last_error = ""
            except BrowserGoError as error:
                if not self.last_error:
                    self._log.warning("leases not renewed", reason=error.code, detail=error.message)
                self.last_error = error.message
                wait_s = RETRY_S
                self._devices.changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._devices.changed.wait()
            except TimeoutError:
                pass

    async def renew(self) -> None:
        """One round: release what is gone, renew what is here, drop what is fenced."""
        self._devices.changed.clear()
        for device, epoch in list(self._held.items()):
            if not self._devices.expects(device, epoch):  # asked anew each time: it may come back while others go
                await self._registry.release(device, epoch)
                del self._held[device]
        here = {session.device: session for session in self._devices if not session.fenced}
        self._held.update({device: session.epoch for device, session in here.items()})
        for batch in _batches([self._device(session) for session in here.values()]):
            for device in await self._registry.renew(batch):
                self._fence(here[device])

    def _fence(self, session: Session) -> None:
        """It is registered elsewhere. If it was asked to go there, it says goodbye itself, once its channels have."""
        self._held.pop(session.device, None)
        session.fenced = True
        if session.leaving:
            asyncio.get_running_loop().call_later(LEAVE_WITHIN_S, self._devices.remove, session, TakenOver())
        else:
            self._devices.remove(session, TakenOver())

    def _device(self, session: Session) -> types_pb2.Device:
        seen_ago_s = time.monotonic() - session.last_seen_s
        return types_pb2.Device(
            identity=identity_of(session.registration),
            connection_id=session.connection_id,
            state=state_number(session.state),
            edge=self._edge,
            epoch=session.epoch,
            registered_unix_ms=session.registered_unix_ms,
            last_seen_unix_ms=int((time.time() - seen_ago_s) * 1000),
        )


def _batches(devices: Iterable[types_pb2.Device]) -> Iterator[list[types_pb2.Device]]:
    batch: list[types_pb2.Device] = []
    size = 0
    for device in devices:
        batch.append(device)
        size += device.ByteSize()
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
