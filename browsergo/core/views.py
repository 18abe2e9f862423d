"""What the registry told last, by a watch: devices' routes, the routers' addresses. Pure, soft state."""

from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Told(NamedTuple, Generic[Value]):
    """One response of a watch (WatchResponse in registry.proto); the value of what is gone is None."""

    generation: int
    revision: int
    begins_snapshot: bool
    entries: Iterable[tuple[str, Value | None]]


class View(Generic[Value]):
    """Follows a watch: `generation` and `revision` say how far, for coming back to it."""

    def __init__(self) -> None:
        self.generation = 0
        self.revision = 0
        self._known: dict[str, Value] = {}
        self._coming: dict[str, Value] | None = None  # a snapshot of which more parts are to come

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self._known.items())

    def get(self, key: str) -> Value | None:
        """What is known of `key`."""
        return self._known.get(key)

    def told(self, told: Told[Value]) -> bool:
        """One response; whether this is whole now.

        A snapshot counts once all of it is here; until then what was known before it does.
        """
        if told.begins_snapshot:
            self._coming = {}
        known = self._known if self._coming is None else self._coming
        for key, value in told.entries:
            if value is not None:
                known[key] = value
            else:
                known.pop(key, None)
        if told.revision:
            self._known, self._coming = known, None
            self.generation, self.revision = told.generation, told.revision
        return told.revision > 0

    def interrupted(self) -> None:
        """The watch ended: half a snapshot is none."""
        self._coming = None
