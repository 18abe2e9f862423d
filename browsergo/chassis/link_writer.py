"""The writing half of a link connection, at either end: frames of one tick leave as one message.

A message is one batch of at most 260 KiB (or one larger frame), less on a thin line (pace.py), and a tick writes one:
what comes meanwhile takes its turn among what is still queued, and the connection, whose own buffers are first in,
first out, keeps next to nothing.
While the peer takes nothing, frames wait; the channels' windows bound how many.
"""

import asyncio
from collections.abc import Callable

from browsergo.chassis.websocket import WebSocketConnection
from browsergo.core.channel.frames import Frame, encode_link_message
from browsergo.core.channel.pace import Pace
from browsergo.core.channel.queue import FrameQueue, Queued

PING_IDLE_S = 5.0
DEAD_AFTER_S = 10.0


class LinkWriter:
    """Frames into binary messages. `on_taken` is told of each batch as it leaves."""

    def __init__(self, connection: WebSocketConnection, on_taken: Callable[[list[Queued]], None] | None = None) -> None:
        self._connection = connection
        self._pace = Pace()
        self._limit_bytes = 0
        self._limit_unsent()
        self._on_taken = on_taken
        self._queue = FrameQueue()
        self._writable = True
        self._flush_due = False
        self._loop = asyncio.get_running_loop()

    def push(self, frame: Frame, now_ns: int = 0) -> None:
        """Queue a frame that came at `now_ns` (Unix ns, for the span of its waiting)."""
        self._queue.push(frame, now_ns)
        self._flush_soon()

    def writable(self, writable: bool) -> None:
        """The peer takes messages slower than they come, or again."""
        if writable and not self._writable:
            self._pace.emptied(self._loop.time())
            self._limit_unsent()
        self._writable = writable
        self._flush_soon()

    def flush_all(self) -> None:
        """Hand all that is queued to the connection, however slow the peer is: it is about to be closed."""
        while self._queue:
            self._write_batch()

    def _flush_soon(self) -> None:
        if self._queue and self._writable and not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._queue and self._writable:
            self._write_batch()
            self._flush_soon()  # after the connection has written this one

    def _write_batch(self) -> None:
        self._queue.batch_bytes = self._pace.batch_bytes
        batch = self._queue.take_batch()
        if self._on_taken is not None:
            self._on_taken(batch)  # before the write: the peer may have it before we run again
        message = encode_link_message([queued.frame for queued in batch])
        self._pace.handing(len(message), self._loop.time())
        self._connection.send_binary(message)

    def _limit_unsent(self) -> None:
        if self._pace.unsent_bytes != self._limit_bytes:
            self._limit_bytes = self._pace.unsent_bytes
            self._connection.limit_unsent(self._limit_bytes)
