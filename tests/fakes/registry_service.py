"""A registry served in this process: the real servicer over a clock and a store of the test's own."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from opentelemetry.trace import NoOpTracer

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.process import Stop
from browsergo.v2 import registry_pb2_grpc
from services.registry.__main__ import register
from services.registry.clock import SYSTEM_CLOCK, Clock
from services.registry.core.conflicts import Policy
from services.registry.core.members import Members
from services.registry.core.roster import Roster
from services.registry.membership import MembershipServicer
from services.registry.servicer import RegistryServicer
from services.registry.store.port import EpochStore
from tests.fakes.clock import HandClock

if TYPE_CHECKING:  # it exists in the stubs only
    from browsergo.v2.registry_pb2_grpc import RegistryServiceAsyncStub

LEASE_TTL_S, MEMBER_TTL_S = 45.0, 15.0


@contextlib.asynccontextmanager
async def registry_over(
    store: EpochStore,
    clock: HandClock,
    folder: Path,
    policy: Policy = Policy.TAKEOVER,
    member_ttl_s: float = MEMBER_TTL_S,
) -> "AsyncIterator[RegistryServiceAsyncStub]":
    """A stub of a registry that runs as long as the block.

    Devices' leases end by the clock, and nothing sweeps them; members' leases end in real time.
    """
    devices = RegistryServicer(
        Roster(LEASE_TTL_S),
        store,
        policy,
        tracer=NoOpTracer(),
        log=structlog.get_logger(),
        clock=Clock(clock.monotonic_s, clock.unix_ms),
    )
    members = MembershipServicer(Members(member_ttl_s), structlog.get_logger(), SYSTEM_CLOCK)
    expiry = asyncio.create_task(members.expire_leases())
    address = registry_address(folder)
    try:
        async with (
            serving([address], functools.partial(register, devices, members), Stop()),
            open_channel(address) as channel,
        ):
            yield registry_pb2_grpc.RegistryServiceStub(channel)
            for watch in (devices.watch, members.watch):
                watch.end()
    finally:
        expiry.cancel()
        await asyncio.gather(expiry, return_exceptions=True)


def registry_address(folder: Path) -> str:
    """Where a registry in this folder is."""
    return f"unix:{folder / 'registry.sock'}"
