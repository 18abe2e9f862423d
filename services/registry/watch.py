"""Watch: where all devices are, then every change. State, not a log: a slow watcher costs no memory."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice

from browsergo.v2 import registry_pb2
from services.registry import translation
from services.registry.core.roster import Lease, Roster

PART = 1_000  # routes in one response


class Watch:
    """All watchers of one roster. Whoever changes the roster calls `look`."""

    def __init__(self, roster: Roster, now_s: Callable[[], float]) -> None:
        self._roster = roster
        self._now_s = now_s
        self._generation = secrets.randbits(63) | 1
        self._seen = roster.changes.revision
        self._changed = asyncio.Event()
        self._ended = False

    def look(self) -> None:
        """Wake the watchers if there is something new."""
        if self._roster.changes.revision != self._seen:
            self._seen = self._roster.changes.revision
            self._wake()

    def end(self) -> None:
        """No more: the process stops, and watchers are to look for another one."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def responses(self, request: registry_pb2.WatchRequest) -> AsyncIterator[registry_pb2.WatchResponse]:
        """What one watcher is told, until it leaves or this ends."""
        known = request.revision
        if request.generation != self._generation or not self._roster.changes.knows(known):
            known = self._roster.changes.revision  # what changes while the snapshot is sent comes after it
            for response in self._snapshot(known):
                yield response
        while not self._ended:
            changed = self._changed
            for response in self._delta(known):
                yield response
                known = response.revision
            await changed.wait()

    def _snapshot(self, revision: int) -> Iterator[registry_pb2.WatchResponse]:
        """Parts of at most PART routes; the last one has the revision."""
        after, begins = "", True
        while True:
            page = self._roster.page(after, PART, PART << 20, self._now_s())
            yield self._response(
                map(_route, page.leases), revision=0 if page.more else revision, begins_snapshot=begins
            )
            if not page.more:
                return
            after, begins = page.leases[-1].device_id, False

    def _delta(self, known: int) -> Iterator[registry_pb2.WatchResponse]:
        changes = iter(self._roster.changes.since(known))
        while part := list(islice(changes, PART)):
            routes = (self._route_of(change.device_id) for change in part)
            yield self._response(routes, revision=part[-1].revision, begins_snapshot=False)

    def _route_of(self, device_id: str) -> registry_pb2.Route:
        lease = self._roster.live(device_id, self._now_s())
        return _route(lease) if lease is not None else registry_pb2.Route(device_id=device_id)

    def _response(
        self, routes: Iterable[registry_pb2.Route], *, revision: int, begins_snapshot: bool
    ) -> registry_pb2.WatchResponse:
        return registry_pb2.WatchResponse(
            generation=self._generation, revision=revision, begins_snapshot=begins_snapshot, routes=routes
        )


def _route(lease: Lease) -> registry_pb2.Route:
    return registry_pb2.Route(
        device_id=lease.device_id,
        edge=translation.edge_run_message(lease.newcomer.edge),
        epoch=lease.epoch,
        state=translation.state_of(lease),
    )
