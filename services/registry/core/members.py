"""Which routers and edges there are: leases in memory, and nowhere else. Pure; `now_s` is monotonic.

As in the roster, leases all have the same length, so the order of renewal is the order in which they end.
"""

from collections import OrderedDict
from enum import Enum
from typing import NamedTuple

from browsergo.core.errors import Overloaded
from services.registry.core.changes import Changes

MAX_MEMBERS = 1_000


class Kind(Enum):
    """What a member is."""

    ROUTER = "router"
    EDGE = "edge"


class Name(NamedTuple):
    """Whose lease it is: one for each kind and id."""

    kind: Kind
    member_id: str

    @property
    def key(self) -> str:
        """The same as text, as `Changes` tells it."""
        return f"{self.kind.value}/{self.member_id}"

    @classmethod
    def of(cls, key: str) -> "Name":
        """The way back."""
        kind, _, member_id = key.partition("/")
        return cls(Kind(kind), member_id)


class Member(NamedTuple):
    """One run of a member; `boot` differs for every start, `address` is empty for an edge."""

    name: Name
    boot: int
    address: str
    version: str


class _Lease(NamedTuple):
    member: Member
    expires_s: float


class Members:
    """All leases of `ttl_s` seconds; one a name."""

    def __init__(self, ttl_s: float, max_count: int = MAX_MEMBERS) -> None:
        self.ttl_s = ttl_s
        self.changes = Changes()
        self._max_count = max_count
        self._leases: OrderedDict[Name, _Lease] = OrderedDict()  # the next to end in front

    def __len__(self) -> int:
        return len(self._leases)

    def live(self, name: Name, now_s: float) -> Member | None:
        """Who has the lease of that name, if it has not ended."""
        lease = self._leases.get(name)
        return lease.member if lease is not None and lease.expires_s > now_s else None

    def all(self, now_s: float) -> list[Member]:
        """Everybody with a live lease, in order of their keys."""
        found = [lease.member for lease in self._leases.values() if lease.expires_s > now_s]
        return sorted(found, key=lambda member: member.name.key)

    def joined(self, member: Member, now_s: float) -> Member | None:
        """Give it a lease, whoever had it; returns the other boot that it replaces. Raises Overloaded."""
        before = self.live(member.name, now_s)
        self._put(member, now_s)
        return before if before is not None and before.boot != member.boot else None

    def renewed(self, member: Member, now_s: float) -> bool:
        """Lengthen its lease, or give it one if nobody has it (this registry is new, or it ended). Raises Overloaded.

        False, and nothing changes, when another boot has it.
        """
        holder = self.live(member.name, now_s)
        if holder is not None and holder.boot != member.boot:
            return False
        self._put(member, now_s)
        return True

    def left(self, name: Name, boot: int, now_s: float) -> bool:
        """End its lease now; False, and nothing changes, when that boot has none."""
        holder = self.live(name, now_s)
        if holder is None or holder.boot != boot:
            return False
        self._drop(name)
        return True

    def next_deadline(self) -> float | None:
        """When `tick` next has something to do; never earlier than one ttl from now for what is yet to come."""
        return next((lease.expires_s for lease in self._leases.values()), None)

    def tick(self, now_s: float) -> list[Member]:
        """Forget what has ended; returns the members whose leases ran out."""
        expired = []
        while (end_s := self.next_deadline()) is not None and end_s <= now_s:
            lease = next(iter(self._leases.values()))
            expired.append(lease.member)
            self._drop(lease.member.name)
        return expired

    def _put(self, member: Member, now_s: float) -> None:
        before = self._leases.get(member.name)
        if before is None and len(self._leases) >= self._max_count:
            raise Overloaded(f"{self._max_count} routers and edges are here; no more fit")
        self._leases[member.name] = _Lease(member, now_s + self.ttl_s)
        self._leases.move_to_end(member.name)
        # One that had ended, and nobody noticed, may have been left out of a snapshot.
        if before is None or before.member != member or before.expires_s <= now_s:
            self.changes.changed(member.name.key)

    def _drop(self, name: Name) -> None:
        del self._leases[name]
        self.changes.gone(name.key)
