"""One link connection: frames out in batches, frames in to the device."""

from collections.abc import Callable

from browsergo.agent.websocket import ClientConnection
from browsergo.chassis.link_writer import DEAD_AFTER_S, PING_IDLE_S, LinkWriter
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame
from browsergo.core.errors import BrowserGoError


class Link:
    """A data connection to the edge. Frames of one tick leave as one message (or several of at most 260 KiB)."""

    def __init__(
        self,
        number: int,
        connection: ClientConnection,
        on_frames: Callable[["Link", list[Frame]], None],
        on_closed: Callable[["Link", int, str], None],
        registration: int,
    ) -> None:
        self.number = number
        self.registration = registration  # by number
        self._connection = connection
        self._on_frames = on_frames
        self._on_closed = on_closed
        self._writer = LinkWriter(connection)

    def start(self) -> None:
        """From here on frames arrive."""
        self._connection.listen(self)
        self._connection.keep_alive(PING_IDLE_S, DEAD_AFTER_S)

    def push(self, frame: Frame) -> None:
        """Queue a frame; bounded by the channels' credit."""
        self._writer.push(frame)

    def flush_now(self) -> None:
        """Write what is queued: the connection is about to be closed."""
        self._writer.flush_all()

    def flush_and_close(self) -> None:
        """Close it; what is queued is written first."""
        self.flush_now()
        self.close(1000, "")

    def close(self, code: int, reason: str) -> None:
        """Close it."""
        self._connection.close(code, reason)

    def abort(self) -> None:
        """Cut it."""
        self._connection.abort()

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
        self._writer.writable(writable)

    def on_closed(self, code: int, reason: str) -> None:
        """The connection is over."""
        self._on_closed(self, code, reason)
