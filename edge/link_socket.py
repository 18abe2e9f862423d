"""A link connection of a device, on the edge: batches in, batches out."""

import asyncio
import time

from browsergo.chassis.link_writer import DEAD_AFTER_S, PING_IDLE_S, LinkWriter
from browsergo.core import semconv
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.channel.queue import Queued
from browsergo.core.errors import BadMessage, BrowserGoError
from edge.bridge import Bridge
from edge.devices import Devices, Session
from edge.upgrade import Upgrade


class LinkSocket:
    """One member of a device's pool."""

    def __init__(self, devices: Devices, bridge: Bridge, session: Session, connection: Upgrade) -> None:
        self.number = devices.next_link_number()
        self._devices = devices
        self._bridge = bridge
        self._session = session
        self._connection = connection
        self._writer = LinkWriter(connection, self._trace if bridge.telemetry.enabled else None)
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """The upgrade was answered: watch the peer from here on."""
        self._devices.link_up(self._session, self)
        self._connection.keep_alive(PING_IDLE_S, DEAD_AFTER_S)

    # --- to the device -------------------------------------------------------------------------------

    def push(self, frame: Frame, now_ns: int) -> None:
        """Queue a frame; bounded by the channels' windows."""
        self._writer.push(frame, now_ns)

    def _trace(self, batch: list[Queued]) -> None:
        now_ns = time.time_ns()
        for frame, since_ns in batch:
            if frame.kind == Kind.CMD:
                self._bridge.trace(semconv.SPAN_EDGE_LINK, semconv.DIRECTION_DOWN, frame, since_ns, now_ns)

    def close(self, error: BrowserGoError) -> None:
        """Close it with the error's code."""
        self._writer.flush_all()
        self._connection.close(error.close_code, error.close_reason)

    # --- from the device -----------------------------------------------------------------------------

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """One batch of the agent."""
        try:
            if is_text:
                raise BadMessage("links carry binary messages")
            full = self._devices.from_link(self._session, self, frames.decode_link_message(payload))
        except BrowserGoError as error:
            self.close(error)
            return
        if full and not self._waiting:
            self._connection.pause_reading()
            task = self._loop.create_task(self._resume_when_drained(full))
            self._waiting.add(task)

    async def _resume_when_drained(self, routers: list[str]) -> None:
        for router in routers:
            await self._bridge.drained(router)
        self._waiting.clear()
        self._connection.resume_reading()

    def on_writable(self, writable: bool) -> None:
        """The agent takes frames slower than they come, or again."""
        self._writer.writable(writable)

    def on_closed(self, code: int, reason: str) -> None:
        """The connection is over."""
        for task in self._waiting:
            task.cancel()
        self._devices.link_lost(self._session, self)
