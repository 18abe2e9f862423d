"""`python -m deploy.embedded`: an edge and its router in one process, for one small machine.

The router's switch is called within the process and no batch is packed; frames, queues, counters and spans are those of
two processes. The router still listens at the address that the edge's configuration names: control and further edges
reach it there, as they reach any other.
"""

import asyncio
import functools

from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import configure_logs
from browsergo.chassis.membership import Membership
from browsergo.chassis.process import Stop, run
from browsergo.chassis.racing import first_of
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.v2 import types_pb2
from edge.__main__ import CarrierTo
from edge.__main__ import serve as serve_edge
from edge.config import EdgeConfig
from edge.grpc_carrier import GrpcCarrier
from edge.trunks import Carrier, Stream
from services.router.__main__ import member, register, resolving
from services.router.messages import Messages
from services.router.switchboard import Switchboard, Trunk

ROUTER_ID = "router-1"


class MemoryCarrier:
    """The way to a router in this process."""

    def __init__(self, board: Switchboard, edge: types_pb2.EdgeRun) -> None:
        self._board = board
        self._edge = edge

    async def close(self) -> None:
        """Nothing is held."""

    async def carry(self, stream: Stream) -> None:
        """Until the router drains. Raises BadFrame."""
        trunk = self._board.connect(self._edge)
        try:
            stream.introduced(self._board.router_id)
            await first_of(
                self._to_router(stream, trunk),
                self._to_edge(stream, trunk),
                trunk.replaced.wait(),
                self._board.draining.wait(),
            )
        finally:
            self._board.disconnect(trunk)

    async def _to_router(self, stream: Stream, trunk: Trunk) -> None:
        while taken := await stream.outbox.take():
            stream.taken(taken)
            batch = [queued.frame for queued in taken]
            for full in self._board.arrived(trunk, batch, sum(len(frame.payload) for frame in batch)):
                await full.drained()

    async def _to_edge(self, stream: Stream, trunk: Trunk) -> None:
        while taken := await trunk.outbox.take():
            batch = [queued.frame for queued in taken]
            self._board.leaving(trunk, taken, sum(len(frame.payload) for frame in batch))
            stream.arrived(batch)


def carriers_around(board: Switchboard, listen: str) -> CarrierTo:
    """How an edge in the process of the router that is `board`, and listens at `listen`, reaches each router."""

    def carrier_to(address: str, edge: types_pb2.EdgeRun) -> Carrier:
        return MemoryCarrier(board, edge) if address == listen else GrpcCarrier(address, edge)

    return carrier_to


async def serve(config: EdgeConfig, stop: Stop) -> None:
    """Serve until asked to stop: the edge drains first, and its router carries until it has."""
    if not config.routers:
        raise ConfigError("routers: the first is the address at which the router within listens")
    [listen, *_] = config.routers
    log = configure_logs(semconv.SERVICE_ROUTER, ROUTER_ID, config.log_level, config.log_format)
    telemetry = Telemetry(semconv.SERVICE_ROUTER, ROUTER_ID)
    board = Switchboard(ROUTER_ID, telemetry, log)
    try:
        async with open_channel(config.registry) as registry:
            messages = Messages(board, resolving(registry), telemetry, log)
            membership = Membership(registry, member(ROUTER_ID, listen), log)
            async with serving([listen], functools.partial(register, board, messages), stop):
                beside = [
                    asyncio.create_task(membership.hold_until(stop.requested)),
                    asyncio.create_task(messages.run()),
                ]
                try:
                    await serve_edge(config, stop, carriers_around(board, listen))
                finally:
                    for task in beside:
                        task.cancel()
                    await asyncio.gather(*beside, return_exceptions=True)
                board.drain()
    finally:
        telemetry.shutdown()


def main() -> None:
    """Entry point."""
    config = load_or_exit(EdgeConfig)
    try:
        run(lambda stop: serve(config, stop))
    except ConfigError as error:
        refuse(config.section, str(error))


if __name__ == "__main__":
    main()
