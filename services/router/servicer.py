"""RouterService: what other services ask of a router."""

import time
from typing import Any

from grpc import aio

import browsergo
from browsergo.chassis.grpc_errors import aborting
from browsergo.v2 import router_pb2, router_pb2_grpc
from services.router.messages import Messages
from services.router.switchboard import Switchboard


class RouterServicer(router_pb2_grpc.RouterServiceServicer):
    """Status, commands for edges, and commands for browsers."""

    def __init__(self, board: Switchboard, messages: Messages) -> None:
        self._board = board
        self._messages = messages
        self._started_s = time.monotonic()

    async def GetStatus(
        self, request: router_pb2.GetRouterStatusRequest, context: "aio.ServicerContext[Any, Any]"
    ) -> router_pb2.GetRouterStatusResponse:
        """Uptime and one row a trunk."""
        return router_pb2.GetRouterStatusResponse(
            router_id=self._board.router_id,
            version=browsergo.__version__,
            uptime_ms=int((time.monotonic() - self._started_s) * 1000),
            trunks=[trunk.snapshot() for trunk in self._board.trunks],
            frames_unroutable=self._board.switch.unroutable,
        )

    @aborting
    async def CommandEdge(
        self, request: router_pb2.CommandEdgeRequest, context: "aio.ServicerContext[Any, Any]"
    ) -> router_pb2.CommandEdgeResponse:
        """Carries a command to an edge; the caller's deadline bounds the wait."""
        return await self._board.command(request)

    @aborting
    async def RouteMessage(
        self, request: router_pb2.RouteMessageRequest, context: "aio.ServicerContext[Any, Any]"
    ) -> router_pb2.RouteMessageResponse:
        """One CDP command and its answer; the caller's deadline bounds the wait."""
        answer = await self._messages.route(request.device_id, request.target_id, request.message.encode())
        return router_pb2.RouteMessageResponse(message=answer.decode("utf-8", "replace"))
