"""A client's connection: CDP text messages in, CDP text messages out."""

import asyncio
import time

from browsergo.core.channel.pieces import Payload
from browsergo.core.errors import BadMessage, BrowserGoError, DeviceGone, TokenExpired
from edge.clients import Clients
from edge.upgrade import Upgrade

_LONGEST_TIMER_S = 86_400.0


class CdpSocket:
    """Joins one client's WebSocket to its channel."""

    def __init__(self, clients: Clients, connection: Upgrade) -> None:
        self._clients = clients
        self._connection = connection
        self._channel: bytes | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._accepted = False
        self._early: list[Payload] = []  # what came between the channel's birth and the 101
        self._ended = False
        self._reason: BrowserGoError | None = None

    async def open(self, device: str, endpoint: str) -> None:
        """Make the channel, then answer the upgrade. Raises what the client is to be refused with."""
        connection = self._connection
        channel = await self._clients.open(device, endpoint, connection.traceparent, self)
        if self._ended:
            raise self._reason or DeviceGone()
        self._channel = channel
        if not connection.accept(self) or connection.gone.is_set():
            self._channel = None
            self._clients.gone(channel)
            return
        self._begin()

    def _begin(self) -> None:
        """The 101 is out: what was held back follows, and the end, if the client's first words were its last."""
        self._accepted = True
        for payload in self._early:
            self._connection.send_text(payload)
        self._early.clear()
        if self._ended:
            self.end(self._reason)

    def expire_at(self, expires_unix_s: float) -> None:
        """Close the connection when its token does (4006); far-off expiries are looked at again daily."""
        if self._channel is None:
            return
        left_s = expires_unix_s - time.time()
        if left_s <= 0:
            self._clients.end(self._channel, TokenExpired())
            return
        delay_s = min(left_s, _LONGEST_TIMER_S)
        self._expiry = asyncio.get_running_loop().call_later(delay_s, self.expire_at, expires_unix_s)

    # --- from the client ----------------------------------------------------------------------------

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """One message of the client."""
        if self._channel is None:
            return
        if is_text:
            self._clients.command(self._channel, payload)
        else:  # Chrome drops the socket without a word
            self._clients.end(self._channel, BadMessage("CDP is text; a binary message came"))

    def on_writable(self, writable: bool) -> None:
        """The client reads slower than its browser speaks, or again."""
        if self._channel is not None:
            self._clients.writable(self._channel, writable)

    def on_closed(self, code: int, reason: str) -> None:
        """The client is gone."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._channel is not None:
            channel, self._channel = self._channel, None
            self._clients.gone(channel)

    # --- to the client ------------------------------------------------------------------------------

    def deliver(self, payload: Payload) -> None:
        """Write one CDP message."""
        if self._accepted:
            self._connection.send_text(payload)
        else:
            self._early.append(payload)

    @property
    def unsent_bytes(self) -> int:
        """What was written and the client has not taken yet."""
        return self._connection.unsent_bytes + sum(map(len, self._early))

    def hold(self, held: bool) -> None:
        """Stop or go on reading."""
        if held:
            self._connection.pause_reading()
        else:
            self._connection.resume_reading()

    def end(self, error: BrowserGoError | None) -> None:
        """Close; the channel is over already."""
        self._channel, self._ended, self._reason = None, True, error
        if not self._accepted:
            return
        if error is None:
            self._connection.close(1000, "")
        else:
            self._connection.close(error.close_code, error.close_reason)
