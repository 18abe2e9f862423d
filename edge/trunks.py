"""The edge's side of the trunks: one stream to every router, kept up, whatever carries it."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

import structlog

from browsergo.chassis.outbox import Outbox
from browsergo.core.backoff import Backoff
from browsergo.core.channel.frames import Frame
from browsergo.core.channel.queue import Queued
from browsergo.core.errors import BrowserGoError

RETRY_FIRST_S, RETRY_CAP_S = 0.1, 2.0


class Trunk:
    """The stream to one router: up or down, with an outbox while it is up."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.outbox: Outbox | None = None
        self.router_id = ""
        self.last_error = "not connected yet"

    @property
    def up(self) -> bool:
        """Whether frames can be sent."""
        return self.outbox is not None


class TrunkListener:
    """Who is told of frames and of trunks that come and go; the router's address names a trunk."""

    def on_frames(self, trunk: Trunk, arrived: list[Frame]) -> None:
        """A batch came in."""
        raise NotImplementedError

    def on_up(self, trunk: Trunk) -> None:
        """The trunk is up."""
        raise NotImplementedError

    def on_down(self, trunk: Trunk) -> None:
        """The trunk is gone; what was queued is dropped."""
        raise NotImplementedError

    def on_taken(self, taken: list[Queued], now_ns: int) -> None:
        """These frames leave now."""
        raise NotImplementedError


class Stream:
    """One attempt to carry frames: what a carrier takes from `outbox`, and whom it tells of what happens."""

    def __init__(self, trunk: Trunk, listener: TrunkListener, log: structlog.typing.FilteringBoundLogger) -> None:
        self.outbox = Outbox()
        self._trunk = trunk
        self._listener = listener
        self._log = log

    def introduced(self, router_id: str) -> None:
        """The router took us: frames can be sent."""
        self._trunk.router_id, self._trunk.outbox = router_id, self.outbox
        self._log.info("trunk up", router=router_id)
        self._listener.on_up(self._trunk)

    def taken(self, taken: list[Queued]) -> None:
        """These frames are about to be handed on."""
        self._listener.on_taken(taken, time.time_ns())

    def arrived(self, batch: list[Frame]) -> None:
        """These frames came."""
        self._listener.on_frames(self._trunk, batch)

    def end(self) -> bool:
        """It is over; whether it had begun."""
        self.outbox.discard()
        if self._trunk.outbox is None:
            return False
        self._trunk.outbox = None
        self._log.warning("trunk down", router=self._trunk.router_id)
        self._listener.on_down(self._trunk)
        return True


class StreamLost(Exception):
    """The stream ended, or never began, for the reason in the text; it is tried again."""


class Carrier(Protocol):
    """A way to one router: gRPC (edge.grpc_carrier), or the memory of this process (deploy.embedded)."""

    async def carry(self, stream: Stream) -> None:
        """Carry frames both ways until the stream ends. Raises StreamLost, or a BrowserGoError that tells a fault."""

    async def close(self) -> None:
        """Nothing is carried any more."""


class Trunks:
    """Trunks to all routers, by their addresses."""

    def __init__(self, carriers: Mapping[str, Carrier], log: structlog.typing.FilteringBoundLogger) -> None:
        self._carriers = carriers
        self._trunks = {address: Trunk(address) for address in carriers}
        self._log = log

    def __iter__(self) -> Iterator[Trunk]:
        return iter(list(self._trunks.values()))

    def get(self, address: str) -> Trunk | None:
        """The trunk to the router at `address`, if it is up."""
        trunk = self._trunks.get(address)
        return trunk if trunk is not None and trunk.up else None

    def live(self) -> list[str]:
        """Addresses of the routers whose trunks are up."""
        return [address for address, trunk in self._trunks.items() if trunk.up]

    async def run(self, listener: TrunkListener) -> None:
        """Keep every trunk up until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for address, carrier in self._carriers.items():
                    group.create_task(self._keep_up(self._trunks[address], carrier, listener))
        finally:
            await asyncio.gather(*(carrier.close() for carrier in self._carriers.values()))

    async def _keep_up(self, trunk: Trunk, carrier: Carrier, listener: TrunkListener) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        while True:
            stream = Stream(trunk, listener, self._log)
            try:
                await carrier.carry(stream)
                trunk.last_error = "the router ended the trunk"
            except StreamLost as error:
                trunk.last_error = str(error)
            except BrowserGoError as error:
                trunk.last_error = error.message
                self._log.error("trunk failed", router=trunk.address, reason=error.message)
            finally:
                if stream.end():
                    backoff.reset()
            await asyncio.sleep(backoff.next_delay_s(0.5 + random.random() / 2))
