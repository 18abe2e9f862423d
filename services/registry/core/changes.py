"""Which holders of leases changed since a revision: what lets a watcher come back for what it missed. Pure.

Only the last change of each holder is kept, so a watcher that was away, or is slow, gets each holder once, as it is
now, and memory does not grow with the number of changes. Holders that are gone are remembered up to a bound; who
missed more than that starts over.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

MAX_REMEMBERED_GONE = 10_000


class Change(NamedTuple):
    """A holder's last change; `key` is its name, a device id for one."""

    revision: int
    key: str
    is_gone: bool


class Changes:
    """The last change of every holder. Revisions count from 1; 0 is before all of them."""

    def __init__(self, max_gone: int = MAX_REMEMBERED_GONE) -> None:
        self.revision = 0
        self._max_gone = max_gone
        self._oldest = 0  # who knows less than this may have missed a holder that is forgotten
        self._last: OrderedDict[str, Change] = OrderedDict()  # in order of revision
        self._gone: OrderedDict[str, None] = OrderedDict()

    def changed(self, key: str) -> None:
        """It is here, and other than before."""
        self._gone.pop(key, None)
        self._note(key, is_gone=False)

    def gone(self, key: str) -> None:
        """It has no lease any more."""
        self._note(key, is_gone=True)
        self._gone[key] = None
        if len(self._gone) > self._max_gone:
            forgotten, _ = self._gone.popitem(last=False)
            self._oldest = self._last.pop(forgotten).revision

    def _note(self, key: str, *, is_gone: bool) -> None:
        self.revision += 1
        self._last[key] = Change(self.revision, key, is_gone)
        self._last.move_to_end(key)

    def knows(self, revision: int) -> bool:
        """Whether all changes since `revision` are still known."""
        return self._oldest <= revision <= self.revision

    def since(self, revision: int) -> list[Change]:
        """The holders that changed after `revision`, in the order of their last changes."""
        return list(reversed(list(takewhile(lambda change: change.revision > revision, self._newest_first()))))

    def _newest_first(self) -> Iterator[Change]:
        return reversed(self._last.values())
