"""`python -m services.registry`: who is where."""

import asyncio
import contextlib
from collections.abc import Sequence

from grpc import aio

import browsergo
from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import Logger, configure_logs
from browsergo.chassis.process import Stop, run
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.v2 import registry_pb2, registry_pb2_grpc
from services.registry.config import RegistryConfig
from services.registry.core.roster import Roster
from services.registry.servicer import SYSTEM_CLOCK, RegistryServicer
from services.registry.store import sqlite
from services.registry.store.port import StoreError

SERVICE_NAME = registry_pb2.DESCRIPTOR.services_by_name["RegistryService"].full_name


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM. A configuration or store that cannot be used is one line on stderr and exit code 2."""
    config = load_or_exit(RegistryConfig, argv)
    log = configure_logs(semconv.SERVICE_REGISTRY, config.instance_id, config.log_level, config.log_format)
    try:
        run(lambda stop: _serve(config, log, stop))
    except (ConfigError, StoreError) as error:
        refuse(config.section, str(error))


async def _serve(config: RegistryConfig, log: Logger, stop: Stop) -> None:
    telemetry = Telemetry(semconv.SERVICE_REGISTRY, config.instance_id)
    try:
        async with sqlite.opened(config.database) as store:
            roster = Roster(config.lease_ttl_s)
            servicer = RegistryServicer(
                roster, store, config.conflict_policy, tracer=telemetry.tracer, log=log, clock=SYSTEM_CLOCK
            )
            stop.on_request(servicer.watch.end)
            async with serving(config.listen, lambda server: _register(servicer, server), stop) as served:
                log.info("ready", addresses=served.addresses, version=browsergo.__version__)
                await _until_stopped(servicer, stop)
            log.info("stopped", devices=len(roster), epochs=store.epochs, commits=store.commits)
    finally:
        telemetry.shutdown()


def _register(servicer: RegistryServicer, server: aio.Server) -> list[str]:
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(servicer, server)
    return [SERVICE_NAME]


async def _until_stopped(servicer: RegistryServicer, stop: Stop) -> None:
    """Ends when asked to stop; an expiry that fails ends the process instead of leaving leases for ever."""
    expiry = asyncio.create_task(servicer.expire_leases())
    asked = asyncio.create_task(stop.requested.wait())
    try:
        done, _pending = await asyncio.wait((expiry, asked), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (expiry, asked):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


if __name__ == "__main__":
    main()
