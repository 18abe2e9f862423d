"""The clients of this edge: the shell around the client ends, and fetches from devices' browsers."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from browsergo.core import errors
from browsergo.core.channel.client_end import ClientEnds
from browsergo.core.channel.client_state import (
    ClientLimits,
    Deliver,
    Effect,
    Ended,
    Finished,
    Hold,
    Refused,
    Seek,
    Send,
    Upgraded,
)
from browsergo.core.channel.frames import Assembler, Frame, Kind
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import CHANNEL_ID_BYTES
from browsergo.core.tracing import Traceparent
from edge.bridge import Bridge
from edge.placement import Placement

TICK_S = 0.1
FETCH_TIMEOUT_S = 10.0
MAX_FETCHES = 256


class ClientSocket(Protocol):
    """A client's connection, as its channel sees it."""

    def deliver(self, payload: Payload) -> None:
        """Write one CDP message."""

    def hold(self, held: bool) -> None:
        """Stop or go on reading."""

    def end(self, error: errors.BrowserGoError | None) -> None:
        """Close; None: because the client asked for it."""

    @property
    def unsent_bytes(self) -> int:
        """What was written and the client has not taken yet."""


@dataclass(slots=True)
class _Fetch:
    answer: "asyncio.Future[tuple[int, bytes]]"
    assembler: Assembler


