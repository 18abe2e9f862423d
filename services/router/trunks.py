"""Trunks over gRPC: one Exchange stream per edge process, frames in, frames out."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from grpc import aio

import browsergo
from browsergo.chassis.grpc_errors import abort
from browsergo.chassis.racing import first_of
from browsergo.core import errors
from browsergo.core.channel import frames
from browsergo.v2 import trunk_pb2, trunk_pb2_grpc, types_pb2
from services.router.switchboard import Switchboard, Trunk

if TYPE_CHECKING:
    Context = aio.ServicerContext[trunk_pb2.ExchangeRequest, trunk_pb2.ExchangeResponse]


class TrunkServicer(trunk_pb2_grpc.TrunkServiceServicer):
    """TrunkService over a switchboard."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    async def Exchange(  # type: ignore[override]  # it writes to the context instead of yielding
        self, request_iterator: AsyncIterator[trunk_pb2.ExchangeRequest], context: "Context"
    ) -> None:
        """One edge's trunk, until either side ends it."""
        requests = aiter(request_iterator)
        trunk = self._board.connect(await self._introduced(requests, context))
        try:
            await self._carry(trunk, requests, context)
        finally:
            self._board.disconnect(trunk)

    async def _introduced(
        self, requests: AsyncIterator[trunk_pb2.ExchangeRequest], context: "Context"
    ) -> types_pb2.EdgeRun:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("body") != "introduction":
            await abort(context, errors.BadFrame("a trunk starts with an introduction"))
        introduction = first.introduction
        if introduction.layout_version != frames.LAYOUT_VERSION:
            await abort(context, errors.UnsupportedVersion(f"batch layout {introduction.layout_version}"))
        if introduction.edge.boot in (frames.NO_EDGE, frames.EVERY_EDGE):
            await abort(context, errors.InvalidArgument("this boot is not an address"))
        answer = trunk_pb2.RouterIntroduction(
            router_id=self._board.router_id, layout_version=frames.LAYOUT_VERSION, version=browsergo.__version__
        )
        await context.write(trunk_pb2.ExchangeResponse(introduction=answer))
        return introduction.edge

    async def _carry(
        self, trunk: Trunk, requests: AsyncIterator[trunk_pb2.ExchangeRequest], context: "Context"
    ) -> None:
        """Read and write until one direction ends, the trunk is replaced, or the router drains."""
        try:
            await first_of(
                self._read(trunk, requests),
                self._write(trunk, context),
                trunk.replaced.wait(),
                self._board.draining.wait(),
            )
        except errors.BrowserGoError as error:
            await abort(context, error)

    async def _read(self, trunk: Trunk, requests: AsyncIterator[trunk_pb2.ExchangeRequest]) -> None:
        async for request in requests:
            batch = request.batch
            arrived = frames.decode_batch(batch.headers, batch.payloads)
            for outbox in self._board.arrived(trunk, arrived, len(batch.payloads)):
                await outbox.drained()  # back-pressure: this edge waits while that one takes nothing

    async def _write(self, trunk: Trunk, context: "Context") -> None:
        while taken := await trunk.outbox.take():
            leaving = [queued.frame for queued in taken]
            payloads = frames.encode_payloads(leaving)
            batch = trunk_pb2.Batch(headers=frames.encode_headers(leaving), payloads=payloads)
            self._board.leaving(trunk, taken, len(payloads))
            await context.write(trunk_pb2.ExchangeResponse(batch=batch))
