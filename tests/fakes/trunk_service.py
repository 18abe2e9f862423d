"""A router that does as told with each trunk: the other side of what `edge.trunks` must bear."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from grpc import aio

from browsergo.chassis.grpc_server import serving
from browsergo.chassis.process import Stop
from browsergo.core.channel import frames
from browsergo.v2 import trunk_pb2, trunk_pb2_grpc

Behaviour = Callable[[Any, Any], Awaitable[None]]  # (requests, gRPC context)


class OddRouter(trunk_pb2_grpc.TrunkServiceServicer):
    """Plays `behaviours` one after another, the last one for ever."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)
        self.trunks = 0

    async def Exchange(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # as the real one
        behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
        self.trunks += 1
        await behave(aiter(request_iterator), context)


def introduction(router_id: str = "odd") -> trunk_pb2.ExchangeResponse:
    """What a router says first."""
    found = trunk_pb2.RouterIntroduction(router_id=router_id, layout_version=frames.LAYOUT_VERSION, version="test")
    return trunk_pb2.ExchangeResponse(introduction=found)


@contextlib.asynccontextmanager
async def odd_router(router: OddRouter, folder: Path) -> AsyncIterator[str]:
    """Its address."""

    def register(server: aio.Server) -> list[str]:
        trunk_pb2_grpc.add_TrunkServiceServicer_to_server(router, server)
        return []

    address = f"unix:{folder / 'odd.sock'}"
    async with serving([address], register, Stop(), grace_s=0.1):
        yield address
