"""WebSocket connections on websockets' Sans-I/O layer, under our own asyncio protocol.

Shared by edge (server side) and agent (client side, agent/websocket.py); services never import it. Messages are handed
over in the tick they arrive in and writes of one tick leave in one call (design/performance.md,
"Rules of the hot path"). Unlike the library's own asyncio layer this one has no queue of its own:
back-pressure is `pause_reading` inward and `on_writable` outward.
"""

import asyncio
import logging
import socket
import struct
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from browsergo.chassis.process import is_loopback
from browsergo.core.channel.pieces import Payload, Pieces
from browsergo.core.errors import CLOSE_REASON_MAX_BYTES, cut_utf8

CLOSE_TIMEOUT_S = 5.0
WRITE_HIGH_BYTES = 1 << 20
READ_AT_ONCE_BYTES = 256 << 10
LARGE_READ_BYTES = 32 << 10  # smaller reads are not counted: they end by themselves
ABNORMAL = 1006
# The header of an unmasked text frame of more than 64 KiB (RFC 6455, 5.2).
_LARGE_TEXT = struct.Struct("!BBQ")
_FINAL_TEXT, _LENGTH_FOLLOWS = 0x81, 127
# Seconds of silence before the first probe, seconds between probes, probes without an answer.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))

# The library logs every refused handshake with its headers; ours would carry tokens.
QUIET_LOGGER = logging.getLogger("browsergo.websocket.quiet")
QUIET_LOGGER.addHandler(logging.NullHandler())
QUIET_LOGGER.propagate = False


class Listener(Protocol):
    """Who is told what happens on a connection; all calls come from the event loop."""

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """One whole message."""

    def on_writable(self, writable: bool) -> None:
        """The peer takes what we write slower than we write it, or is quick enough again."""

    def on_closed(self, code: int, reason: str) -> None:
        """The connection is over; called once. 1006: without a close frame."""


