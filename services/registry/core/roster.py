"""Who holds which device now: leases in memory. Pure; `now_s` is monotonic, `*_unix_ms` is wall time.

Leases all have the same length, so the order in which they were last renewed is the order in which
they end: a renewal moves a lease to the back, and the next to end stands in front.
"""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

from browsergo.core.errors import StaleEpoch
from services.registry.core.changes import Changes

# What a listed device takes beside its description: ids, times, epoch, edge.
LISTED_OVERHEAD_BYTES = 512


class EdgeRun(NamedTuple):
    """One run of an edge; `boot` differs for every start."""

    edge_id: str
    boot: int


class Newcomer(NamedTuple):
    """A boot that asks for a lease. `description` is what it says of itself, carried undecoded."""

    device_id: str
    instance_id: str
    boot_id: str
    edge: EdgeRun
    connection_id: str
    description: bytes


class Renewal(NamedTuple):
    """What an edge says of a device it holds; `active` is None when it says nothing of its state."""

    device_id: str
    epoch: int
    active: bool | None
    last_seen_unix_ms: int


class Renewed(Enum):
    """What became of a renewal."""

    RENEWED = auto()
    FENCED = auto()  # the epoch is not the newest: the edge must drop the device
    UNKNOWN = auto()  # no lease here: only the store can tell whether the epoch is still the newest


@dataclass(slots=True)
class Lease:
    """A device's place until `expires_s`, unless it is renewed, released or replaced."""

    newcomer: Newcomer
    epoch: int
    active: bool
    registered_unix_ms: int
    last_seen_unix_ms: int
    expires_s: float

    @property
    def device_id(self) -> str:
        """Whose lease it is."""
        return self.newcomer.device_id


class Page(NamedTuple):
    """Some leases in order of device id, and whether there are more after them."""

    leases: list[Lease]
    more: bool


