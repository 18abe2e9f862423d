"""One link connection: frames out in batches, frames in to the device."""

import asyncio
from collections import deque
from collections.abc import Callable

from browsergo.chassis.websocket import ClientConnection
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame
from browsergo.core.errors import BrowserGoError

PING_IDLE_S = 5.0
DEAD_AFTER_S = 10.0


class Link:
    """A data connection to the edge. Frames of one tick leave as one message (or several of at most 1 MiB)."""

    def __init__(
        self,
        number: int,
        connection: ClientConnection,
        on_frames: Callable[["Link", list[Frame]], None],
        on_closed: Callable[["Link", int, str], None],
    ) -> None:
        self.number = number
        self._connection = connection
        self._on_frames = on_frames
        self._on_closed = on_closed
        self._queue: deque[Frame] = deque()
        self._writable = True
        self._flush_due = False
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """From here on frames arrive."""
        self._connection.listen(self)
        self._connection.keep_alive(PING_IDLE_S, DEAD_AFTER_S)

    def push(self, frame: Frame) -> None:
        """Queue a frame; bounded by the channels' credit."""
        self._queue.append(frame)
        if not self._flush_due and self._writable:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def flush_now(self) -> None:
        """Hand all that is queued to the connection, however slow the edge is: it is about to be closed."""
        self._writable = True
        self._flush()

    def close(self, code: int, reason: str) -> None:
        """Close it."""
        self._connection.close(code, reason)

    def abort(self) -> None:
        """Cut it."""
        self._connection.abort()

    def _flush(self) -> None:
        self._flush_due = False
        while self._queue and self._writable:
            batch = [self._queue.popleft()]
            size = batch[0].size
            while self._queue and size + self._queue[0].size <= frames.BATCH_BYTES:
                batch.append(self._queue.popleft())
                size += batch[-1].size
            self._connection.send_binary(frames.encode_link_message(batch))

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """A batch came down."""
        if is_text:
            self.close(1003, "links carry binary messages")
            return
        try:
            self._on_frames(self, frames.decode_link_message(payload))
        except BrowserGoError as error:
            self.close(error.close_code, error.close_reason)

    def on_writable(self, writable: bool) -> None:
        """The edge takes frames slower than we write them, or again."""
        self._writable = writable
        if writable:
            self._flush()

    def on_closed(self, code: int, reason: str) -> None:
        """The connection is over."""
        self._on_closed(self, code, reason)
