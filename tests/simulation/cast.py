"""Who plays in the simulation, its bounds, and what may happen to it."""

import random
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from browsergo.core.channel import client_state, device_state
from browsergo.core.channel.client_end import ClientEnds
from browsergo.core.channel.device_end import DeviceEnd
from browsergo.core.channel.frames import Frame
from browsergo.core.ids import Binding

DEVICE = "dev"
ROUTERS = ("router-1", "router-2")
POOL = 2
CLIENTS = 3
BIG_BYTES = 900  # more than the window
CHUNK_BYTES = 300  # so that big ones travel in pieces

NEVER_S = 1e9

CLIENT_LIMITS = client_state.ClientLimits(
    unaccepted_commands=8,
    unaccepted_bytes=2000,
    pending_commands=12,
    waiting_messages=40,
    ack_messages=2,
    ack_bytes=300,
    open_timeout_s=6.0,
    resume_window_s=8.0,
)
HASTY_CLIENT_LIMITS = replace(CLIENT_LIMITS, command_deadline_s=1.5)
PATIENT_CLIENT_LIMITS = replace(CLIENT_LIMITS, open_timeout_s=NEVER_S, resume_window_s=NEVER_S)
DEVICE_LIMITS = device_state.DeviceLimits(
    credit_messages=6,
    credit_bytes=600,
    channel_bytes=2400,
    total_bytes=5000,
    slow_after_s=6.0,
    orphan_after_s=15.0,
    hold_without_link_s=12.0,
)
PATIENT_DEVICE_LIMITS = replace(
    DEVICE_LIMITS, slow_after_s=NEVER_S, orphan_after_s=NEVER_S, hold_without_link_s=NEVER_S
)


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Mode:
    """What may happen.

    Gentle: only faults of which the promise says that nothing is lost, so every command must be answered ok (I8).
    Patient: no deadline ever passes, so that the rules must settle what a timeout would otherwise cover up.
    """

    gentle: bool = False
    patient: bool = False
    late_open: bool = False  # old OPENs keep arriving
    torn: bool = False  # clients' edges keep losing their trunks
    hasty: bool = False  # commands have a deadline
    moving: bool = False  # agents keep being asked to go to another edge
    clients: int = CLIENTS
    big: float = 0.05  # of all messages are BIG_BYTES long
    device_end: type[DeviceEnd] = DeviceEnd
    client_ends: type[ClientEnds] = ClientEnds
    frames_hop: bool = False  # a device edge that goes on over a new trunk without a HELLO (a mutant)
    epochs_restart: bool = False  # a registry that forgets which epochs it gave (a mutant)

    @property
    def client_limits(self) -> client_state.ClientLimits:
        if self.gentle or self.patient:
            return PATIENT_CLIENT_LIMITS
        return HASTY_CLIENT_LIMITS if self.hasty else CLIENT_LIMITS


@dataclass(eq=False)
class ChromeSocket:
    """A channel's own socket to the browser: commands run in any order, messages are numbered."""

    channel: bytes
    running: list[dict[str, Any]] = field(default_factory=list)
    executed: int = 0
    said: int = 0
    paused: bool = False
    taking: bool = True
    sessions: int = 0


@dataclass(eq=False)
class Agent:
    """One run of the agent beside the browser; an old one may live on unnoticed."""

    end: DeviceEnd
    sockets: dict[bytes, ChromeSocket] = field(default_factory=dict)
    dialing: list[bytes] = field(default_factory=list)
    links: list["Link"] = field(default_factory=list)  # those it believes in


class Lanes:
    """Frames on their way: one order a channel (and one of those without), and any order between channels."""

    def __init__(self) -> None:
        self._lanes: dict[bytes, deque[Frame]] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def append(self, frame: Frame) -> None:
        self._lanes.setdefault(frame.channel, deque()).append(frame)

    def pop(self, chance: random.Random) -> Frame:
        channel = chance.choice(list(self._lanes))
        frame = self._lanes[channel].popleft()
        if not self._lanes[channel]:
            del self._lanes[channel]
        return frame

    def clear(self) -> None:
        self._lanes.clear()


@dataclass(eq=False)
class Link:
    number: int
    agent: Agent
    edge: "Edge"
    alive: bool = True  # frames pass
    noticed: bool = False  # the edge knows that it is gone
    up: Lanes = field(default_factory=Lanes)
    down: Lanes = field(default_factory=Lanes)


@dataclass(eq=False)
class Pipe:
    link: Link
    edge: "Edge"  # the client's
    router: str
    state: str = "up"
    up: Lanes = field(default_factory=Lanes)
    down: Lanes = field(default_factory=Lanes)


class Home(NamedTuple):
    """Where a channel lives at the device's edge; set by HELLO and OPENED."""

    at: Binding
    link: Link
    pipe: Pipe


@dataclass(eq=False)
class Edge:
    """One run of an edge process, in both its parts."""

    address: int
    ends: ClientEnds
    alive: bool = True
    homes: dict[bytes, Home] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)  # highest seen, for I7


@dataclass(eq=False)
class Client:
    """A client with one socket, one channel."""

    channel: bytes
    edge: Edge
    open: bool = False
    gone: bool = False
    held: bool = False
    writable: bool = True
    issued: list[str] = field(default_factory=list)
    waiting: dict[int, str] = field(default_factory=dict)
    finished: int = 0
    answered: int = 0
    got: int = 0
    sessions: list[str] = field(default_factory=list)
