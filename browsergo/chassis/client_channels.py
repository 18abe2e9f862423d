"""The shell around the client ends of one process: opening channels, carrying out what the ends decide, and time."""

import asyncio
import random
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

import structlog

from browsergo.chassis.telemetry import Telemetry
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
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import CHANNEL_ID_BYTES
from browsergo.core.tracing import Traceparent

TICK_S = 0.1


class ChannelClient(Protocol):
    """Who is at the client's end of a channel: a socket, or a call that waits for one answer."""

    def deliver(self, payload: Payload) -> None:
        """Take one CDP message."""

    def hold(self, held: bool) -> None:
        """Stop or go on sending commands."""

    def end(self, error: errors.BrowserGoError | None) -> None:
        """The channel is over; None: because the client asked for it."""


C = TypeVar("C", bound=ChannelClient)


class ClientChannels(ABC, Generic[C]):
    """All channels whose clients are in this process. How a frame leaves it is the subclass's business."""

    def __init__(
        self,
        address: int,
        name: str,
        limits: ClientLimits,
        telemetry: Telemetry,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """`address` is where frames find this process, `name` what people call it."""
        self.address = address
        self._telemetry = telemetry
        self._log = log
        self._ends = ClientEnds(address, name, random.getrandbits, limits)
        self._clients: dict[bytes, C] = {}
        self._opening: dict[bytes, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.messages_down = 0
        self.messages_up = 0
        self.errors = 0

    @abstractmethod
    def send(self, router: str, frame: Frame) -> None:
        """Put a frame on the way through a router; it is dropped if there is no such way any more."""

    @abstractmethod
    async def seek(self, device: str, frame: Frame) -> None:
        """Send a frame to `frame.edge` or (0) to the device's edge. Raises what keeps it from getting there."""

    @property
    def channels(self) -> int:
        """How many channels are open or opening."""
        return len(self._ends)

    @property
    def pending_commands(self) -> int:
        """How many commands of all channels have no answer yet."""
        return self._ends.pending_commands

    # --- clients -------------------------------------------------------------------------------------

    async def open(self, device: str, endpoint: str, caller: Traceparent | None, client: C) -> bytes:
        """A channel to `endpoint` of the device. Raises what the client is to be refused with.

        `client` gets its first message only after this returned.
        """
        channel = secrets.token_bytes(CHANNEL_ID_BYTES)
        opening = self._opening[channel] = asyncio.get_running_loop().create_future()
        self._clients[channel] = client
        try:
            self._apply(self._ends.open(channel, device, endpoint, time.monotonic(), caller))
            await opening
        except BaseException:
            self._clients.pop(channel, None)
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
        """The client takes more messages, or no more."""
        self._apply(self._ends.writable(channel, writable))

    def gone(self, channel: bytes) -> None:
        """The client has left."""
        self._clients.pop(channel, None)
        self._apply(self._ends.client_gone(channel))

    def end(self, channel: bytes, error: errors.BrowserGoError) -> None:
        """End a channel from this side; the client is told in full."""
        self._apply(self._ends.end(channel, error))

    def open_channels(self) -> list[bytes]:
        """The channels whose clients are here."""
        return list(self._clients)

    def end_all(self, error: errors.BrowserGoError) -> None:
        """End every channel from this side."""
        for channel in self.open_channels():
            self.end(channel, error)

    # --- frames --------------------------------------------------------------------------------------

    def frame(self, router: str, frame: Frame) -> None:
        """A frame for a client end. Raises BadFrame."""
        if frame.kind == Kind.LINK_LOST:
            self._apply(self._ends.link_lost(frame.source, frame.link, time.monotonic()))
        else:
            self._apply(self._ends.frame(router, frame, time.monotonic(), time.time_ns()))

    def edge_unreachable(self, edge: int, router: str) -> None:
        """Paths over this router to this edge run are gone."""
        self._apply(self._ends.edge_lost(edge, time.monotonic(), router))

    # --- effects -------------------------------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Deliver):
                self._deliver(effect)
            elif isinstance(effect, Send):
                self.send(effect.path.router, effect.frame)
            elif isinstance(effect, Finished):
                self._telemetry.record(effect.record)
            elif isinstance(effect, Seek):
                self._start(self._seek(effect.device, effect.frame))
            else:
                self._apply_rare(effect)

    def _apply_rare(self, effect: Upgraded | Refused | Ended | Hold) -> None:
        opening = self._opening.get(effect.channel)
        client = self._clients.get(effect.channel)
        if isinstance(effect, Upgraded):
            if opening is not None and not opening.done():
                opening.set_result(None)
        elif isinstance(effect, Refused):
            if opening is not None and not opening.done():
                opening.set_exception(effect.error)
        elif isinstance(effect, Ended):
            self._clients.pop(effect.channel, None)
            self._ended(effect, client)
        elif client is not None:
            client.hold(effect.held)

    def _deliver(self, effect: Deliver) -> None:
        client = self._clients.get(effect.channel)
        if client is not None:
            self.messages_up += 1
            client.deliver(effect.payload)

    def _ended(self, effect: Ended, client: C | None) -> None:
        if effect.error is not None:
            self.errors += 1
            self._log.info(
                "channel ended", channel=effect.channel.hex(), reason=effect.error.code, detail=effect.error.message
            )
        if client is not None:
            client.end(effect.error)

    async def _seek(self, device: str, frame: Frame) -> None:
        try:
            await self.seek(device, frame)
        except errors.BrowserGoError as error:
            self._apply(self._ends.unresolved(frame.channel, error))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- time ----------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Run the client ends' deadlines, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            deadline = self._ends.next_deadline()
            if deadline is not None and deadline <= time.monotonic():
                self._apply(self._ends.tick(time.monotonic()))
