"""The edge's side of the trunks: one stream to every router, kept up, whatever carries it."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
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
    """Trunks to all routers, by their addresses: to the `seeds` always, to those that the registry tells as told."""

    def __init__(
        self, seeds: Iterable[str], carrier_to: Callable[[str], Carrier], log: structlog.typing.FilteringBoundLogger
    ) -> None:
        """`carrier_to` makes the way to the router at an address."""
        self._seeds = tuple(dict.fromkeys(seeds))
        self._told: dict[str, str] = {}
        self._carrier_to = carrier_to
        self._trunks: dict[str, Trunk] = {}
        self._log = log
        self._look = asyncio.Event()

    def __iter__(self) -> Iterator[Trunk]:
        return iter(list(self._trunks.values()))

    def get(self, address: str) -> Trunk | None:
        """The trunk to the router at `address`, if it is up."""
        trunk = self._trunks.get(address)
        return trunk if trunk is not None and trunk.up else None

    def live(self) -> list[str]:
        """Addresses of the routers whose trunks are up."""
        return [address for address, trunk in self._trunks.items() if trunk.up]

    def told(self, routers: Iterable[tuple[str, str]]) -> None:
        """The ids and addresses of all routers that the registry knows now. No trunk that is up ends by this."""
        self._told = {address: router_id for router_id, address in routers}
        self._look.set()

    async def run(self, listener: TrunkListener) -> None:
        """Keep a trunk up to every router until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._look.clear()
                for address in (*self._seeds, *self._told):
                    if address not in self._trunks and self._is_wanted(address):
                        trunk = self._trunks[address] = Trunk(address)
                        group.create_task(self._keep(trunk, listener))
                await self._look.wait()

    def _is_wanted(self, address: str) -> bool:
        if address in self._seeds:
            return True
        router_id = self._told.get(address)
        # A router that is reached at another address already would end one of the two trunks for the other, for ever.
        return router_id is not None and not any(
            trunk.up and trunk.router_id == router_id and trunk.address != address for trunk in self
        )

    async def _keep(self, trunk: Trunk, listener: TrunkListener) -> None:
        """Until nobody knows the router any more and its trunk is down."""
        carrier = self._carrier_to(trunk.address)
        try:
            await self._keep_up(trunk, carrier, listener)
        finally:
            await carrier.close()

    async def _keep_up(self, trunk: Trunk, carrier: Carrier, listener: TrunkListener) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        while self._is_wanted(trunk.address):
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
            self._look.set()  # the same router may be known at another address
            await asyncio.sleep(backoff.next_delay_s(0.5 + random.random() / 2))
        del self._trunks[trunk.address]
        self._log.info("trunk dropped", router=trunk.address, reason=trunk.last_error)
