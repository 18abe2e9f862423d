"""Between sockets and trunks: hands every frame to the side of this edge it is for.

One edge plays two parts, often at once: it holds clients (client ends live in `edge.clients`) and
it holds devices (their links live in `edge.devices`). Frames say by their kind which part is meant.
"""

import time
from collections.abc import Collection
from typing import Protocol

import structlog

from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.core.channel.frames import NO_EDGE, Flag, Frame, Kind
from browsergo.core.channel.queue import Queued
from browsergo.core.errors import BadFrame, BrowserGoError
from browsergo.core.tracing import SpanRecord
from edge.core.placement import Reach, rendezvous
from edge.trunks import Trunk, TrunkListener, Trunks

_FOR_CLIENTS = frozenset(
    {Kind.HELLO, Kind.OPENED, Kind.REFUSED, Kind.CACK, Kind.MSG, Kind.CLOSED, Kind.FETCHED, Kind.LINK_LOST}
)
_TRACED = frozenset({Kind.CMD, Kind.MSG})


class Part(Protocol):
    """One of the two parts of an edge."""

    def frame(self, router: str, frame: Frame) -> None:
        """A frame for this part came through `router`."""

    def trunk_up(self, router: str) -> None:
        """A trunk is up."""

    def trunk_down(self, router: str) -> None:
        """A trunk is gone, and every path over it."""

    def edge_unreachable(self, edge: int, router: str) -> None:
        """A router has no trunk to this edge run."""


class Admin(Protocol):
    """Who answers ADMIN frames."""

    def command(self, payload: bytes) -> bytes:
        """The answer to a CommandEdgeRequest, an EdgeAnswer."""


class Bridge(TrunkListener):
    """The switchboard of one edge process. `boot` is its address."""

    def __init__(
        self, boot: int, trunks: Trunks, telemetry: Telemetry, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        self.boot = boot
        self.telemetry = telemetry
        self._trunks = trunks
        self._log = log
        self._reach = Reach()
        self._parts: tuple[Part, ...] = ()
        self._clients: Part
        self._devices: Part
        self._admin: Admin

    def connect(self, clients: Part, devices: Part, admin: Admin) -> None:
        """Who is behind this bridge; called once, before frames flow."""
        self._clients, self._devices, self._admin = clients, devices, admin
        self._parts = (clients, devices)

    # --- out -----------------------------------------------------------------------------------------

    def send(self, router: str, frame: Frame) -> bool:
        """Queue a frame for a router's trunk; False (and dropped) if that trunk is down."""
        trunk = self._trunks.get(router)
        if trunk is None or trunk.outbox is None:
            return False
        trunk.outbox.push(frame, time.time_ns())
        return True

    @property
    def routers(self) -> Collection[str]:
        """Those to which a trunk is up."""
        return self._trunks.live()

    def router_for(self, device: str, edge: int = NO_EDGE) -> str | None:
        """The router of a device's channels, of those that reach `edge`; None while no trunk is up."""
        return rendezvous(device, self._reach.reaching(edge, self._trunks.live(), time.monotonic()))

    async def drained(self, router: str) -> None:
        """Wait until the trunk has room again (or is gone)."""
        trunk = self._trunks.get(router)
        if trunk is not None and trunk.outbox is not None:
            await trunk.outbox.drained()

    def is_full(self, router: str) -> bool:
        """Whether feeders of this trunk should stop."""
        trunk = self._trunks.get(router)
        return trunk is not None and trunk.outbox is not None and trunk.outbox.full

    # --- in ------------------------------------------------------------------------------------------

    def on_frames(self, trunk: Trunk, arrived: list[Frame]) -> None:
        """A batch from a router."""
        for frame in arrived:
            try:
                self._hand_over(trunk.address, frame)
            except BrowserGoError as error:  # one bad frame must not end the other channels' trunk
                self._log.warning("frame refused", kind=frame.kind.name, reason=error.code, detail=error.message)

    def _hand_over(self, router: str, frame: Frame) -> None:
        kind = frame.kind
        if self._reach and kind != Kind.UNREACHABLE:
            self._reach.heard(router, frame.source)
        if kind in _FOR_CLIENTS:
            self._clients.frame(router, frame)
        elif kind == Kind.UNREACHABLE:
            self._reach.unreachable(router, frame.source, time.monotonic())
            for part in self._parts:
                part.edge_unreachable(frame.source, router)
        elif kind == Kind.ADMIN:
            if frame.source != NO_EDGE:  # the router stamps what comes from another edge
                raise BadFrame("only routers give commands")
            answer = self._admin.command(frame.payload)
            self.send(router, Frame(Kind.ADMIN_ANSWER, seq=frame.seq, payload=answer))
        else:
            self._devices.frame(router, frame)

    def on_up(self, trunk: Trunk) -> None:
        """A trunk is up."""
        for part in self._parts:
            part.trunk_up(trunk.address)

    def on_down(self, trunk: Trunk) -> None:
        """A trunk is gone."""
        for part in self._parts:
            part.trunk_down(trunk.address)

    # --- spans ---------------------------------------------------------------------------------------

    def on_taken(self, taken: list[Queued], now_ns: int) -> None:
        """Frames leave on a trunk: a command has waited here (edge.queue), a message came over a link (edge.link)."""
        if not self.telemetry.enabled:
            return
        for frame, since_ns in taken:
            if frame.kind == Kind.CMD:
                self.trace(semconv.SPAN_EDGE_QUEUE, semconv.DIRECTION_DOWN, frame, since_ns, now_ns)
            elif frame.kind == Kind.MSG:
                self.trace(semconv.SPAN_EDGE_LINK, semconv.DIRECTION_UP, frame, since_ns, now_ns)

    def trace(self, name: str, direction: str, frame: Frame, start_ns: int, end_ns: int) -> None:
        """Record what this edge did with one message, as a child of the message's own span."""
        if not self.telemetry.enabled or frame.kind not in _TRACED or frame.flags & Flag.MORE:
            return
        attributes: dict[str, str | int | bool] = {
            semconv.ATTR_DIRECTION: direction,
            semconv.ATTR_CHANNEL: frame.channel.hex(),
            semconv.ATTR_SEQUENCE: frame.seq,
            semconv.ATTR_BYTES: len(frame.payload),
        }
        span_id = self.telemetry.new_span_id()
        trace_id, parent = frame.trace[:16], frame.trace[16:]
        self.telemetry.record(SpanRecord(name, trace_id, span_id, parent, start_ns, end_ns, attributes))
