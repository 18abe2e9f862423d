"""The devices of this edge: their sessions, and the frames between their links and the trunks.

Nothing here is needed for exactly-once: paths are soft state, rebuilt from what comes by
(design/architecture.md, "Where state lives").
"""

import asyncio
import contextlib
import hmac
import json
import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

import structlog
from opentelemetry.sdk.resources import Resource

from browsergo.chassis.telemetry import resource_of
from browsergo.core import errors, semconv, tracing
from browsergo.core.channel import payloads
from browsergo.core.channel.client_bindings import DEVICE_NOT_HERE
from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, NO_LINK, Frame, Kind
from browsergo.core.device_messages import Registration
from edge.bridge import Bridge
from edge.core.lifecycle import Input, State, next_state
from edge.core.paths import Paths

_FROM_DEVICES = frozenset({Kind.HELLO, Kind.OPENED, Kind.REFUSED, Kind.CACK, Kind.MSG, Kind.CLOSED, Kind.FETCHED})
_WITH_EPOCH = frozenset({Kind.HELLO, Kind.OPENED})
_ON_A_PATH = frozenset({Kind.MSG, Kind.CACK})
REMEMBERED_S = 120.0  # a device that has left; the longest resume window
_BY_DEVICE = frozenset({Kind.OPEN, Kind.ANNOUNCE, Kind.FETCH})


class LinkPort(Protocol):
    """A link connection, as its session sees it."""

    number: int

    def push(self, frame: Frame, now_ns: int) -> None:
        """Queue a frame for the agent."""

    def close(self, error: errors.BrowserGoError) -> None:
        """Close it."""


class ControlPort(Protocol):
    """A device's control connection, as its session sees it."""

    def close(self, error: errors.BrowserGoError) -> None:
        """Tell the device why, and close."""

    def drain(self, reason: str) -> None:
        """Ask the device to go to another edge."""


class Session:
    """One registered device on this edge."""

    def __init__(
        self, registration: Registration, epoch: int, connection_id: str, ticket: str, control: ControlPort
    ) -> None:
        self.registration = registration
        self.device = registration.device_id
        self.epoch = epoch
        self.connection_id = connection_id
        self.ticket = ticket
        self.control = control
        self.links: dict[int, LinkPort] = {}
        self.ready: set[int] = set()  # links that have said HELLO
        self.paths = Paths()
        self.state = State.REGISTERED
        self.registered_unix_ms = int(time.time() * 1000)
        self.last_seen_s = time.monotonic()
        self.resource: Resource | None = None
        self.leaving = False  # it was asked to go to another edge
        self.fenced = False  # it has gone there: the registry knows it elsewhere

    def happened(self, what: Input) -> bool:
        """Advance the state machine; whether the state changed."""
        old, self.state = self.state, next_state(self.state, what)
        return old is not self.state

    def touch(self) -> None:
        """A byte came: the device lives."""
        self.last_seen_s = time.monotonic()