class WebSocketConnection(asyncio.Protocol):
    """One open (or closing) connection. Subclasses do the opening handshake."""

    def __init__(self, sansio: ServerProtocol | ClientProtocol) -> None:
        self._sansio = sansio
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._listener: Listener | None = None
        self._fragments: bytearray | None = None
        self._fragments_text = False
        self._flush_due = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._keepalive: asyncio.TimerHandle | None = None
        self._failure: tuple[int, str] | None = None
        self._ended = False
        self._reading_paused = False
        self._read_this_tick = 0
        self.last_read = self._loop.time()

    # --- writing ---------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._sansio.state is State.OPEN

    def send_text(self, payload: Payload) -> None:
        """Queue one text message (UTF-8 bytes); leaves with everything else of this tick."""
        if self._sansio.state is State.OPEN:
            if isinstance(payload, Pieces):
                self._send_in_pieces(payload)
            else:
                self._sansio.send_text(payload)
            self._flush_soon()

    def send_binary(self, payload: bytes) -> None:
        """Queue one binary message."""
        if self._sansio.state is State.OPEN:
            self._sansio.send_binary(payload)
            self._flush_soon()

    def _send_in_pieces(self, payload: Pieces) -> None:
        """One frame as the library would write it, but without a copy of it. A client's would have to be masked."""
        if isinstance(self._sansio, ServerProtocol) and not self._sansio.extensions:
            self._sansio.writes += [_LARGE_TEXT.pack(_FINAL_TEXT, _LENGTH_FOLLOWS, len(payload)), *payload.parts]
        else:
            self._sansio.send_text(bytes(payload))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake; the connection is cut if the peer does not answer in 5 s."""
        if self._sansio.state is State.OPEN:
            self._sansio.send_close(code, cut_utf8(reason, CLOSE_REASON_MAX_BYTES))
            self._failure = (code, reason)
            self._flush()
            self.resume_reading()
            self._arm_close_timer()
        elif self._sansio.state is State.CONNECTING:
            self.abort()

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Stop reading the socket: the peer feels it as TCP back-pressure."""
        self._reading_paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        if self._reading_paused:
            self._reading_paused, self.last_read = False, self._loop.time()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def peer_is_this_machine(self) -> bool:
        """Whether what is sent crosses no network, as far as the address tells."""
        address = self._transport.get_extra_info("peername") if self._transport is not None else None
        return not isinstance(address, tuple) or is_loopback(address[0])

    @property
    def unsent_bytes(self) -> int:
        """What the peer has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def limit_unsent(self, kernel_bytes: int) -> None:
        """`on_writable(False)` as soon as anything waits in here; the kernel keeps hardly more than so much unsent.

        What waits here or there is first in, first out: whoever takes turns wants little of it. By itself the kernel
        keeps up to 4 MB for a line that is slow, which is seconds on a thin one.
        """
        if self._transport is None:
            return
        self._transport.set_write_buffer_limits(high=0)
        peer = self._transport.get_extra_info("socket")
        if (
            peer is not None
            and peer.family in {socket.AF_INET, socket.AF_INET6}
            and hasattr(socket, "TCP_NOTSENT_LOWAT")
        ):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, kernel_bytes)

    def keep_alive(self, idle_s: float, dead_s: float) -> None:
        """Ping after `idle_s` without a byte from the peer; cut after `dead_s` of silence.

        While we do not read, the peer is not silent: we are deaf.
        """
        silent_s = 0.0 if self._reading_paused else self._loop.time() - self.last_read
        if self._ended:
            return
        if silent_s >= dead_s:
            if self.is_open:  # else the closing handshake has said already why it ends
                self._failure = (ABNORMAL, "the peer is silent")
            self.abort()
            return
        if silent_s >= idle_s and self._sansio.state is State.OPEN:
            self._sansio.send_ping(b"")
            self._flush()
        wait_s = idle_s - silent_s if silent_s < idle_s else dead_s - silent_s
        self._keepalive = self._loop.call_later(wait_s + 0.01, self.keep_alive, idle_s, dead_s)

    def probe_peer(self) -> None:
        """TCP keepalive: a peer that vanished without a word is noticed in about a minute.

        For peers that need not answer pings: a client that is busy, or reads only when it asks, or a browser.
        """
        peer = self._transport.get_extra_info("socket") if self._transport is not None else None
        if peer is None or peer.family not in {socket.AF_INET, socket.AF_INET6}:
            return
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        parts = self._sansio.data_to_send()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        at_end = bool(parts) and parts[-1] == b""  # the library's word for "half-close now"
        if at_end:
            parts = parts[:-1]
        if len(parts) == 1:
            transport.write(parts[0])
        elif parts:
            transport.writelines(parts)
        if at_end and isinstance(self._sansio, ServerProtocol):
            transport.close()

    # --- reading ---------------------------------------------------------------------------------

    def _deliver(self) -> None:
        for event in self._sansio.events_received():
            if isinstance(event, Frame):
                self._on_frame(event)
            else:
                self._on_handshake(event)
        self._flush()
        if self._sansio.state is State.CLOSING and self._close_timer is None:
            self._arm_close_timer()

    def _on_handshake(self, event: Request | Response) -> None:
        raise NotImplementedError

    def _on_frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                self._give(_whole(frame), opcode is Opcode.TEXT)
            else:
                self._fragments, self._fragments_text = bytearray(bytes(frame.data)), opcode is Opcode.TEXT
        elif opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += bytes(frame.data)
            if frame.fin:
                whole, self._fragments = bytes(self._fragments), None
                self._give(whole, self._fragments_text)

    def _give(self, payload: bytes, is_text: bool) -> None:
        # After our own close frame nothing more is taken: the peer has been told that we are gone.
        if self._listener is not None and self._failure is None:
            self._listener.on_message(payload, is_text)

    # --- asyncio's callbacks ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not derive from asyncio's
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)

    def data_received(self, data: bytes) -> None:
        self.last_read = self._loop.time()
        self._give_way(len(data))
        if not self._ended and not self._sansio.eof_sent:
            self._sansio.receive_data(data)
            self._deliver()

    def _give_way(self, size: int) -> None:
        """After READ_AT_ONCE_BYTES others have their turn: a loop would go on for as long as the socket has more."""
        if size < LARGE_READ_BYTES:
            return
        if self._read_this_tick == 0:
            self._loop.call_soon(self._next_tick)
        self._read_this_tick += size
        if self._read_this_tick >= READ_AT_ONCE_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def _next_tick(self) -> None:
        waited, self._read_this_tick = self._read_this_tick >= READ_AT_ONCE_BYTES, 0
        if waited and not self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        if not self._ended and not self._sansio.reader.eof:
            self._sansio.receive_eof()
            self._deliver()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self._ended:
            return
        self._ended = True
        for timer in (self._close_timer, self._keepalive):
            if timer is not None:
                timer.cancel()
        self._on_lost(error)
        code, reason = self._outcome()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.on_closed(code, reason)

    def _on_lost(self, error: Exception | None) -> None:
        """For subclasses: the connection may not have been opened yet."""

    def pause_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_writable(False)

    def resume_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_writable(True)

    def _outcome(self) -> tuple[int, str]:
        if self._failure is not None:
            return self._failure
        received = self._sansio.close_rcvd
        if received is not None:
            return received.code, received.reason
        sent = self._sansio.close_sent
        return (sent.code, sent.reason) if sent is not None else (ABNORMAL, "")

    def _arm_close_timer(self) -> None:
        self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)


def _whole(frame: Frame) -> bytes:
    """The message of an unfragmented frame. `in_pieces` a large one stays as its reader made it, see `dial`."""
    return cast("bytes", frame.data) if isinstance(cast("object", frame.data), Pieces) else bytes(frame.data)
