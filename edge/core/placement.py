"""Which router a device's channels go through: rendezvous hashing (Thaler, Ravishankar, 1998) among those that may."""

import hashlib
from collections.abc import Collection, Iterable

BELIEVED_S = 5.0
REMEMBERED = 10_000  # pairs of a router and an edge run


def rendezvous(key: str, places: Iterable[str]) -> str | None:
    """The place with the highest weight for `key`; a place that goes moves only the keys it had."""
    return max(places, key=lambda place: _weight(key, place), default=None)


def _weight(key: str, place: str) -> bytes:
    return hashlib.blake2b(f"{key}\0{place}".encode(), digest_size=8).digest()


class Reach:
    """Which routers have said that they cannot reach which edge runs; false if none has.

    Believed until the edge is heard over that router, or for a while: trunks come back.
    """

    def __init__(self) -> None:
        self._until_s: dict[tuple[str, int], float] = {}

    def __bool__(self) -> bool:
        return bool(self._until_s)

    def unreachable(self, router: str, edge: int, now: float) -> None:
        """`router` has said so of `edge`, at `now` (monotonic seconds)."""
        if len(self._until_s) >= REMEMBERED:
            self._until_s = {key: until_s for key, until_s in self._until_s.items() if until_s > now}
        if len(self._until_s) < REMEMBERED:
            self._until_s[router, edge] = now + BELIEVED_S

    def heard(self, router: str, edge: int) -> None:
        """A frame of `edge` has come over `router`."""
        self._until_s.pop((router, edge), None)

    def reaching(self, edge: int, routers: Collection[str], now: float) -> Collection[str]:
        """Those of the routers that may reach `edge`; all, if none is left."""
        found = [router for router in routers if self._until_s.get((router, edge), 0.0) <= now]
        return found or routers
