"""The server side of WebSocket connections: the opening handshake under our control.

Nothing is upgraded before the gate has decided: a refusal is a plain HTTP answer whose body says
what to do (Playwright shows it). What the peer sends meanwhile waits, bounded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from uvicorn.server import ServerState
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from browsergo.chassis.websocket import QUIET_LOGGER, Listener, WebSocketConnection
from browsergo.core.errors import BrowserGoError, Draining, Unauthenticated
from browsergo.core.tracing import Traceparent, parse_traceparent
from edge.core.admission import Knock, offered_subprotocols
from edge.core.endpoints import Target, split_target
from edge.core.forwarding import Arrival

EARLY_BYTES = 64 << 10
HANDSHAKE_TIMEOUT_S = 60.0

Gate = Callable[["Upgrade"], Awaitable[None]]


class Upgrade(WebSocketConnection):
    """One connection that asked for a WebSocket. The gate calls `accept` or `refuse`, once."""

    def __init__(self, gate: Gate, server_state: ServerState, max_size_bytes: int) -> None:
        self._chosen: str | None = None
        self._server = ServerProtocol(
            max_size=max_size_bytes, logger=QUIET_LOGGER, select_subprotocol=lambda _protocol, _offered: self._choice()
        )
        super().__init__(self._server)
        self._gate = gate
        self._server_state = server_state
        self._early = bytearray()
        self._deciding: asyncio.Task[None] | None = None
        self._decided = False
        self.request: Request
        self.target: Target
        self.gone = asyncio.Event()  # the peer left, decided or not
        self._on_gone: Callable[[], object] | None = None

    def _choice(self) -> Subprotocol | None:
        return Subprotocol(self._chosen) if self._chosen is not None else None

    # --- what the gate needs -----------------------------------------------------------------------

    @property
    def direct(self) -> Arrival:
        """How the request came to this port."""
        assert self._transport is not None
        scheme = "https" if self._transport.get_extra_info("sslcontext") is not None else "http"
        return Arrival(self._peer(), scheme, tuple(self.request.headers.get_all("Host")))

    def knock(self, arrival: Arrival) -> Knock:
        """What of the request decides whether it may come in, once it is known how it came."""
        headers = self.request.headers
        offered = offered_subprotocols(headers.get_all("Sec-WebSocket-Protocol"))
        authorizations = headers.get_all("Authorization")
        return Knock(
            arrival,
            tuple(headers.get_all("Origin")),
            authorizations[0] if authorizations else None,
            offered,
            self.target.query.get("token"),
            self.target.query.get("ticket"),
        )

    @property
    def traceparent(self) -> Traceparent | None:
        """The caller's trace context, by header or query parameter."""
        values = self.request.headers.get_all("traceparent")
        text = values[0] if values else self.target.query.get("traceparent")
        return parse_traceparent(text) if text else None

    def on_gone(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the connection is over, however far it came."""
        self._on_gone = callback

    def _peer(self) -> str:
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if isinstance(name, tuple) else "local"

    def accept(
        self, listener: Listener, subprotocol: str | None = None, *, max_message_bytes: int | None = None
    ) -> bool:
        """Answer 101 and hand over what follows. False: the request was no valid upgrade, and was refused.

        `max_message_bytes` is a narrower bound than the edge's own.
        """
        self._decided = True
        self._chosen = subprotocol
        if max_message_bytes is not None:
            self._server.max_message_size = max_message_bytes
        response = self._server.accept(self.request)
        self._server.send_response(response)
        self._flush()
        if response.status_code != 101:
            return False
        self._listener = listener
        early, self._early = bytes(self._early), bytearray()
        self.resume_reading()
        if early:
            super().data_received(early)
        return True

    def refuse(self, error: BrowserGoError) -> None:
        """Answer with the error's HTTP status; the body is `CODE: what to do`."""
        if self._decided:
            return
        self._decided = True
        self._server.send_response(refusal(self._server, error))
        self._flush()

    # --- the handshake -----------------------------------------------------------------------------

    def begin(self, transport: asyncio.Transport, head: bytes, early: bytes) -> None:
        """Take over `transport` from the HTTP protocol: `head` is the request, `early` what came behind it."""
        self.connection_made(transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # typed for uvicorn's own classes
        transport.set_protocol(self)
        self.probe_peer()
        self._sansio.receive_data(head)
        self._deliver()
        if early:
            self.data_received(early)

    def _on_handshake(self, event: Request | Response) -> None:
        assert isinstance(event, Request)
        self.request = event
        self.target = split_target(event.path)
        self._deciding = asyncio.create_task(self._decide())

    async def _decide(self) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self._gate(self)
        except BrowserGoError as error:
            self.refuse(error)
        except TimeoutError:
            self.refuse(Draining("this took too long; try again"))
        except Exception:
            logging.getLogger("browsergo.edge").exception("the gate failed")
            self.refuse(BrowserGoError("internal error; see the edge's log"))

    def data_received(self, data: bytes) -> None:
        if self._decided or self._deciding is None:
            super().data_received(data)
            return
        self._early += data
        if len(self._early) > EARLY_BYTES:
            self.pause_reading()

    def _on_lost(self, error: Exception | None) -> None:
        self._server_state.connections.discard(self)
        self.gone.set()
        if self._on_gone is not None:
            self._on_gone()
        if self._deciding is not None and not self._decided:
            self._deciding.cancel()

    def shutdown(self) -> None:
        """Uvicorn's word for: the server stops now. A refusal that is on its way is not cut off."""
        if not self._decided:
            self.refuse(Draining())
        elif self.is_open:
            self.close(1012, Draining().close_reason)


def refusal(server: ServerProtocol, error: BrowserGoError) -> Response:
    """The HTTP answer for an error."""
    response = server.reject(error.http_status, f"{error.code}: {error.message}\n")
    if error.retry_after_s is not None or error.http_status == 503:
        response.headers["Retry-After"] = str(error.retry_after_s or 1)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="browser-go"'
    return response
