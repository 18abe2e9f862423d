"""The one port: plain HTTP stays with uvicorn and starlette, WebSockets are taken over here.

uvicorn's traps, each seen (design/endpoints.md): only h11 passes a lower-case `get`; neither parser
has a deadline for a request head; bytes behind the upgrade's head are lost unless handed on; signals
and drain must be ours.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, ClassVar

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

from browsergo.chassis.config import ConfigError
from edge.upgrade import Gate, Upgrade

HEAD_BYTES = 32 << 10
PIECE_BYTES = 4 << 10
HEAD_TIMEOUT_S = 10.0
BACKLOG = 1024


class EdgeHttp(H11Protocol):
    """uvicorn's h11 protocol with a deadline for request heads and our own WebSocket side.

    uvicorn makes one per connection, from the class alone: `http_protocol` binds what it needs.
    """

    gate: ClassVar[Gate]
    max_message_bytes: ClassVar[int]
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection: its first head is due."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Bytes came; in small pieces, since h11 looks at the size of a head only when it is still incomplete."""
        for start in range(0, len(data), PIECE_BYTES):
            if self.transport.is_closing():
                return
            taken_over_by = self.transport.get_protocol()
            if isinstance(taken_over_by, Upgrade):
                taken_over_by.data_received(data[start:])
                return
            self._piece_received(data[start : start + PIECE_BYTES])

    def _piece_received(self, piece: bytes) -> None:
        """A head that has begun must end within the deadline, on every request of the connection."""
        super().data_received(piece)
        if self.transport.get_protocol() is not self or self.conn.their_state is not h11.IDLE:
            self._head_arrived()
        elif self.conn.trailing_data[0]:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._head_arrived()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_too_late)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_late(self) -> None:
        self._head_timer = None
        self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over, with what came behind the head."""
        self._head_arrived()
        self.connections.discard(self)
        head = [event.method.upper(), b" ", event.target, b" HTTP/", event.http_version, b"\r\n"]
        for name, value in event.headers:
            head += [name, b": ", value, b"\r\n"]
        upgrade = Upgrade(type(self).gate, self.server_state, self.max_message_bytes)
        upgrade.begin(self.transport, b"".join([*head, b"\r\n"]), self.conn.trailing_data[0])


def http_protocol(gate: Gate, max_message_bytes: int) -> type[EdgeHttp]:
    """The protocol class of one edge."""
    return type("BoundEdgeHttp", (EdgeHttp,), {"gate": staticmethod(gate), "max_message_bytes": max_message_bytes})


class UpperCaseMethod:
    """nodriver sends `get`; h11 lets it pass and starlette would answer 405."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            scope["method"] = scope["method"].upper()
        await self._app(scope, receive, send)


class EdgeServer(Server):
    """uvicorn's server without its signal handling: when to stop is decided elsewhere."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signal handlers alone."""
        yield

    def stop_accepting(self) -> None:
        """Close the listening sockets; open connections go on."""
        for server in self.servers:
            server.close()


def make_server(app: ASGIApp, protocol: type[H11Protocol]) -> EdgeServer:
    """A server for `app`, to be run with `serve(sockets=[...])`."""
    settings: dict[str, Any] = {
        "http": protocol,
        "ws": Upgrade,  # any class: it only tells uvicorn that upgrades are wanted
        "h11_max_incomplete_event_size": HEAD_BYTES,
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 1,
        "backlog": BACKLOG,
    }
    return EdgeServer(uvicorn.Config(UpperCaseMethod(app), **settings))


def listening_socket(host: str, port: int, fd: int | None, flag: str = "--port") -> socket.socket:
    """The socket to serve: inherited, or bound here. Raises ConfigError, which names the `flag` to change."""
    if fd is not None:
        return _inherited_socket(fd)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port {port} on {host} cannot be bound ({error.strerror}); choose another with {flag}"
        ) from error
    return listener


def _inherited_socket(fd: int) -> socket.socket:
    try:
        inherited = socket.socket(fileno=fd)
    except OSError as error:
        raise ConfigError(f"fd {fd} is not a socket: {error.strerror}") from error
    inherited.setblocking(False)
    return inherited
