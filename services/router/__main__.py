"""`python -m services.router`: the switch between edges."""

from contextlib import nullcontext
from functools import partial

from grpc import aio

import browsergo
from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_errors import translated
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import Logger, configure_logs
from browsergo.chassis.membership import Membership
from browsergo.chassis.process import Stop, new_boot, run
from browsergo.chassis.racing import first_of
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.core.errors import ServiceUnavailable
from browsergo.v2 import (
    membership_pb2,
    registry_pb2,
    registry_pb2_grpc,
    router_pb2,
    router_pb2_grpc,
    trunk_pb2,
    trunk_pb2_grpc,
)
from services.router.config import RouterConfig
from services.router.messages import Messages, Resolve
from services.router.servicer import RouterServicer
from services.router.switchboard import Switchboard
from services.router.trunks import TrunkServicer

RESOLVE_TIMEOUT_S = 5.0
_SERVICES = (
    trunk_pb2.DESCRIPTOR.services_by_name["TrunkService"].full_name,
    router_pb2.DESCRIPTOR.services_by_name["RouterService"].full_name,
)


def register(board: Switchboard, messages: Messages, server: aio.Server) -> tuple[str, ...]:
    """Serve `board` and `messages` over gRPC; the names of their services."""
    trunk_pb2_grpc.add_TrunkServiceServicer_to_server(TrunkServicer(board), server)
    router_pb2_grpc.add_RouterServiceServicer_to_server(RouterServicer(board, messages), server)
    return _SERVICES


def resolving(registry: aio.Channel | None) -> Resolve:
    """How a router finds the edge of a device."""

    async def resolve(device: str) -> int:
        if registry is None:
            raise ServiceUnavailable("this router knows no registry (--registry), so it finds no devices")
        stub = registry_pb2_grpc.RegistryServiceStub(registry)
        request = registry_pb2.ResolveRequest(device_id=device)
        return (await translated(stub.Resolve(request, timeout=RESOLVE_TIMEOUT_S))).edge.boot

    return resolve


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
        async with open_channel(config.registry) if config.registry is not None else nullcontext() as registry:
            messages = Messages(board, resolving(registry), telemetry, log)
            async with serving(config.listen, partial(register, board, messages), stop) as server:
                log.info("ready", addresses=server.addresses)
                place = _hold_place(config, registry, config.advertise or server.addresses[0], log, stop)
                await first_of(place, messages.run())
                log.info("stopping")
                board.drain()
    finally:
        telemetry.shutdown()


async def _hold_place(
    config: RouterConfig, registry: aio.Channel | None, address: str, log: Logger, stop: Stop
) -> None:
    """Until asked to stop; edges are told before their trunks end."""
    if registry is None:
        await stop.requested.wait()
    else:
        await Membership(registry, member(config.instance_id, address), log).hold_until(stop.requested)


def main() -> None:
    """Entry point."""
    config = load_or_exit(RouterConfig)
    try:
        run(lambda stop: serve(config, stop))
    except ConfigError as error:
        refuse(config.section, str(error))


if __name__ == "__main__":
    main()
