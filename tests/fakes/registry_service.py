"""A registry served in this process: the real servicer over a clock and a store of the test's own."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from grpc import aio
from opentelemetry.trace import NoOpTracer

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.process import Stop
from browsergo.v2 import registry_pb2_grpc
from services.registry.core.conflicts import Policy
from services.registry.core.roster import Roster
from services.registry.servicer import Clock, RegistryServicer
from services.registry.store.port import EpochStore
from tests.fakes.clock import HandClock

if TYPE_CHECKING:  # it exists in the stubs only
    from browsergo.v2.registry_pb2_grpc import RegistryServiceAsyncStub

LEASE_TTL_S = 45.0


@contextlib.asynccontextmanager
async def registry_over(
    store: EpochStore, clock: HandClock, folder: Path, policy: Policy = Policy.TAKEOVER
) -> "AsyncIterator[RegistryServiceAsyncStub]":
    """A stub of a registry that runs as long as the block. Leases end by the clock; nothing sweeps them."""
    servicer = RegistryServicer(
        Roster(LEASE_TTL_S),
        store,
        policy,
        tracer=NoOpTracer(),
        log=structlog.get_logger(),
        clock=Clock(clock.monotonic_s, clock.unix_ms),
    )

    def register(server: aio.Server) -> list[str]:
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(servicer, server)
        return []

    address = f"unix:{folder / 'registry.sock'}"
    async with serving([address], register, Stop()), open_channel(address) as channel:
        yield registry_pb2_grpc.RegistryServiceStub(channel)