class Devices:
    """All devices registered on this edge. `changed` is set when the registry should hear of it."""

    def __init__(self, bridge: Bridge, log: structlog.typing.FilteringBoundLogger) -> None:
        self._bridge = bridge
        self._log = log
        self._sessions: dict[str, Session] = {}
        self._links: dict[int, Session] = {}
        self._registering: Counter[str] = Counter()
        self._left: dict[str, float] = {}  # when devices left that were here, oldest first
        self._link_numbers = int.from_bytes(os.urandom(3))
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    @property
    def traced(self) -> bool:
        """Whether agents should record spans: this edge has somewhere to send them."""
        return self._bridge.telemetry.enabled

    def get(self, device: str) -> Session | None:
        """The device's session here."""
        return self._sessions.get(device)

    def knows(self, device: str, within_s: float) -> bool:
        """Whether the device is here, or was at most so long ago."""
        left_s = self._left.get(device)
        return device in self._sessions or (left_s is not None and time.monotonic() - left_s <= within_s)

    def by_ticket(self, device: str, ticket: str) -> Session | None:
        """The session whose register ack gave out this link ticket."""
        session = self._sessions.get(device)
        return (
            session if session is not None and hmac.compare_digest(session.ticket.encode(), ticket.encode()) else None
        )

    @contextlib.contextmanager
    def registering(self, device: str) -> Iterator[None]:
        """While the registry is asked for `device`: it may let it keep the epoch of a session that is gone."""
        self._registering[device] += 1
        try:
            yield
        finally:
            self._registering[device] -= 1
            self._registering += Counter()  # drops what has come to zero
            self.changed.set()

    def expects(self, device: str, epoch: int) -> bool:
        """Whether the lease of this epoch must not be given back: the device is here, or about to be again."""
        session = self._sessions.get(device)
        return device in self._registering or (session is not None and session.epoch >= epoch)

    # --- sessions and links --------------------------------------------------------------------------

    def add(self, session: Session) -> None:
        """A device is registered; an older session of the same id here ends."""
        old = self._sessions.pop(session.device, None)
        if old is not None:
            same = old.registration.instance_id == session.registration.instance_id
            error = errors.StaleEpoch("registered again") if same else errors.TakenOver()
            self._end(old, error)
        self._sessions[session.device] = session
        self.changed.set()
        self._log.info("device registered", device=session.device, epoch=session.epoch)

    def remove(self, session: Session, error: errors.BrowserGoError) -> bool:
        """A device is gone or must go; False if it already was."""
        if self._sessions.get(session.device) is not session:
            return False
        del self._sessions[session.device]
        self._end(session, error)
        self.changed.set()
        return True

    def drain(self, reason: str) -> None:
        """Ask every device to go to another edge; it is served until it does."""
        for session in self:
            session.leaving = True
            session.control.drain(reason)

    def end_all(self, error: errors.BrowserGoError) -> None:
        """Every device must go now."""
        for session in self:
            self.remove(session, error)

    def placed(self, device: str, edge: int | None) -> None:
        """The registry tells which edge run holds a device: if it is another than this, its lease here is over."""
        if device in self._sessions and edge not in (None, self._bridge.boot):
            self.changed.set()

    def _end(self, session: Session, error: errors.BrowserGoError) -> None:
        self._log.info(
            "device gone", device=session.device, epoch=session.epoch, reason=error.code, detail=error.message
        )
        self._remember(session.device)
        if session.state is not State.DISCONNECTING:
            session.happened(Input.ENDING)
        for link in list(session.links.values()):
            self.link_lost(session, link)
            link.close(error)
        session.control.close(error)

    def _remember(self, device: str) -> None:
        now_s = time.monotonic()
        self._left.pop(device, None)
        self._left[device] = now_s
        while (oldest := next(iter(self._left))) and self._left[oldest] < now_s - REMEMBERED_S:
            del self._left[oldest]

    def link_up(self, session: Session, link: LinkPort) -> None:
        """A link connection of the device is open; it counts once it says HELLO."""
        session.links[link.number] = link
        self._links[link.number] = session

    def next_link_number(self) -> int:
        """Numbers of links are not used twice in one run."""
        self._link_numbers = (self._link_numbers + 1) & 0xFFFF_FFFF or 1
        return self._link_numbers

    def link_lost(self, session: Session, link: LinkPort) -> None:
        """A link connection is gone: the client ends on it are told."""
        if session.links.pop(link.number, None) is None:
            return
        del self._links[link.number]
        session.ready.discard(link.number)
        for edge, router in session.paths.link_lost(link.number).items():
            self._bridge.send(router, Frame(Kind.LINK_LOST, edge=edge, source=self._bridge.boot, link=link.number))
        if not session.ready and session.state is State.ACTIVE:
            session.happened(Input.LAST_LINK_LOST)
            self.changed.set()
            self._log.warning("device has no link", device=session.device)

    # --- frames from trunks, down to the device -------------------------------------------------------

    def frame(self, router: str, frame: Frame) -> None:
        """A frame for a device of this edge."""
        if frame.link == NO_LINK and frame.kind in _BY_DEVICE:
            self._addressed_to_device(router, frame)
            return
        session = self._links.get(frame.link)
        if session is None:
            answer = Frame(Kind.LINK_LOST, edge=frame.source, source=self._bridge.boot, link=frame.link)
            self._bridge.send(router, answer)
            return
        if frame.kind == Kind.CLOSE:
            session.paths.leave(frame.channel)
        session.links[frame.link].push(frame, time.time_ns())

    def _addressed_to_device(self, router: str, frame: Frame) -> None:
        device = _device_of(frame)
        session = self._sessions.get(device)
        if session is None or not session.ready:
            self._not_here(router, frame)
            return
        known = session.paths.routes.get(frame.source)
        session.paths.routes[frame.source] = router
        if frame.kind == Kind.ANNOUNCE or known not in (None, router):
            self._path_lost(session, frame.source)
        if frame.kind != Kind.ANNOUNCE:
            self._least_loaded(session).push(frame, time.time_ns())

    def _not_here(self, router: str, frame: Frame) -> None:
        if frame.kind == Kind.OPEN:
            claim = payloads.decode_open(frame.payload).claim
            body = payloads.Ending(claim, DEVICE_NOT_HERE, "the device has no link to this edge")
            answer = Frame(Kind.REFUSED, channel=frame.channel, payload=payloads.encode_ending(body))
        elif frame.kind == Kind.FETCH:
            answer = Frame(Kind.FETCHED, channel=frame.channel, seq=503, payload=b'{"error":"DEVICE_OFFLINE"}')
        else:
            return  # the client end announces itself again until its window is over
        self._bridge.send(router, answer._replace(edge=frame.source, source=self._bridge.boot))

    def _least_loaded(self, session: Session) -> LinkPort:
        """The link of the pool with the fewest channels; of several, that which was given work longest ago."""
        channels = session.paths.channels_by_link()
        number = min((number for number in session.links if number in session.ready), key=lambda n: channels[n])
        link = session.links.pop(number)
        session.links[number] = link
        return link

    def _path_lost(self, session: Session, edge: int) -> None:
        """Tell the agent on each link: what `edge` had here needs a new path. It answers with HELLO."""
        for number in session.ready:
            session.links[number].push(Frame(Kind.PATH_LOST, source=edge, link=number), time.time_ns())

    # --- frames from links, up to the client ends --------------------------------------------------------

    def from_link(self, session: Session, link: LinkPort, arrived: Iterable[Frame]) -> list[str]:
        """A batch of a device's link; the routers whose trunks are full now. Raises what the link is closed with."""
        session.touch()
        full: list[str] = []
        for frame in arrived:
            if frame.kind == Kind.SPANS:
                self._spans(session, frame)
                continue
            _check_allowed(session, frame)
            stamped = frame._replace(source=self._bridge.boot, link=link.number)
            for router in self._upward(session, link, frame):
                self._bridge.send(router, stamped)
                if self._bridge.is_full(router):
                    full.append(router)
        return full

    def _upward(self, session: Session, link: LinkPort, frame: Frame) -> Collection[str]:
        """Where a frame from a device goes; to every router if it is for every edge: they have clients, too."""
        router = self._one_way(session, link, frame)
        if frame.edge == EVERY_EDGE:
            return self._bridge.routers
        return () if router is None else (router,)

    def _one_way(self, session: Session, link: LinkPort, frame: Frame) -> str | None:
        paths, kind = session.paths, frame.kind
        if kind == Kind.HELLO:
            return self._hello(session, link, frame)
        home = paths.home(frame.channel, frame.at, link.number)
        if kind in _ON_A_PATH:
            return home
        router = home or self._route(session, frame.edge)
        if kind == Kind.CLOSED:  # it may come before the HELLO that names its channel on this link
            paths.leave(frame.channel)
        elif kind == Kind.OPENED and router is not None:
            paths.settle(frame.channel, frame.at, link.number, frame.edge, router)
        return router

    def _route(self, session: Session, edge: int) -> str | None:
        return session.paths.routes.get(edge) or self._bridge.router_for(session.device, edge)

    def _hello(self, session: Session, link: LinkPort, frame: Frame) -> str | None:
        """A HELLO makes its link count, and settles the channels it names on this path."""
        hello = _checked_hello(session, frame)
        self._ready(session, link)
        if frame.edge == NO_EDGE:
            return None
        router = self._route(session, frame.edge)
        for channel in hello.named if router is not None else ():
            session.paths.settle(channel, frame.at, link.number, frame.edge, router or "")
        return router

    def _ready(self, session: Session, link: LinkPort) -> None:
        session.ready.add(link.number)
        if session.state is State.REGISTERED:
            session.happened(Input.HELLO)
            self.changed.set()
            self._log.info("device active", device=session.device, epoch=session.epoch)

    def _spans(self, session: Session, frame: Frame) -> None:
        if not self._bridge.telemetry.enabled:
            return
        try:
            records = tracing.decode_records(frame.payload)
        except (ValueError, TypeError, AttributeError):
            raise errors.BadFrame("span records could not be read") from None
        if session.resource is None:
            pid = session.registration.metadata.get("pid", "")
            session.resource = resource_of(
                semconv.SERVICE_AGENT, session.device, int(pid) if pid.isdecimal() and len(pid) < 10 else 0
            )
        self._bridge.telemetry.record_for(session.resource, records)

    # --- trunks that come and go ------------------------------------------------------------------------

    def trunk_up(self, router: str) -> None:
        """Client edges without a path get one: the agent says HELLO to them through this router."""
        for session in self:
            for edge in session.paths.router_up(router):
                self._path_lost(session, edge)

    def trunk_down(self, router: str) -> None:
        """Paths over this router go over another, or wait."""
        for session in self:
            for edge in session.paths.router_lost(router, self._bridge.router_for(session.device)):
                self._path_lost(session, edge)

    def edge_unreachable(self, edge: int, router: str) -> None:
        """A client edge is gone from this router, or will announce itself.

        What the agent has for it must be confirmed or freed.
        """
        for session in self:
            if session.paths.edge_lost(edge, router):
                self._path_lost(session, edge)


