"""WebSocket connections on websockets' Sans-I/O layer, under our own asyncio protocol.

Shared by edge (server side) and agent (client side); services never import it. Messages are handed
over in the tick they arrive in and writes of one tick leave in one call (design/performance.md,
"Rules of the hot path"). Unlike the library's own asyncio layer this one has no queue of its own:
back-pressure is `pause_reading` inward and `on_writable` outward.
"""

import asyncio
import logging
import socket
import ssl
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from browsergo.core.errors import CLOSE_REASON_MAX_BYTES, HandshakeRefused, ServiceUnavailable, cut_utf8

CLOSE_TIMEOUT_S = 5.0
WRITE_HIGH_BYTES = 1 << 20
ABNORMAL = 1006
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
        self.last_read = self._loop.time()

    # --- writing ---------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._sansio.state is State.OPEN

    def send_text(self, payload: bytes) -> None:
        """Queue one text message (UTF-8 bytes); leaves with everything else of this tick."""
        if self._sansio.state is State.OPEN:
            self._sansio.send_text(payload)
            self._flush_soon()

    def send_binary(self, payload: bytes) -> None:
        """Queue one binary message."""
        if self._sansio.state is State.OPEN:
            self._sansio.send_binary(payload)
            self._flush_soon()

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
    def unsent_bytes(self) -> int:
        """What the peer has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

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
                self._give(bytes(frame.data), opcode is Opcode.TEXT)
            else:
                self._fragments, self._fragments_text = bytearray(frame.data), opcode is Opcode.TEXT
        elif opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
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
        if not self._ended and not self._sansio.eof_sent:
            self._sansio.receive_data(data)
            self._deliver()

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


class ClientConnection(WebSocketConnection):
    """The dialing side."""

    def __init__(self, sansio: ClientProtocol, headers: dict[str, str]) -> None:
        super().__init__(sansio)
        self._client = sansio
        self._headers = headers
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._early: list[tuple[bytes, bool]] = []

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._sansio.subprotocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        request = self._client.connect()
        for name, value in self._headers.items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        self._client.send_request(request)
        self._flush()

    def _on_handshake(self, event: Request | Response) -> None:
        if self._client.handshake_exc is None:
            if not self._opened.done():
                self._opened.set_result(None)
            self.pause_reading()  # until somebody listens
        else:
            self._fail_opening(self._client.handshake_exc)

    def _fail_opening(self, error: Exception) -> None:
        if self._opened.done():
            return
        if isinstance(error, InvalidStatus):
            body = bytes(error.response.body or b"").decode("utf-8", "replace")
            self._opened.set_exception(HandshakeRefused.answered(error.response.status_code, body))
        else:
            self._opened.set_exception(ServiceUnavailable(f"no WebSocket there ({type(error).__name__})"))

    def _on_lost(self, error: Exception | None) -> None:
        self._fail_opening(error or ConnectionResetError())

    async def opened(self) -> None:
        """Wait for the handshake. Raises HandshakeRefused or ServiceUnavailable."""
        await self._opened

    def listen(self, listener: Listener) -> None:
        """From here on messages go to `listener`."""
        early, self._early = self._early, []
        for payload, is_text in early:
            listener.on_message(payload, is_text)
        if self._ended:
            listener.on_closed(*self._outcome())
            return
        self._listener = listener
        self.resume_reading()

    def _give(self, payload: bytes, is_text: bool) -> None:
        if self._listener is None and not self._ended:
            self._early.append((payload, is_text))  # came in the segment of the handshake
        else:
            super()._give(payload, is_text)


async def dial(
    host: str,
    port: int,
    path: str,
    *,
    tls: ssl.SSLContext | None = None,
    headers: dict[str, str] | None = None,
    subprotocols: list[str] | None = None,
    max_size_bytes: int,
    timeout_s: float,
) -> ClientConnection:
    """Open a connection to `host:port`; `headers` replace those the library would send (`Host`, say).

    No extension is offered: compression belongs inside our own frames. Raises HandshakeRefused,
    ServiceUnavailable (no such host, refused, no answer in `timeout_s`).
    """
    uri = WebSocketURI(tls is not None, host, port, *_split(path))
    names = [Subprotocol(name) for name in subprotocols] if subprotocols else None
    sansio = ClientProtocol(uri, subprotocols=names, max_size=max_size_bytes, logger=QUIET_LOGGER)
    loop = asyncio.get_running_loop()
    connection: ClientConnection | None = None
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: ClientConnection(sansio, headers or {}),
                host,
                port,
                ssl=tls,
                server_hostname=host if tls is not None else None,
            )
            await connection.opened()
            return connection
    except TimeoutError:
        _discard(connection)
        raise ServiceUnavailable(f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise ServiceUnavailable(f"cannot connect: {error.strerror or error}") from None
    except BaseException:
        _discard(connection)
        raise


def _discard(connection: ClientConnection | None) -> None:
    if connection is not None:
        connection.abort()


def _split(path: str) -> tuple[str, str]:
    before, _, after = path.partition("?")
    return before, after
