"""The shell around the device end: applies its effects to Chrome's sockets and to the links."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple

import structlog

from browsergo.agent.browser import Browser
from browsergo.agent.chrome_socket import ChromeSocket
from browsergo.agent.config import Compression
from browsergo.agent.links import Link
from browsergo.agent.spans import SpanRecorder
from browsergo.agent.websocket import ClientConnection
from browsergo.core import errors
from browsergo.core.channel.compression import deflated
from browsergo.core.channel.device_end import (
    DeviceEffect,
    DeviceEnd,
    Dial,
    Dispatch,
    HangUp,
    Pause,
    Transmit,
)
from browsergo.core.channel.frames import Flag, Frame, Kind, Priority, chunked
from browsergo.core.channel.pieces import Payload

TICK_S = 0.5
LEAVE_WITHIN_S = 0.8  # with the browser's own 4 s it stays below the 5 s that `browsergo up` gives a process
SPANS_EVERY_S = 0.25
MAX_FETCHES = 256  # waiting ones included
_NO_COMPRESSION = Compression("off", 0)
FETCHES_AT_ONCE = 8  # a person's DevTools ask for hundreds of files


class Registered(NamedTuple):
    """A registration of this boot, numbered in the order in which they were given."""

    number: int
    epoch: int
    took_over: bool = False


class Device:
    """One boot of this device: its device end, Chrome sockets and links."""

    def __init__(
        self,
        device_id: str,
        boot: str,
        browser: Browser,
        log: structlog.typing.FilteringBoundLogger,
        compression: Compression = _NO_COMPRESSION,
    ) -> None:
        self._end = DeviceEnd(device_id, boot, random.getrandbits)
        self.boot = boot
        self._browser = browser
        self._log = log
        self._compression = compression
        self._sockets: dict[bytes, ChromeSocket] = {}
        self._links: dict[int, Link] = {}
        self._no_links = asyncio.Event()
        self._link_numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._dials: dict[bytes, asyncio.Task[None]] = {}
        self._fetches = 0
        self._is_far = False  # the edge, as of the newest link
        self._fetch_turns = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._arrived_ns = 0
        self._registrations = 0
        self.epoch = 0
        self.spans = SpanRecorder(device_id)

    def has_link(self, registered: Registered) -> bool:
        """Whether any link of this registration is up."""
        return any(link.registration == registered.number for link in self._links.values())

    @property
    def channels(self) -> int:
        """How many channels are open."""
        return len(self._end)

    def compresses(self, size: int) -> bool:
        """Whether a message of so many bytes is to be compressed: it is large enough, and an edge is far enough."""
        mode, above_bytes = self._compression
        return size > above_bytes and (mode == "on" or (mode == "auto" and self._is_far))

    # --- links -----------------------------------------------------------------------------------

    def registered(self, epoch: int, *, trace: bool, took_over: bool = False) -> Registered:
        """The edge's ack, which `add_link` wants to know. Until its first link is up, earlier ones go on."""
        self._registrations += 1
        self.epoch = epoch
        self.spans.enabled = trace
        return Registered(self._registrations, epoch, took_over)

    def add_link(self, connection: ClientConnection, on_closed: "asyncio.Future[str]", registered: Registered) -> Link:
        """A link connection is open. What lives on links of earlier registrations moves to it."""
        self._link_numbers += 1

        def closed(link: Link, code: int, reason: str) -> None:
            self._links.pop(link.number, None)
            if not self._links:
                self._no_links.set()
            self._apply(self._end.link_lost(link.number, time.monotonic()))
            if not on_closed.done():
                on_closed.set_result(f"{code} {reason}".strip())

        link = Link(self._link_numbers, connection, self._from_link, closed, registered.number)
        earlier = [each for each in self._links.values() if each.registration < link.registration]
        self._links[link.number] = link
        self._is_far = not connection.peer_is_this_machine
        self._no_links.clear()
        link.start()
        self._end.registered(registered.epoch, took_over=registered.took_over)
        self._apply(self._end.link_up(link.number, time.monotonic()))
        for each in earlier:  # they stay open for answers to what came over them, until their session ends
            self._apply(self._end.link_lost(each.number, time.monotonic()))
        return link

    def _from_link(self, link: Link, arrived: list[Frame]) -> None:
        now = time.monotonic()
        self._arrived_ns = time.time_ns()
        for frame in arrived:
            if frame.kind == Kind.FETCH:
                self._fetch(link, frame)
            else:
                self._apply(self._end.frame(link.number, frame, now))

    # --- Chrome ----------------------------------------------------------------------------------

    def from_chrome(self, channel: bytes, payload: Payload, deflated: Payload | None) -> None:
        """A message on a channel's Chrome socket, and the same as a zlib stream if that is what is to be sent."""
        self._apply(self._end.message(channel, payload, time.monotonic(), time.time_ns(), deflated))

    def chrome_takes(self, channel: bytes, taking: bool) -> None:
        """Whether a channel's Chrome socket has room for commands."""
        self._apply(self._end.browser_takes(channel, taking))

    def chrome_closed(self, channel: bytes, socket: ChromeSocket, reason: str) -> None:
        """A channel's Chrome socket ended by itself."""
        if self._sockets.get(channel) is socket:
            del self._sockets[channel]
            error = errors.DeviceGone(f"the browser closed the connection {reason}".strip())
            self._apply(self._end.chrome_closed(channel, error))

    def _dial(self, channel: bytes, endpoint: str) -> None:
        """Dial on its own; a HangUp meanwhile calls it off, so that a channel never has two sockets."""
        self._dials[channel] = self._start(self._dial_chrome(channel, endpoint))

    async def _dial_chrome(self, channel: bytes, endpoint: str) -> None:
        try:
            connection = await self._browser.dial(endpoint)
        except errors.BrowserGoError as error:
            self._dials.pop(channel, None)
            self._log.info("channel refused", reason=error.code)
            self._apply(self._end.dial_failed(channel, error))
            return
        self._dials.pop(channel, None)
        socket = ChromeSocket(self, channel, connection)
        self._sockets[channel] = socket
        self._apply(self._end.dialed(channel, time.monotonic()))
        socket.start()

    # --- effects ---------------------------------------------------------------------------------

    def _apply(self, effects: list[DeviceEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Transmit):
                link = self._links.get(effect.link)
                if link is not None:
                    link.push(effect.frame)
                    self.spans.sent_up(effect.frame, time.time_ns() if self.spans.enabled else 0)
            elif isinstance(effect, Dispatch):
                self._dispatch(effect)
            elif isinstance(effect, Dial):
                self._dial(effect.channel, effect.endpoint)
            elif isinstance(effect, HangUp):
                self._hang_up(effect.channel)
            elif isinstance(effect, Pause):
                self._pause(effect)

    def _dispatch(self, effect: Dispatch) -> None:
        socket = self._sockets.get(effect.channel)
        if socket is not None:
            if self.spans.enabled:  # before the write: the browser may have it before we run again
                self.spans.dispatched(effect.channel, effect.trace, self._arrived_ns, time.time_ns())
            socket.send(effect.payload)

    def _hang_up(self, channel: bytes) -> None:
        self.spans.forget(channel)
        dialing = self._dials.pop(channel, None)
        if dialing is not None:
            dialing.cancel()
        socket = self._sockets.pop(channel, None)
        if socket is not None:
            socket.hang_up()

    def _pause(self, effect: Pause) -> None:
        socket = self._sockets.get(effect.channel)
        if socket is not None:
            socket.pause(effect.paused)

    # --- FETCH -----------------------------------------------------------------------------------

    def _fetch(self, link: Link, frame: Frame) -> None:
        if self._fetches >= MAX_FETCHES:
            self._fetched(link, frame, 503, b'{"error":"too many fetches at once"}')
            return
        self._fetches += 1
        _ = self._start(self._fetch_chrome(link, frame))

    async def _fetch_chrome(self, link: Link, frame: Frame) -> None:
        try:
            request = json.loads(frame.payload)
            async with self._fetch_turns:
                answer = await self._browser.fetch(str(request["method"]), str(request["path"]))
            small = await asyncio.to_thread(deflated, answer.body) if self.compresses(len(answer.body)) else None
            if small is None:
                self._fetched(link, frame, answer.status, answer.body)
            else:
                self._fetched(link, frame, answer.status, small, Flag.COMPRESSED)
        except errors.BrowserGoError as error:
            body = json.dumps({"error": error.code, "message": error.message}).encode()
            self._fetched(link, frame, error.http_status, body)
        except (ValueError, KeyError, TypeError):
            self._fetched(link, frame, 400, b'{"error":"BAD_FRAME"}')
        finally:
            self._fetches -= 1

    def _fetched(self, link: Link, asked: Frame, status: int, body: Payload, flags: int = 0) -> None:
        """FETCHED: seq is the HTTP status, the channel field the request's id. Channels go before it."""
        answer = Frame(Kind.FETCHED, flags, edge=asked.source, channel=asked.channel, seq=status)
        for piece in chunked(answer._replace(at=asked.at, priority=Priority.LOW), body):
            link.push(piece)

    # --- life ------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def keep_time(self) -> None:
        """Deadlines and span reports, until cancelled."""
        next_tick = time.monotonic() + TICK_S
        while True:
            await asyncio.sleep(SPANS_EVERY_S)
            self._report_spans()
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK_S
                deadline = self._end.next_deadline()
                if deadline is not None and deadline <= time.monotonic():
                    self._apply(self._end.tick(time.monotonic()))

    def _report_spans(self) -> None:
        link = next(iter(self._links.values()), None)
        while link is not None and (payload := self.spans.take()) is not None:
            link.push(Frame(Kind.SPANS, payload=payload))

    def give_up(self, error: errors.BrowserGoError) -> None:
        """Another instance has the device: nobody will claim these channels any more."""
        self._apply(self._end.close_all(error))

    async def end(self, error: errors.BrowserGoError) -> None:
        """End every channel and say so; returns when the edge has read it (its close frames), or takes too long."""
        self._apply(self._end.close_all(error))
        self._report_spans()
        self._close_links()
        if self._links:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await self._no_links.wait()

    def _close_links(self) -> None:
        for link in list(self._links.values()):
            link.flush_and_close()

    def cancel_work(self) -> None:
        """Stop dialing and fetching: this boot is over."""
        for task in self._tasks:
            task.cancel()
