"""What the registry asks of a store."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class StoreError(Exception):
    """The store cannot be opened; the text says in one line why."""


class EpochStore(Protocol):
    """The newest epoch of every device ever registered."""

    async def next_epoch(self, device_id: str) -> int:
        """The device's next epoch, durable before it is returned: 1 for a device never seen, else one more.

        An epoch whose caller went away is spent all the same. Raises ServiceUnavailable when it could
        not be written, Overloaded when too many are waiting.
        """

    async def newest_epochs(self, device_ids: Sequence[str]) -> Mapping[str, int]:
        """The newest epoch of each of these devices that was ever registered. Raises ServiceUnavailable."""