class Roster:
    """All leases of `ttl_s` seconds; one a device."""

    def __init__(self, ttl_s: float) -> None:
        self.ttl_s = ttl_s
        self.changes = Changes()
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        self._ids: list[str] = []
        self._released: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def live(self, device_id: str, now_s: float) -> Lease | None:
        """The device's lease, if it has one that has not ended."""
        lease = self._leases.get(device_id)
        return lease if lease is not None and lease.expires_s > now_s else None

    def place(self, newcomer: Newcomer, epoch: int, now_s: float, now_unix_ms: int) -> Lease | None:
        """Give the newcomer a lease under a fresh epoch; returns the live lease it replaces.

        Raises StaleEpoch when the roster already holds that epoch or a newer one.
        """
        incumbent = self._leases.get(newcomer.device_id)
        if incumbent is not None and incumbent.epoch >= epoch:
            raise StaleEpoch(f"epoch {epoch} is not newer than {incumbent.epoch}")
        replaced = self.live(newcomer.device_id, now_s)
        self._put(Lease(newcomer, epoch, False, now_unix_ms, now_unix_ms, now_s + self.ttl_s))
        return replaced

    def keep(self, newcomer: Newcomer, now_s: float, now_unix_ms: int) -> Lease | None:
        """The same boot came back on the same edge: its lease goes on with its epoch and state.

        Returns the lease as it was, None if it has just ended (then nothing changed).
        """
        incumbent = self.live(newcomer.device_id, now_s)
        if incumbent is not None:
            expires_s = now_s + self.ttl_s
            self._put(replace(incumbent, newcomer=newcomer, last_seen_unix_ms=now_unix_ms, expires_s=expires_s))
        return incumbent

    def renew(self, edge: EdgeRun, renewal: Renewal, now_s: float) -> Renewed:
        """Lengthen a lease and take over what the edge says of it; anything stale changes nothing."""
        lease = self._leases.get(renewal.device_id)
        if lease is None:
            return Renewed.FENCED if self._was_released(renewal.device_id, renewal.epoch) else Renewed.UNKNOWN
        if lease.epoch != renewal.epoch or lease.newcomer.edge != edge:
            return Renewed.FENCED
        lease.expires_s = now_s + self.ttl_s
        lease.last_seen_unix_ms = max(lease.last_seen_unix_ms, renewal.last_seen_unix_ms)
        if renewal.active not in (None, lease.active):
            lease.active = bool(renewal.active)
            self.changes.changed(renewal.device_id)
        self._leases.move_to_end(renewal.device_id)
        return Renewed.RENEWED

    def take_back(self, newcomer: Newcomer, renewal: Renewal, registered_unix_ms: int, now_s: float) -> bool:
        """A lease that was forgotten (this process is new, or it ended) goes on; the epoch is the store's newest.

        False, and nothing changes, when somebody else got the device while the store was asked.
        """
        if renewal.device_id in self._leases:
            return self.renew(newcomer.edge, renewal, now_s) is Renewed.RENEWED
        if self._was_released(renewal.device_id, renewal.epoch):
            return False
        seen = renewal.last_seen_unix_ms
        self._put(Lease(newcomer, renewal.epoch, bool(renewal.active), registered_unix_ms, seen, now_s + self.ttl_s))
        return True

    def release(self, device_id: str, epoch: int, now_s: float) -> bool:
        """End a live lease now; False for a stale epoch, which changes nothing."""
        lease = self.live(device_id, now_s)
        if lease is None or lease.epoch != epoch:
            return False
        self._drop(device_id)
        # A renewal sent before the release but read after it must not bring the device back.
        self._released[device_id] = (epoch, now_s + self.ttl_s)
        self._released.move_to_end(device_id)
        return True

    def page(self, after: str, max_count: int, max_bytes: int, now_s: float) -> Page:
        """Live leases with ids greater than `after`: at most so many, and (but for the first) so many bytes."""
        found: list[Lease] = []
        size = 0
        for position in range(bisect_right(self._ids, after), len(self._ids)):
            lease = self.live(self._ids[position], now_s)
            if lease is None:
                continue
            size += len(lease.newcomer.description) + LISTED_OVERHEAD_BYTES
            if found and (len(found) == max_count or size > max_bytes):
                return Page(found, more=True)
            found.append(lease)
        return Page(found, more=False)

    def next_deadline(self) -> float | None:
        """When `tick` next has something to do; never earlier than one lease from now for what is yet to come."""
        ends = [lease.expires_s for lease in self._first_lease()]
        ends += [forget_s for _epoch, forget_s in self._first_released()]
        return min(ends, default=None)

    def tick(self, now_s: float) -> list[Lease]:
        """Forget what has ended; returns the leases that ran out."""
        expired = []
        while (lease := next(iter(self._first_lease()), None)) is not None and lease.expires_s <= now_s:
            expired.append(lease)
            self._drop(lease.device_id)
        while (entry := next(iter(self._first_released()), None)) is not None and entry[1] <= now_s:
            self._released.popitem(last=False)
        return expired

    def __len__(self) -> int:
        return len(self._leases)

    def _put(self, lease: Lease) -> None:
        if lease.device_id not in self._leases:
            insort(self._ids, lease.device_id)
        self._leases[lease.device_id] = lease
        self._leases.move_to_end(lease.device_id)
        self.changes.changed(lease.device_id)

    def _drop(self, device_id: str) -> None:
        del self._leases[device_id]
        del self._ids[bisect_left(self._ids, device_id)]
        self.changes.gone(device_id)

    def _was_released(self, device_id: str, epoch: int) -> bool:
        return self._released.get(device_id, (0, 0.0))[0] == epoch

    def _first_lease(self) -> list[Lease]:
        return [self._leases[next(iter(self._leases))]] if self._leases else []

    def _first_released(self) -> list[tuple[int, float]]:
        return [self._released[next(iter(self._released))]] if self._released else []
