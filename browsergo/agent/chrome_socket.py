"""The Chrome socket of one channel: what the browser says, to the device end in the order in which it came."""

import asyncio
from collections import deque
from typing import Protocol

from browsergo.agent.websocket import ClientConnection
from browsergo.core.channel.compression import deflated
from browsergo.core.channel.pieces import Payload

WAITING_BYTES = 4 << 20  # of messages that wait for one that is being compressed; then the socket is not read


class Owner(Protocol):
    """Who has the sockets: the device."""

    def compresses(self, size: int) -> bool:
        """Whether a message of so many bytes is to be compressed."""

    def from_chrome(self, channel: bytes, payload: Payload, deflated: Payload | None) -> None:
        """A message on a channel's Chrome socket, and the same as a zlib stream if that is what is to be sent."""

    def chrome_takes(self, channel: bytes, taking: bool) -> None:
        """Whether a channel's Chrome socket has room for commands."""

    def chrome_closed(self, channel: bytes, socket: "ChromeSocket", reason: str) -> None:
        """A channel's Chrome socket ended by itself, and all that it said has been told."""


class ChromeSocket:
    """One socket. It compresses in a thread, so that other channels' messages go on meanwhile."""

    def __init__(self, owner: Owner, channel: bytes, connection: ClientConnection) -> None:
        self._owner = owner
        self._channel = channel
        self._connection = connection
        self._waiting: deque[Payload] = deque()
        self._waiting_bytes = 0
        self._compressing: asyncio.Task[None] | None = None
        self._paused = False
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._end_reason: str | None = None

    def start(self) -> None:
        """From here on the browser is heard."""
        self._connection.listen(self)

    def send(self, payload: bytes) -> None:
        """Write a command."""
        self._connection.send_text(payload)

    def pause(self, paused: bool) -> None:
        """Stop or go on reading."""
        self._paused = paused
        if paused:
            self._resumed.clear()
        else:
            self._resumed.set()
        self._regulate()

    def hang_up(self) -> None:
        """Close it; what it has not told yet is forgotten."""
        if self._compressing is not None:
            self._compressing.cancel()
        self._waiting.clear()
        self._connection.close(1000)

    def on_message(self, payload: Payload, is_text: bool) -> None:
        """Chrome speaks only text."""
        if self._compressing is None and not self._owner.compresses(len(payload)):
            self._owner.from_chrome(self._channel, payload, None)
            return
        self._waiting.append(payload)
        self._waiting_bytes += len(payload)
        self._regulate()
        if self._compressing is None:
            self._compressing = asyncio.get_running_loop().create_task(self._compress())

    def on_writable(self, writable: bool) -> None:
        """The browser reads commands slower than they come, or again."""
        self._owner.chrome_takes(self._channel, writable)

    def on_closed(self, code: int, reason: str) -> None:
        """The target is gone, or the browser."""
        if self._compressing is None:
            self._owner.chrome_closed(self._channel, self, reason)
        else:
            self._end_reason = reason

    async def _compress(self) -> None:
        while self._waiting:
            await self._resumed.wait()
            payload = self._waiting[0]
            small = await asyncio.to_thread(deflated, payload) if self._owner.compresses(len(payload)) else None
            self._waiting.popleft()
            self._waiting_bytes -= len(payload)
            self._owner.from_chrome(self._channel, payload, small)
            self._regulate()
        self._compressing = None
        if self._end_reason is not None:
            self._owner.chrome_closed(self._channel, self, self._end_reason)

    def _regulate(self) -> None:
        if self._paused or self._waiting_bytes >= WAITING_BYTES:
            self._connection.pause_reading()
        else:
            self._connection.resume_reading()
