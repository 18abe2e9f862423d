"""The services that control asks. Every failure is a BrowserGoError; no call lasts longer than its deadline."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

from grpc import aio

from browsergo.chassis.grpc_errors import translated
from browsergo.core.errors import DeadlineExceeded
from browsergo.v2 import registry_pb2, registry_pb2_grpc, router_pb2, router_pb2_grpc, types_pb2

T = TypeVar("T")


async def within(deadline_s: float, work: Awaitable[T]) -> T:
    """Await something made of several calls. Raises DeadlineExceeded."""
    try:
        return await asyncio.wait_for(work, deadline_s)
    except TimeoutError:
        raise DeadlineExceeded(f"no answer within {deadline_s:g} s") from None


class RegistryPeer:
    """The registry."""

    name = "registry"

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)

    async def resolve(self, device_id: str, deadline_s: float) -> types_pb2.EdgeRun:
        """The edge that holds the device. Raises DeviceNotFound, DeviceOffline and what gRPC raises."""
        request = registry_pb2.ResolveRequest(device_id=device_id)
        return (await translated(self._stub.Resolve(request, timeout=deadline_s))).edge

    async def pages(self) -> AsyncGenerator[registry_pb2.ListDevicesResponse, None]:
        """All devices with a live lease, page by page; bound the whole with `within`."""
        token = ""
        while True:
            page = await translated(self._stub.ListDevices(registry_pb2.ListDevicesRequest(page_token=token)))
            yield page
            token = page.next_page_token
            if not token:
                return


class RouterPeer:
    """One router."""

    def __init__(self, address: str, channel: aio.Channel) -> None:
        self.name = f"router {address}"
        self._channel = channel  # kept, though only its stub is used: it closes itself when nobody has it
        self._stub = router_pb2_grpc.RouterServiceStub(self._channel)

    async def close(self) -> None:
        """Close the gRPC channel."""
        await self._channel.close(None)

    async def status(self, deadline_s: float) -> router_pb2.GetRouterStatusResponse:
        """What the router says of itself and of the edges whose trunks it has."""
        return await translated(self._stub.GetStatus(router_pb2.GetRouterStatusRequest(), timeout=deadline_s))

    async def command(
        self, request: router_pb2.CommandEdgeRequest, deadline_s: float
    ) -> router_pb2.CommandEdgeResponse:
        """Have an edge do something. Raises EdgeNotFound (its trunk is not here), and what the edge answers."""
        return await translated(self._stub.CommandEdge(request, timeout=deadline_s))
