"""The edge's side of the trunks: one Exchange stream to every router, kept up."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator

import structlog
from grpc import RpcError, aio

import browsergo
from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.outbox import Outbox
from browsergo.core.backoff import Backoff
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame
from browsergo.core.channel.queue import Queued
from browsergo.core.errors import BadFrame, BrowserGoError
from browsergo.v2 import trunk_pb2, trunk_pb2_grpc, types_pb2

INTRODUCTION_TIMEOUT_S = 5.0
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


class Trunks:
    """Trunks to all routers."""

    def __init__(
        self, addresses: list[str], edge: types_pb2.EdgeRun, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._trunks = {address: Trunk(address) for address in addresses}
        self._edge = edge
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
        async with asyncio.TaskGroup() as group:
            for trunk in self._trunks.values():
                group.create_task(self._keep_up(trunk, listener))

    async def _keep_up(self, trunk: Trunk, listener: TrunkListener) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        async with open_channel(trunk.address) as channel:
            stub = trunk_pb2_grpc.TrunkServiceStub(channel)
            while True:
                try:
                    await self._exchange(trunk, stub, listener, backoff)
                    trunk.last_error = "the router ended the trunk"
                except RpcError as error:
                    trunk.last_error = (error.details() or "") if isinstance(error, aio.AioRpcError) else str(error)
                except TimeoutError:
                    trunk.last_error = "the router did not introduce itself in time"
                except BrowserGoError as error:
                    trunk.last_error = error.message
                    self._log.error("trunk failed", router=trunk.address, reason=error.message)
                await asyncio.sleep(backoff.next_delay_s(0.5 + random.random() / 2))

    async def _exchange(
        self, trunk: Trunk, stub: "trunk_pb2_grpc.TrunkServiceAsyncStub", listener: TrunkListener, backoff: Backoff
    ) -> None:
        outbox = Outbox()
        call = stub.Exchange(self._requests(outbox, listener))
        responses = aiter(call)
        try:
            async with asyncio.timeout(INTRODUCTION_TIMEOUT_S):
                first = await anext(responses, None)
            if first is None or first.WhichOneof("body") != "introduction":
                raise BadFrame("the router did not introduce itself")
            backoff.reset()
            trunk.router_id, trunk.outbox = first.introduction.router_id, outbox
            self._log.info("trunk up", router=trunk.router_id)
            listener.on_up(trunk)
            async for response in responses:
                listener.on_frames(trunk, frames.decode_batch(response.batch.headers, response.batch.payloads))
        finally:
            call.cancel()
            outbox.discard()
            if trunk.outbox is not None:
                trunk.outbox = None
                self._log.warning("trunk down", router=trunk.router_id)
                listener.on_down(trunk)

    async def _requests(self, outbox: Outbox, listener: TrunkListener) -> AsyncIterator[trunk_pb2.ExchangeRequest]:
        """Who we are, then everything that is queued, batch by batch; gRPC asks for the next when one is written."""
        introduction = trunk_pb2.EdgeIntroduction(
            edge=self._edge, layout_version=frames.LAYOUT_VERSION, version=browsergo.__version__
        )
        yield trunk_pb2.ExchangeRequest(introduction=introduction)
        while taken := await outbox.take():
            listener.on_taken(taken, time.time_ns())
            leaving = [queued.frame for queued in taken]
            batch = trunk_pb2.Batch(headers=frames.encode_headers(leaving), payloads=frames.encode_payloads(leaving))
            yield trunk_pb2.ExchangeRequest(batch=batch)
