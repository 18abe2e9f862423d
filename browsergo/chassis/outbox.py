"""A bounded queue of frames with one writer that takes all that is queued (style.md, principle 4)."""

import asyncio
from collections import deque
from typing import NamedTuple

from browsergo.core.channel.frames import BATCH_BYTES, Frame

HIGH_BYTES = 32 << 20
LOW_BYTES = 16 << 20


class Queued(NamedTuple):
    """A frame and when it was put here (Unix ns), for the span of its waiting."""

    frame: Frame
    since_ns: int


def take_batch(queue: deque[Queued]) -> list[Queued]:
    """Take from the front what makes one batch: at most BATCH_BYTES, or one larger frame. `queue` is not empty."""
    taken = [queue.popleft()]
    size = taken[0].frame.size
    while queue and size + queue[0].frame.size <= BATCH_BYTES:
        taken.append(queue.popleft())
        size += taken[-1].frame.size
    return taken


class Outbox:
    """Frames on their way to one stream. Never refuses: who feeds it waits on `drained` while it is `full`."""

    def __init__(self, high_bytes: int = HIGH_BYTES, low_bytes: int = LOW_BYTES) -> None:
        self._queue: deque[Queued] = deque()
        self._high_bytes, self._low_bytes = high_bytes, low_bytes
        self._waiting = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self.queued_bytes = 0
        self.closed = False

    @property
    def full(self) -> bool:
        """Whether feeders should stop."""
        return not self._drained.is_set()

    def push(self, frame: Frame, now_ns: int) -> None:
        """Queue a frame. What is pushed after `close` is dropped."""
        if self.closed:
            return
        self._queue.append(Queued(frame, now_ns))
        self.queued_bytes += frame.size
        self._waiting.set()
        if self.queued_bytes >= self._high_bytes:
            self._drained.clear()

    async def drained(self) -> None:
        """Wait until there is room again, or the outbox is closed."""
        await self._drained.wait()

    async def take(self) -> list[Queued]:
        """Everything queued, up to a batch (1 MiB, or one larger frame); [] once it is closed and empty."""
        while not self._queue:
            if self.closed:
                return []
            self._waiting.clear()
            await self._waiting.wait()
        taken = take_batch(self._queue)
        self.queued_bytes -= sum(queued.frame.size for queued in taken)
        if self.queued_bytes <= self._low_bytes:
            self._drained.set()
        return taken

    def close(self) -> None:
        """No more frames; `take` gives out what is queued, then nothing."""
        self.closed = True
        self._waiting.set()
        self._drained.set()

    def discard(self) -> None:
        """Close, and drop what is queued: its stream is gone."""
        self._queue.clear()
        self.queued_bytes = 0
        self.close()
