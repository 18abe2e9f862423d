"""`python -m services.control`: the operator's view of the fleet."""

from collections.abc import Sequence

from grpc import aio

import browsergo
from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import Logger, configure_logs
from browsergo.chassis.process import Stop, run
from browsergo.chassis.racing import first_of
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.v2 import control_pb2, control_pb2_grpc
from services.control.config import ControlConfig
from services.control.peers import RegistryPeer
from services.control.routers import Routers
from services.control.servicer import ControlServicer

SERVICE_NAME = control_pb2.DESCRIPTOR.services_by_name["ControlService"].full_name


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM. A configuration that cannot be used is one line on stderr and exit code 2."""
    config = load_or_exit(ControlConfig, argv)
    log = configure_logs(semconv.SERVICE_CONTROL, config.instance_id, config.log_level, config.log_format)
    try:
        run(lambda stop: _serve(config, log, stop))
    except ConfigError as error:
        refuse(config.section, str(error))


async def _serve(config: ControlConfig, log: Logger, stop: Stop) -> None:
    """Ready at once, whether or not registry and routers are up: that they are not is what it tells operators."""
    telemetry = Telemetry(semconv.SERVICE_CONTROL, config.instance_id)
    try:
        async with open_channel(config.registry) as registry:
            routers = Routers(config.routers, registry, log)
            servicer = ControlServicer(RegistryPeer(registry), routers.peers, telemetry.tracer, log)
            async with serving(config.listen, lambda server: _register(servicer, server), stop) as served:
                log.info("ready", addresses=served.addresses, version=browsergo.__version__)
                await first_of(routers.keep_current(), stop.requested.wait())
            await routers.close()
            log.info("stopped")
    finally:
        telemetry.shutdown()


def _register(servicer: ControlServicer, server: aio.Server) -> list[str]:
    control_pb2_grpc.add_ControlServiceServicer_to_server(servicer, server)
    return [SERVICE_NAME]


if __name__ == "__main__":
    main()
