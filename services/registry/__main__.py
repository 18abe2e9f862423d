"""`python -m services.registry`: who is where."""

import functools
from collections.abc import Sequence

from grpc import aio

import browsergo
from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import Logger, configure_logs
from browsergo.chassis.process import Stop, run
from browsergo.chassis.racing import first_of
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.v2 import membership_pb2, membership_pb2_grpc, registry_pb2, registry_pb2_grpc
from services.registry.clock import SYSTEM_CLOCK
from services.registry.config import RegistryConfig
from services.registry.core.members import Members
from services.registry.core.roster import Roster
from services.registry.membership import MembershipServicer
from services.registry.servicer import RegistryServicer
from services.registry.store import sqlite
from services.registry.store.port import StoreError

_SERVICES = (
    registry_pb2.DESCRIPTOR.services_by_name["RegistryService"].full_name,
    membership_pb2.DESCRIPTOR.services_by_name["MembershipService"].full_name,
)


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
            devices = RegistryServicer(
                roster, store, config.conflict_policy, tracer=telemetry.tracer, log=log, clock=SYSTEM_CLOCK
            )
            members = MembershipServicer(Members(config.member_ttl_s), log, SYSTEM_CLOCK)
            for watch in (devices.watch, members.watch):
                stop.on_request(watch.end)
            async with serving(config.listen, functools.partial(register, devices, members), stop) as served:
                log.info("ready", addresses=served.addresses, version=browsergo.__version__)
                # An expiry that fails ends the process instead of leaving leases for ever.
                await first_of(devices.expire_leases(), members.expire_leases(), stop.requested.wait())
            log.info("stopped", devices=len(roster), epochs=store.epochs, commits=store.commits)
    finally:
        telemetry.shutdown()


def register(devices: RegistryServicer, members: MembershipServicer, server: aio.Server) -> tuple[str, ...]:
    """Serve both over gRPC; the names of their services."""
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(devices, server)
    membership_pb2_grpc.add_MembershipServiceServicer_to_server(members, server)
    return _SERVICES


if __name__ == "__main__":
    main()