def _check_allowed(session: Session, frame: Frame) -> None:
    """What no device may say. HELLO and OPENED teach client ends an epoch: only the registry's own may pass."""
    if frame.kind not in _FROM_DEVICES:
        raise errors.BadFrame(f"a device does not send {frame.kind.name}")
    if frame.edge == EVERY_EDGE and frame.kind != Kind.HELLO:
        raise errors.BadFrame(f"{frame.kind.name} is not for every edge")
    if frame.kind in _WITH_EPOCH and frame.at.epoch != session.epoch:
        raise errors.StaleEpoch


def _checked_hello(session: Session, frame: Frame) -> payloads.Hello:
    hello = payloads.decode_hello(frame.payload)
    if hello.device != session.device or hello.boot != session.registration.boot_id:
        raise errors.Forbidden("HELLO speaks for another device")
    if frame.edge == EVERY_EDGE and hello.named:
        raise errors.BadFrame("a HELLO for every edge names no channels")
    return hello


def _device_of(frame: Frame) -> str:
    if frame.kind == Kind.OPEN:
        return payloads.decode_open(frame.payload).device
    if frame.kind == Kind.ANNOUNCE:
        return payloads.decode_device(frame.payload)
    try:
        return str(json.loads(frame.payload)["device"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise errors.BadFrame("a FETCH names its device") from None
