"""The edge's end of a trunk, by hand: what a router sees of an edge, good or bad."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_errors import from_rpc
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.errors import BrowserGoError
from browsergo.v2 import trunk_pb2, trunk_pb2_grpc, types_pb2

TIMEOUT_S = 10.0


class RawTrunk:
    """One Exchange stream."""

    def __init__(self, channel: aio.Channel) -> None:
        stub: Any = trunk_pb2_grpc.TrunkServiceStub(channel)  # the type stubs know only the form with an iterator
        self._call = stub.Exchange()
        self._arrived: deque[Frame] = deque()

    async def introduce(self, edge: types_pb2.EdgeRun, layout_version: int = frames.LAYOUT_VERSION) -> str:
        """Say who this edge is; the router's id."""
        await self.say(trunk_pb2.EdgeIntroduction(edge=edge, layout_version=layout_version, version="test"))
        answer = await self._read()
        assert answer.WhichOneof("body") == "introduction", answer
        router_id: str = answer.introduction.router_id
        return router_id

    async def say(self, introduction: trunk_pb2.EdgeIntroduction) -> None:
        """An introduction, without waiting for the answer."""
        await self._call.write(trunk_pb2.ExchangeRequest(introduction=introduction))

    async def done_writing(self) -> None:
        """Nothing more comes from this side."""
        await self._call.done_writing()

    async def send(self, *leaving: Frame) -> None:
        """These frames as one batch."""
        await self.send_batch(frames.encode_headers(leaving), frames.encode_payloads(leaving))

    async def send_batch(self, headers: bytes, payloads: bytes) -> None:
        """A batch of these bytes."""
        await self._call.write(trunk_pb2.ExchangeRequest(batch=trunk_pb2.Batch(headers=headers, payloads=payloads)))

    async def receive(self) -> Frame:
        """The next frame."""
        while not self._arrived:
            answer = await self._read()
            assert isinstance(answer, trunk_pb2.ExchangeResponse), "the router ended the trunk"
            self._arrived.extend(frames.decode_batch(answer.batch.headers, answer.batch.payloads))
        return self._arrived.popleft()

    async def receive_kind(self, kind: Kind) -> Frame:
        """The next frame of this kind; others before it are dropped."""
        while (frame := await self.receive()).kind != kind:
            pass
        return frame

    async def ended(self) -> aio.AioRpcError | None:
        """Wait for the router to end it: the error, or None for an orderly end. What still comes is dropped."""
        try:
            while isinstance(await self._read(), trunk_pb2.ExchangeResponse):
                pass
        except aio.AioRpcError as error:
            return error
        return None

    async def _read(self) -> Any:
        async with asyncio.timeout(TIMEOUT_S):
            return await self._call.read()

    async def finish(self) -> None:
        """End it from this side."""
        await self.done_writing()
        await self.ended()

    def cancel(self) -> None:
        """Cut it from this side."""
        self._call.cancel()


@asynccontextmanager
async def raw_trunk(address: str, edge: types_pb2.EdgeRun | None = None) -> AsyncIterator[RawTrunk]:
    """A trunk to the router at `address`, introduced as `edge` unless that is None."""
    async with open_channel(address) as channel:
        trunk = RawTrunk(channel)
        if edge is not None:
            await trunk.introduce(edge)
        try:
            yield trunk
        finally:
            trunk.cancel()


def message(edge: types_pb2.EdgeRun, seq: int = 1, size_bytes: int = 2) -> Frame:
    """A frame for that edge."""
    return Frame(Kind.MSG, edge=edge.boot, seq=seq, payload=bytes(size_bytes))


async def why_refused(trunk: RawTrunk) -> BrowserGoError:
    """What the router ended the trunk with."""
    error = await trunk.ended()
    assert error is not None
    return from_rpc(error)
