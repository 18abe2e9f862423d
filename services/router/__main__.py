"""`python -m services.router`: the switch between edges."""

import functools

from grpc import aio

import browsergo
from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import Logger, configure_logs
from browsergo.chassis.membership import Membership
from browsergo.chassis.process import Stop, new_boot, run
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.v2 import membership_pb2, router_pb2, router_pb2_grpc, trunk_pb2, trunk_pb2_grpc
from services.router.config import RouterConfig
from services.router.servicer import RouterServicer
from services.router.switchboard import Switchboard
from services.router.trunks import TrunkServicer

_SERVICES = (
    trunk_pb2.DESCRIPTOR.services_by_name["TrunkService"].full_name,
    router_pb2.DESCRIPTOR.services_by_name["RouterService"].full_name,
)


def register(board: Switchboard, server: aio.Server) -> tuple[str, ...]:
    """Serve `board` over gRPC; the names of its services."""
    trunk_pb2_grpc.add_TrunkServiceServicer_to_server(TrunkServicer(board), server)
    router_pb2_grpc.add_RouterServiceServicer_to_server(RouterServicer(board), server)
    return _SERVICES


def member(router_id: str, address: str) -> membership_pb2.Member:
    """A run of a router that edges reach at `address`, as the registry knows it."""
    return membership_pb2.Member(
        kind=membership_pb2.MEMBER_KIND_ROUTER,
        id=router_id,
        boot=new_boot(),
        address=address,
        version=browsergo.__version__,
    )


async def serve(config: RouterConfig, stop: Stop) -> None:
    """Serve until asked to stop."""
    log = configure_logs(semconv.SERVICE_ROUTER, config.instance_id, config.log_level, config.log_format)
    telemetry = Telemetry(semconv.SERVICE_ROUTER, config.instance_id)
    board = Switchboard(config.instance_id, telemetry, log)
    try:
        async with serving(config.listen, functools.partial(register, board), stop) as server:
            log.info("ready", addresses=server.addresses)
            await _hold_place(config, config.advertise or server.addresses[0], log, stop)
            log.info("stopping")
            board.drain()
    finally:
        telemetry.shutdown()


async def _hold_place(config: RouterConfig, address: str, log: Logger, stop: Stop) -> None:
    """Until asked to stop; edges are told before their trunks end."""
    if config.registry is None:
        await stop.requested.wait()
        return
    async with open_channel(config.registry) as channel:
        await Membership(channel, member(config.instance_id, address), log).hold_until(stop.requested)


def main() -> None:
    """Entry point."""
    config = load_or_exit(RouterConfig)
    try:
        run(lambda stop: serve(config, stop))
    except ConfigError as error:
        refuse(config.section, str(error))


if __name__ == "__main__":
    main()
