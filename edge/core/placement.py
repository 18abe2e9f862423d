"""Which router a device's channels go through: rendezvous hashing (Thaler and Ravishankar, 1998)."""

import hashlib
from collections.abc import Iterable


def rendezvous(key: str, places: Iterable[str]) -> str | None:
    """The place with the highest weight for `key`; a place that goes moves only the keys it had."""
    return max(places, key=lambda place: _weight(key, place), default=None)


def _weight(key: str, place: str) -> bytes:
    return hashlib.blake2b(f"{key}\0{place}".encode(), digest_size=8).digest()
