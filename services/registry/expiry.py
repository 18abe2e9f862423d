"""Ends leases when their time is over: the one loop around the roster and the members."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from services.registry.clock import Clock

Lease = TypeVar("Lease")
Lease_co = TypeVar("Lease_co", covariant=True)


class Expiring(Protocol[Lease_co]):
    """Leases that all last `ttl_s`."""

    @property
    def ttl_s(self) -> float:
        """In seconds."""

    def next_deadline(self) -> float | None:
        """When `tick` next has something to do."""

    def tick(self, now_s: float) -> Sequence[Lease_co]:
        """Forget what has ended; what ran out."""


async def keep_expiring(leases: Expiring[Lease], clock: Clock, expired: Callable[[Sequence[Lease]], None]) -> None:
    """Drop leases that end, and tell `expired` (of none, too), until cancelled."""
    while True:
        now_s = clock.monotonic_s()
        expired(leases.tick(now_s))
        deadline_s = leases.next_deadline()
        # A lease given while this sleeps ends no earlier than one ttl from now.
        await asyncio.sleep(leases.ttl_s if deadline_s is None else max(0.0, deadline_s - now_s))
