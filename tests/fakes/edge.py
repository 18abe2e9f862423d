"""An edge as an agent meets it, played by hand: refuses, registers, keeps silent, takes over, as told."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from browsergo.core import device_messages as messages
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame

TICKET = "ticket-of-the-fake-edge"
PATIENCE_S = 15.0
Message = dict[str, Any]


class Visit:
    """One control connection of an agent: what it said, and what to say to it."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.said: list[Message] = []

    @property
    def kinds(self) -> list[str]:
        """The types of what the agent said."""
        return [message["type"] for message in self.said]

    async def say(self, kind: str, body: Message) -> None:
        """One message to the agent."""
        await self.connection.send(json.dumps({"type": kind, "timestamp": 0, "data": body}))


class FakeEdge:
    """Serves /v2/device and links on loopback. `refusal` answers upgrades; `speech` replaces the first words.

    `arrivals` are the monotonic times of upgrades, `tokens` what they carried; `visits` and `links` what was let in.
    """

    def __init__(self) -> None:
        self.port = 0
        self.refusal: tuple[int, str] | None = None
        self.link_refusal: tuple[int, str] | None = None
        self.accepted_token: str | None = None
        self.first_words: str | bytes | None = None
        self.acknowledge = True
        self.heartbeat_interval_ms = 20_000
        self.answers_heartbeats = True
        self.arrivals: list[float] = []
        self.tokens: list[str] = []
        self.visits: list[Visit] = []
        self.links: list[ServerConnection] = []
        self.link_frames: list[Frame] = []
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["FakeEdge"]:
        """Serve until the context ends."""
        protocols = [Subprotocol(messages.SUBPROTOCOL), Subprotocol(messages.LINK_SUBPROTOCOL)]
        server = serve(
            self._serve, "127.0.0.1", port,
            process_request=self._decide, subprotocols=protocols, compression=None, ping_interval=None, close_timeout=1,
        )  # fmt: skip
        async with server as running:
            self.port = next(iter(running.sockets)).getsockname()[1]
            yield self

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for what agents do here."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"never: {what}") from None

    async def registered(self, count: int = 1) -> Visit:
        """Wait for the `count`-th registration with both links up."""
        await self.until(lambda: len(self._registrations()) >= count and len(self.links) >= 2, f"registration {count}")
        return self._registrations()[count - 1]

    def _registrations(self) -> list[Visit]:
        return [visit for visit in self.visits if messages.REGISTER in visit.kinds]

    def _decide(self, connection: ServerConnection, request: Request) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.path != "/v2/device":
            return self._refused(connection, self.link_refusal) if token == TICKET else connection.respond(401, "no")
        self.arrivals.append(time.monotonic())
        self.tokens.append(token)
        self._changed.set()
        if self.accepted_token is not None and token != self.accepted_token:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED: the token is not valid here\n")
        return self._refused(connection, self.refusal)

    def _refused(self, connection: ServerConnection, refusal: tuple[int, str] | None) -> Response | None:
        return connection.respond(HTTPStatus(refusal[0]), refusal[1]) if refusal is not None else None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        try:
            if connection.request.path == "/v2/device":
                await self._converse(connection)
            else:
                await self._carry(connection)
        except ConnectionClosed:
            pass
        self._changed.set()

    async def _converse(self, connection: ServerConnection) -> None:
        visit = Visit(connection)
        self.visits.append(visit)
        if self.first_words is not None:
            await connection.send(self.first_words)
        else:
            welcome = messages.Welcome("connection", "0", "nonce", self.heartbeat_interval_ms, 20_000)
            await visit.say(messages.WELCOME, messages.welcome_body(welcome))
        async for text in connection:
            message: Message = json.loads(text)
            visit.said.append(message)
            self._changed.set()
            if message["type"] == messages.REGISTER and self.acknowledge:
                await visit.say(messages.REGISTER_ACK, self._acknowledgement(message["data"]))
            elif message["type"] == messages.HEARTBEAT and self.answers_heartbeats:
                await visit.say(messages.HEARTBEAT_ACK, {"deviceId": "x", "serverTime": 0, "status": "ok"})

    def _acknowledgement(self, registration: Message) -> Message:
        device = registration["deviceInfo"]["deviceId"]
        epoch = len(self._registrations())
        ack = messages.Acknowledgement(
            device, "REGISTERED", epoch, self.heartbeat_interval_ms, f"/v2/cdp/{device}", TICKET, 2, 30_000, False
        )
        return messages.acknowledgement_body(ack)

    async def _carry(self, connection: ServerConnection) -> None:
        self.links.append(connection)
        self._changed.set()
        async for payload in connection:
            assert isinstance(payload, bytes)
            self.link_frames += frames.decode_link_message(payload)
            self._changed.set()
