"""Trunks over gRPC: one Exchange stream to a router in another process."""

import asyncio
from collections.abc import AsyncIterator

from grpc import RpcError, aio

import browsergo
from browsergo.chassis.grpc_client import open_channel
from browsergo.core.channel import frames
from browsergo.core.errors import BadFrame
from browsergo.v2 import trunk_pb2, trunk_pb2_grpc, types_pb2
from edge.trunks import Stream, StreamLost

INTRODUCTION_TIMEOUT_S = 5.0


class GrpcCarrier:
    """The way to the router at `address`."""

    def __init__(self, address: str, edge: types_pb2.EdgeRun) -> None:
        self._edge = edge
        self._channel = open_channel(address)
        self._stub = trunk_pb2_grpc.TrunkServiceStub(self._channel)

    async def close(self) -> None:
        """Close the gRPC channel."""
        await self._channel.close(None)

    async def carry(self, stream: Stream) -> None:
        """One Exchange, until the router ends it. Raises StreamLost, BadFrame."""
        call = self._stub.Exchange(self._requests(stream))
        responses = aiter(call)
        try:
            async with asyncio.timeout(INTRODUCTION_TIMEOUT_S):
                first = await anext(responses, None)
            if first is None or first.WhichOneof("body") != "introduction":
                raise BadFrame("the router did not introduce itself")
            stream.introduced(first.introduction.router_id)
            async for response in responses:
                stream.arrived(frames.decode_batch(response.batch.headers, response.batch.payloads))
        except RpcError as error:
            raise StreamLost((error.details() or "") if isinstance(error, aio.AioRpcError) else str(error)) from None
        except TimeoutError:
            raise StreamLost("the router did not introduce itself in time") from None
        finally:
            call.cancel()

    async def _requests(self, stream: Stream) -> AsyncIterator[trunk_pb2.ExchangeRequest]:
        """Who we are, then everything that is queued, batch by batch; gRPC asks for the next when one is written."""
        introduction = trunk_pb2.EdgeIntroduction(
            edge=self._edge, layout_version=frames.LAYOUT_VERSION, version=browsergo.__version__
        )
        yield trunk_pb2.ExchangeRequest(introduction=introduction)
        while taken := await stream.outbox.take():
            stream.taken(taken)
            leaving = [queued.frame for queued in taken]
            batch = trunk_pb2.Batch(headers=frames.encode_headers(leaving), payloads=frames.encode_payloads(leaving))
            yield trunk_pb2.ExchangeRequest(batch=batch)
