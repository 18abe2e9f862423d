"""A bounded queue of frames with one writer that takes all that is queued (style.md, principle 4)."""

import asyncio

from browsergo.core.channel.frames import Frame
from browsergo.core.channel.queue import FrameQueue, Queued

HIGH_BYTES = 32 << 20
LOW_BYTES = 16 << 20


class Outbox:
    """Frames on their way to one stream, which they leave for in the order of queue.py.

    It never refuses: who feeds it waits on `drained` while it is `full`.
    """

    def __init__(self, high_bytes: int = HIGH_BYTES, low_bytes: int = LOW_BYTES) -> None:
        self._queue = FrameQueue()
        self._high_bytes, self._low_bytes = high_bytes, low_bytes
        self._waiting = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self.closed = False

    @property
    def queued_bytes(self) -> int:
        """What waits here."""
        return self._queue.queued_bytes

    @property
    def full(self) -> bool:
        """Whether feeders should stop."""
        return not self._drained.is_set()

    def push(self, frame: Frame, now_ns: int) -> None:
        """Queue a frame. What is pushed after `close` is dropped."""
        if self.closed:
            return
        self._queue.push(frame, now_ns)
        self._waiting.set()
        if self._queue.queued_bytes >= self._high_bytes:
            self._drained.clear()

    async def drained(self) -> None:
        """Wait until there is room again, or the outbox is closed."""
        await self._drained.wait()

    async def take(self) -> list[Queued]:
        """What makes the next batch (BATCH_BYTES, or one larger frame); [] once it is closed and empty."""
        while not self._queue:
            if self.closed:
                return []
            self._waiting.clear()
            await self._waiting.wait()
        taken = self._queue.take_batch()
        if self._queue.queued_bytes <= self._low_bytes:
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
        self.close()
