"""A router that answers as told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from grpc import aio

from browsergo.chassis.grpc_errors import aborting
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.process import Stop
from browsergo.core.errors import BrowserGoError, EdgeNotFound
from browsergo.v2 import router_pb2, router_pb2_grpc, types_pb2

Context = aio.ServicerContext[Any, Any]


class FakeRouter(router_pb2_grpc.RouterServiceServicer):
    """Has trunks to `edges`, which hold `devices`.

    `failure` is what it answers to commands instead; `overload` the rung that its edges say they are on; `stalled`: it
    never answers; `company`: it answers GetStatus when so many others were asked too.
    """

    def __init__(self, router_id: str, edges: Sequence[types_pb2.EdgeRun] = ()) -> None:
        self.router_id = router_id
        self.edges = {edge.boot: edge for edge in edges}
        self.devices: set[str] = set()
        self.commands: list[router_pb2.CommandEdgeRequest] = []
        self.failure: BrowserGoError | None = None
        self.overload = ""
        self.stalled = False
        self.company: asyncio.Barrier | None = None

    async def RouteMessage(
        self, request: router_pb2.RouteMessageRequest, context: Context
    ) -> router_pb2.RouteMessageResponse:
        raise NotImplementedError  # nobody asks a router for it yet

    @aborting
    async def GetStatus(
        self, request: router_pb2.GetRouterStatusRequest, context: Context
    ) -> router_pb2.GetRouterStatusResponse:
        await self._stall()
        if self.company is not None:
            await self.company.wait()
        trunks = [router_pb2.TrunkStatus(edge=edge) for edge in self.edges.values()]
        return router_pb2.GetRouterStatusResponse(router_id=self.router_id, trunks=trunks)

    @aborting
    async def CommandEdge(
        self, request: router_pb2.CommandEdgeRequest, context: Context
    ) -> router_pb2.CommandEdgeResponse:
        self.commands.append(request)
        await self._stall()
        if self.failure is not None:
            raise self.failure
        if request.edge.boot not in self.edges:
            raise EdgeNotFound
        if request.HasField("describe_edge"):
            edge, devices = self.edges[request.edge.boot], len(self.devices)
            description = router_pb2.EdgeDescription(edge=edge, devices=devices, overload=self.overload)
            return router_pb2.CommandEdgeResponse(edge_description=description)
        was_connected = request.disconnect_device.device_id in self.devices
        self.devices.discard(request.disconnect_device.device_id)
        answer = router_pb2.DeviceDisconnected(was_connected=was_connected)
        return router_pb2.CommandEdgeResponse(device_disconnected=answer)

    async def _stall(self) -> None:
        if self.stalled:
            await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def served(router: FakeRouter, folder: Path) -> AsyncIterator[str]:
    """The address of the router, which answers as long as the block runs."""

    def register(server: aio.Server) -> list[str]:
        router_pb2_grpc.add_RouterServiceServicer_to_server(router, server)
        return []

    address = f"unix:{folder / router.router_id}.sock"
    async with serving([address], register, Stop(), grace_s=0.1):
        yield address
