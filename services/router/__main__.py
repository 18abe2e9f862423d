"""`python -m services.router`: the switch between edges."""

import functools

from grpc import aio

from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import configure_logs
from browsergo.chassis.process import Stop, run
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.v2 import router_pb2, router_pb2_grpc, trunk_pb2, trunk_pb2_grpc
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


async def serve(config: RouterConfig, stop: Stop) -> None:
    """Serve until asked to stop."""
    log = configure_logs(semconv.SERVICE_ROUTER, config.instance_id, config.log_level, config.log_format)
    telemetry = Telemetry(semconv.SERVICE_ROUTER, config.instance_id)
    board = Switchboard(config.instance_id, telemetry, log)
    try:
        async with serving(config.listen, functools.partial(register, board), stop) as server:
            log.info("ready", addresses=server.addresses)
            await stop.requested.wait()
            log.info("stopping")
            board.drain()
    finally:
        telemetry.shutdown()


def main() -> None:
    """Entry point."""
    config = load_or_exit(RouterConfig)
    try:
        run(lambda stop: serve(config, stop))
    except ConfigError as error:
        refuse(config.section, str(error))


if __name__ == "__main__":
    main()
