"""One registration with one edge: the control connection, its heartbeats and its pool of links."""

import asyncio
import ssl
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog

from browsergo.agent.device import Device, Registered
from browsergo.agent.ejection import Ejection
from browsergo.agent.websocket import ClientConnection, dial
from browsergo.core import device_messages as messages
from browsergo.core.channel.frames import MAX_LINK_MESSAGE_BYTES
from browsergo.core.device_messages import Acknowledgement, Envelope, Registration
from browsergo.core.errors import (
    BadMessage,
    BrowserGoError,
    DeadlineExceeded,
    ServiceUnavailable,
    TakenOver,
    from_code,
)

DIAL_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 10.0
LOST_AFTER_INTERVALS = 2.25  # silence after which the agent fences itself (endpoints.md, "/v2/device")
CONTROL_MESSAGE_BYTES = 1 << 20
LINK_WORKS_S = 10.0  # a link that lived so long was no failure
# Silence ends a link after 10 s; what follows may not take so long that a silent cut is a pause of more than 15 s.
LINK_DIAL_TIMEOUT_S = 3.0


class _Control:
    """The control connection as a queue of messages; ends with the reason it was closed for."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._inbox: asyncio.Queue[Envelope | BrowserGoError] = asyncio.Queue(maxsize=256)
        self.last_read_s = time.monotonic()
        connection.listen(self)

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """One JSON message."""
        self.last_read_s = time.monotonic()
        try:
            self._inbox.put_nowait(messages.read_envelope(payload))
        except (BrowserGoError, asyncio.QueueFull):
            self.connection.close(4502, "unreadable or too many messages")

    def on_writable(self, writable: bool) -> None:
        """A few small messages a minute: nothing to hold back."""

    def on_closed(self, code: int, reason: str) -> None:
        """The edge is gone, or let us go."""
        error = TakenOver(reason) if code == TakenOver.close_code else BrowserGoError(f"closed {code} {reason}")
        if self._inbox.full():
            self._inbox.get_nowait()
        self._inbox.put_nowait(error)

    async def next(self, timeout_s: float) -> Envelope:
        """The next message. Raises DeadlineExceeded, or what ended the connection."""
        try:
            async with asyncio.timeout(timeout_s):
                found = await self._inbox.get()
        except TimeoutError:
            raise DeadlineExceeded("the edge is silent") from None
        if isinstance(found, BrowserGoError):
            raise found
        return found

    def send(self, kind: str, body: dict[str, object]) -> None:
        """One message to the edge."""
        self.connection.send_text(messages.write_envelope(kind, body, int(time.time() * 1000)))


class EdgeSession:
    """Registers a device with one edge and keeps it there."""

    def __init__(
        self, edge_url: str, token: str, device: Device, pool: int, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        parts = urlsplit(edge_url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if parts.scheme == "wss" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "wss" else None
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._device = device
        self._pool = pool
        self._log = log
        self._control: _Control | None = None
        self._handed_over = False
        self.registered = asyncio.Event()
        self.linked = asyncio.Event()
        self.told_to_leave = asyncio.Event()

    async def run(self, registration: Registration) -> None:
        """Register, then serve until the edge is lost. Always raises, a BrowserGoError in the ordinary case.

        An edge that tells us to leave is served on: it is for our owner to find another one first.
        """
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connection = await self._dial(
            "/v2/device", messages.SUBPROTOCOL, headers, CONTROL_MESSAGE_BYTES, DIAL_TIMEOUT_S
        )
        control = self._control = _Control(connection)
        try:
            ack = await self._register(control, registration)
            registered = self._device.registered(ack.epoch, trace=ack.trace, took_over=ack.took_over)
            self.registered.set()
            self._log.info("registered", epoch=ack.epoch, edge=f"{self._host}:{self._port}")
            await self._serve(control, ack, registered)
        finally:
            connection.close(1000, "")

    async def _serve(self, control: _Control, ack: Acknowledgement, registered: Registered) -> None:
        """Links, heartbeats and the edge's messages until one of them fails: raises why.

        No TaskGroup: in Python 3.11 one that fails in the moment in which it is cancelled from outside tells of the
        failure only (CPython's gh-116720), so that whoever cancelled it would wait for ever.
        """
        links = (self._keep_link(ack, registered) for _ in range(max(1, min(self._pool, ack.link_pool))))
        work = (*links, self._heartbeats(control, ack), self._listen(control))
        tasks = [asyncio.create_task(coroutine) for coroutine in work]
        ended: list[asyncio.Task[None]] = []
        for task in tasks:
            task.add_done_callback(ended.append)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise _most_telling(error for task in ended if not task.cancelled() and (error := task.exception()) is not None)

    def hand_over(self) -> None:
        """Another session has the device's channels: links that are open stay so, and there will be no more."""
        self._handed_over = True

    def leave(self, reason: str) -> None:
        """Say goodbye, so that the edge need not wait for silence; only when it has read what the links had to say."""
        if self._control is not None:
            self._control.send(messages.DISCONNECT, {"reason": reason})

    async def _dial(
        self, path: str, subprotocol: str, headers: dict[str, str], size: int, timeout_s: float
    ) -> ClientConnection:
        return await dial(
            self._host,
            self._port,
            self._prefix + path,
            tls=self._tls,
            headers=headers,
            subprotocols=[subprotocol],
            max_size_bytes=size,
            timeout_s=timeout_s,
        )

    async def _register(self, control: _Control, registration: Registration) -> Acknowledgement:
        welcome = await control.next(ANSWER_TIMEOUT_S)
        if welcome.type != messages.WELCOME:
            raise BadMessage(f"expected {messages.WELCOME}, not {welcome.type[:64]}")
        messages.read_welcome(welcome.body)
        control.send(messages.REGISTER, messages.register_body(registration))
        answer = await control.next(ANSWER_TIMEOUT_S)
        if answer.type == messages.ERROR:
            raise _told(answer)
        if answer.type != messages.REGISTER_ACK:
            raise BadMessage(f"expected {messages.REGISTER_ACK}, not {answer.type[:64]}")
        return messages.read_acknowledgement(answer.body)

    async def _keep_link(self, ack: Acknowledgement, registered: Registered) -> None:
        """One member of the pool; dialed again while the registration lives.

        One that cannot be dialed is left alone for a while, as long as another carries its channels. Raises
        ServiceUnavailable when none does, and HandshakeRefused: this registration is good for no link any more.
        """
        headers = {"Authorization": f"Bearer {ack.link_ticket}"}
        member = Ejection()
        while not self._handed_over:
            try:
                connection = await self._dial(
                    ack.link_url, messages.LINK_SUBPROTOCOL, headers, MAX_LINK_MESSAGE_BYTES, LINK_DIAL_TIMEOUT_S
                )
            except ServiceUnavailable as error:
                if not self._device.has_link(registered):
                    raise
                await asyncio.sleep(self._failed(member, error.message))
                continue
            began_s = time.monotonic()
            reason = await self._linked(connection, registered)
            if time.monotonic() - began_s > LINK_WORKS_S:
                member.worked()
            await asyncio.sleep(self._failed(member, reason))

    async def _linked(self, connection: ClientConnection, registered: Registered) -> str:
        """A link of the device until it is closed: the reason."""
        if self._handed_over:
            connection.close(1000, "")
            return "too late"
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link = self._device.add_link(connection, closed, registered)
        self.linked.set()
        try:
            return await closed
        except asyncio.CancelledError:
            link.flush_and_close()
            raise

    def _failed(self, member: Ejection, reason: str) -> float:
        """In how many seconds a member of the pool is dialed again. One line for each loss, none while it is out."""
        was_out, retry_s = member.out, member.failed()
        if not was_out:
            self._log.info("link closed", reason=reason, retry_s=retry_s)
        return retry_s

    async def _heartbeats(self, control: _Control, ack: Acknowledgement) -> None:
        interval_s = ack.heartbeat_interval_ms / 1000
        while True:
            await asyncio.sleep(interval_s)
            if time.monotonic() - control.last_read_s > LOST_AFTER_INTERVALS * interval_s:
                control.connection.abort()
                raise DeadlineExceeded("the edge is silent; this agent stands down")
            control.send(messages.HEARTBEAT, {"deviceId": ack.device_id})

    async def _listen(self, control: _Control) -> None:
        while True:
            message = await control.next(3600.0)
            if message.type == messages.ERROR:
                raise _told(message)
            if message.type == messages.TAKEN_OVER:
                raise TakenOver
            if message.type == messages.DRAIN:
                self.told_to_leave.set()


def _told(message: Envelope) -> BrowserGoError:
    return from_code(str(message.body.get("error", "INTERNAL")), str(message.body.get("message", ""))[:500])


def _most_telling(errors: Iterable[BaseException]) -> BaseException:
    """Of several ends, in the order in which they came: what is a bug, else a takeover, else the first."""

    def rank(error: BaseException) -> int:
        return 2 if isinstance(error, TakenOver) else 1 if isinstance(error, BrowserGoError) else 3

    return max(errors, key=rank)
