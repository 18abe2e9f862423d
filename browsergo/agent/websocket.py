"""The dialing side of WebSocket connections: the agent's, to its edges and to its browser."""

import asyncio
import ssl
from collections.abc import Generator
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response
from websockets.streams import StreamReader
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from browsergo.chassis.websocket import QUIET_LOGGER, Listener, WebSocketConnection
from browsergo.core.channel.pieces import PIECE_BYTES, Pieces
from browsergo.core.errors import HandshakeRefused, ServiceUnavailable


class _PieceReader(StreamReader):
    """Reads what is long into Pieces while it comes, instead of one copy when all is there."""

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        if n <= PIECE_BYTES:
            return (yield from super().read_exact(n))
        parts: list[bytes] = []
        for begin in range(0, n, PIECE_BYTES):
            part = yield from super().read_exact(min(PIECE_BYTES, n - begin))
            parts.append(bytes(part))
        return cast("bytearray", Pieces(parts))  # nobody between here and `_whole` does more with it than len()


class _PieceProtocol(ClientProtocol):
    """The library's protocol on a _PieceReader. It offers no extension, and a server's frames are not masked."""

    def __init__(self, uri: WebSocketURI, max_size: int) -> None:
        super().__init__(uri, max_size=max_size, logger=QUIET_LOGGER)
        self.reader = _PieceReader()
        self.parser = self.parse()  # that of the base class reads from the reader it began with
        next(self.parser)


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
    in_pieces: bool = False,
) -> ClientConnection:
    """Open a connection to `host:port`; `headers` replace those the library would send (`Host`, say).

    `in_pieces`: `on_message` is given messages of more than PIECE_BYTES as Pieces.

    No extension is offered: compression belongs inside our own frames. Raises HandshakeRefused,
    ServiceUnavailable (no such host, refused, no answer in `timeout_s`).
    """
    uri = WebSocketURI(tls is not None, host, port, *_split(path))
    names = [Subprotocol(name) for name in subprotocols] if subprotocols else None
    sansio = (
        _PieceProtocol(uri, max_size_bytes)
        if in_pieces
        else ClientProtocol(uri, subprotocols=names, max_size=max_size_bytes, logger=QUIET_LOGGER)
    )
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