class Clients:
    """All channels whose clients are on this edge."""

    def __init__(
        self,
        bridge: Bridge,
        edge_id: str,
        placement: Placement,
        limits: ClientLimits,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.bridge = bridge
        self._placement = placement
        self._log = log
        self._ends = ClientEnds(bridge.boot, edge_id, random.getrandbits, limits)
        self._sockets: dict[bytes, ClientSocket] = {}
        self._opening: dict[bytes, asyncio.Future[None]] = {}
        self._fetches: dict[bytes, _Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.messages_down = 0
        self.messages_up = 0
        self.errors = 0

    @property
    def channels(self) -> int:
        """How many channels are open or opening."""
        return len(self._ends)

    @property
    def pending_commands(self) -> int:
        """How many commands of all channels have no answer yet."""
        return self._ends.pending_commands

    # --- clients -------------------------------------------------------------------------------------

    async def open(self, device: str, endpoint: str, caller: Traceparent | None, socket: ClientSocket) -> bytes:
        """A channel to `endpoint` of the device. Raises what the client is to be refused with.

        `socket` gets its first message only after this returned.
        """
        channel = secrets.token_bytes(CHANNEL_ID_BYTES)
        opening = self._opening[channel] = asyncio.get_running_loop().create_future()
        self._sockets[channel] = socket
        try:
            self._apply(self._ends.open(channel, device, endpoint, time.monotonic(), caller))
            await opening
        except BaseException:
            self._sockets.pop(channel, None)
            self._apply(self._ends.client_gone(channel))
            raise
        finally:
            self._opening.pop(channel, None)
        return channel

    def command(self, channel: bytes, payload: bytes) -> None:
        """The client sent a message."""
        self.messages_down += 1
        self._apply(self._ends.command(channel, payload, time.monotonic(), time.time_ns()))

    def writable(self, channel: bytes, writable: bool) -> None:
        """The client's socket takes more, or no more."""
        self._apply(self._ends.writable(channel, writable))

    def gone(self, channel: bytes) -> None:
        """The client's socket is closed."""
        self._sockets.pop(channel, None)
        self._apply(self._ends.client_gone(channel))

    def end(self, channel: bytes, error: errors.BrowserGoError) -> None:
        """End a channel from this side; the client is told in full."""
        self._apply(self._ends.end(channel, error))

    def open_channels(self) -> list[bytes]:
        """The channels whose clients are here."""
        return list(self._sockets)

    def end_all(self, error: errors.BrowserGoError) -> None:
        """End every channel from this side."""
        for channel in self.open_channels():
            self.end(channel, error)

    # --- overload ------------------------------------------------------------------------------------

    def save_credit(self, saving: bool) -> None:
        """Give channels no more credit than a live one needs, or as much as ever."""
        self._apply(self._ends.save_credit(saving))

    def buffered_bytes(self) -> dict[bytes, int]:
        """What is kept of each channel, its socket's buffer included."""
        buffered = self._ends.buffered_bytes()
        return {channel: buffered.get(channel, 0) + each.unsent_bytes for channel, each in self._sockets.items()}

    def end_biggest(self, least_bytes: int, error: errors.BrowserGoError) -> ClientSocket | None:
        """End the channel with the biggest buffers, if they hold so much; its socket, which has the last words."""
        sizes = self.buffered_bytes()
        biggest = max(sizes, key=sizes.__getitem__, default=None)
        if biggest is None or sizes[biggest] < least_bytes:
            return None
        socket = self._sockets[biggest]
        self.end(biggest, error)
        return socket

    def serves(self, device: str) -> bool:
        """Whether any channel of the device is here."""
        return self._ends.has_channels(device)

    # --- fetches -------------------------------------------------------------------------------------

    async def fetch(self, device: str, method: str, target: str) -> tuple[int, bytes]:
        """Ask the device's own browser over HTTP: status and body. Raises what the caller is to be refused with."""
        if len(self._fetches) >= MAX_FETCHES:
            raise errors.Overloaded("too many fetches at once", retry_after_s=1)
        number = secrets.token_bytes(CHANNEL_ID_BYTES)
        fetch = self._fetches[number] = _Fetch(asyncio.get_running_loop().create_future(), Assembler())
        payload = json.dumps({"device": device, "method": method, "path": target}).encode()
        frame = Frame(Kind.FETCH, source=self.bridge.boot, channel=number, payload=payload)
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                await self._seek(device, frame)
                return await fetch.answer
        except TimeoutError:
            raise errors.DeadlineExceeded("the device did not answer in time", retry_after_s=1) from None
        finally:
            del self._fetches[number]

    def _fetched(self, frame: Frame) -> None:
        fetch = self._fetches.get(frame.channel)
        if fetch is None or fetch.answer.done():
            return
        try:
            body = fetch.assembler.whole(frame)
        except errors.BadFrame:  # a part went down with its path, and nothing of a fetch is replayed
            fetch.answer.set_exception(errors.ServiceUnavailable("a part of the answer was lost", retry_after_s=1))
        except errors.BrowserGoError as error:
            fetch.answer.set_exception(error)
        else:
            if body is not None:
                fetch.answer.set_result((frame.seq, bytes(body)))

    # --- frames --------------------------------------------------------------------------------------

    def frame(self, router: str, frame: Frame) -> None:
        """A frame for a client end."""
        if frame.kind == Kind.FETCHED:
            self._fetched(frame)
        elif frame.kind == Kind.LINK_LOST:
            self._apply(self._ends.link_lost(frame.source, frame.link, time.monotonic()))
        else:
            self._apply(self._ends.frame(router, frame, time.monotonic(), time.time_ns()))

    def trunk_up(self, router: str) -> None:
        """Channels that lost their path announce themselves at their next tick."""

    def trunk_down(self, router: str) -> None:
        """Paths through this router are gone."""
        self._apply(self._ends.router_lost(router, time.monotonic()))

    def edge_unreachable(self, edge: int, router: str) -> None:
        """Paths over this router to this edge run are gone."""
        self._apply(self._ends.edge_lost(edge, time.monotonic(), router))

    # --- effects -------------------------------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Deliver):
                self._deliver(effect)
            elif isinstance(effect, Send):
                self.bridge.send(effect.path.router, effect.frame)
            elif isinstance(effect, Finished):
                self.bridge.telemetry.record(effect.record)
            elif isinstance(effect, Seek):
                self._start(self._seek_for_channel(effect.device, effect.frame))
            else:
                self._apply_rare(effect)

    def _apply_rare(self, effect: Upgraded | Refused | Ended | Hold) -> None:
        opening = self._opening.get(effect.channel)
        socket = self._sockets.get(effect.channel)
        if isinstance(effect, Upgraded):
            if opening is not None and not opening.done():
                opening.set_result(None)
        elif isinstance(effect, Refused):
            if opening is not None and not opening.done():
                opening.set_exception(effect.error)
        elif isinstance(effect, Ended):
            self._sockets.pop(effect.channel, None)
            self._ended(effect, socket)
        elif socket is not None:
            socket.hold(effect.held)

    def _deliver(self, effect: Deliver) -> None:
        socket = self._sockets.get(effect.channel)
        if socket is not None:
            self.messages_up += 1
            socket.deliver(effect.payload)

    def _ended(self, effect: Ended, socket: ClientSocket | None) -> None:
        if effect.error is not None:
            self.errors += 1
            self._log.info(
                "channel ended", channel=effect.channel.hex(), reason=effect.error.code, detail=effect.error.message
            )
        if socket is not None:
            socket.end(effect.error)

    # --- finding devices -----------------------------------------------------------------------------

    async def _seek_for_channel(self, device: str, frame: Frame) -> None:
        try:
            await self._seek(device, frame)
        except errors.BrowserGoError as error:
            self._apply(self._ends.unresolved(frame.channel, error))

    async def _seek(self, device: str, frame: Frame) -> None:
        """Send a frame to the device's edge. Raises what keeps it from getting there."""
        edge = frame.edge or await self._placement.resolve(device)
        router = self.bridge.router_for(device, edge)
        if router is None or not self.bridge.send(router, frame._replace(edge=edge)):
            raise errors.ServiceUnavailable("no router can be reached", retry_after_s=1)

    # --- time ----------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Run the client ends' deadlines, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            deadline = self._ends.next_deadline()
            if deadline is not None and deadline <= time.monotonic():
                self._apply(self._ends.tick(time.monotonic()))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
