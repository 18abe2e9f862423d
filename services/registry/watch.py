"""Watches: all that is known, then every change. State, not a log: a slow watcher costs no memory."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from services.registry.core.changes import Changes

PART = 1_000  # entries in one response

Entry = TypeVar("Entry")
Response_co = TypeVar("Response_co", covariant=True)


class Watched(Protocol[Entry, Response_co]):
    """What watchers are told of: leases by their keys, as messages."""

    @property
    def changes(self) -> Changes:
        """What changed, by key."""

    def page(self, after: str, max_count: int) -> tuple[list[Entry], str]:
        """Entries of the keys greater than `after`; the last key of them, if there are more, else ""."""

    def entry(self, key: str) -> Entry:
        """As it is now: gone, if it has no live lease."""

    def response(self, generation: int, revision: int, begins_snapshot: bool, entries: Iterable[Entry]) -> Response_co:
        """The message that tells entries."""


class Watch(Generic[Entry, Response_co]):
    """All watchers of `watched`. Whoever changes it calls `look`."""

    def __init__(self, watched: Watched[Entry, Response_co]) -> None:
        self._watched = watched
        self._changes = watched.changes
        self._generation = secrets.randbits(63) | 1
        self._seen = self._changes.revision
        self._changed = asyncio.Event()
        self._ended = False

    def look(self) -> None:
        """Wake the watchers if there is something new."""
        if self._changes.revision != self._seen:
            self._seen = self._changes.revision
            self._wake()

    def end(self) -> None:
        """No more: the process stops, and watchers are to look for another one."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def responses(self, generation: int, known: int) -> AsyncIterator[Response_co]:
        """What one watcher is told that has seen revision `known` of a generation, until it leaves or this ends."""
        if generation != self._generation or not self._changes.knows(known):
            known = self._changes.revision  # what changes while the snapshot is sent comes after it
            for response in self._snapshot(known):
                yield response
        while not self._ended:
            changed = self._changed
            for revision, response in self._delta(known):
                yield response
                known = revision
            await changed.wait()

    def _snapshot(self, revision: int) -> Iterator[Response_co]:
        """Parts of at most PART entries; the last one has the revision."""
        after, begins = "", True
        while begins or after:
            entries, after = self._watched.page(after, PART)
            yield self._watched.response(self._generation, 0 if after else revision, begins, entries)
            begins = False

    def _delta(self, known: int) -> Iterator[tuple[int, Response_co]]:
        """Parts of at most PART entries, each with the revision after it."""
        changes = iter(self._changes.since(known))
        while part := list(islice(changes, PART)):
            entries = (self._watched.entry(change.key) for change in part)
            revision = part[-1].revision
            yield revision, self._watched.response(self._generation, revision, False, entries)
