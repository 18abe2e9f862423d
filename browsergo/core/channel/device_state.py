"""What the device end keeps of each channel, its bounds, and the effects it asks its shell for."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from browsergo.core.channel.frames import Assembler, Frame
from browsergo.core.channel.payloads import Window
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import UNBOUND, Binding


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Bounds and patience of the device end (delivery.md, "Bounds" and "Bindings"); seconds and bytes.

    The credit of a channel must exceed the steps in which client ends acknowledge (`ClientLimits.ack_*`).
    """

    credit_messages: int = 1024
    credit_bytes: int = 8 << 20
    channel_bytes: int = 16 << 20
    total_bytes: int = 64 << 20
    slow_after_s: float = 25.0  # so that the client of a flood is gone half a minute after it stopped reading
    orphan_after_s: float = 75.0
    hold_without_link_s: float = 45.0  # the resume window and 15 s more
    remembered_edges: int = 1024


# --- effects: what the shell is to do, in this order ----------------------------------------------------------


class Transmit(NamedTuple):
    """Put the frame on this link."""

    link: int
    frame: Frame


class Dial(NamedTuple):
    """Open a Chrome socket for the channel; answer with `dialed` or `dial_failed`."""

    channel: bytes
    endpoint: str


class Dispatch(NamedTuple):
    """Write this command to the channel's Chrome socket."""

    channel: bytes
    payload: bytes
    trace: bytes


class HangUp(NamedTuple):
    """Close the channel's Chrome socket."""

    channel: bytes


class Pause(NamedTuple):
    """Stop (or go on) reading the channel's Chrome socket."""

    channel: bytes
    paused: bool


DeviceEffect = Transmit | Dial | Dispatch | HangUp | Pause


class Message(NamedTuple):
    """A message from Chrome that the client end may not have yet.

    `size` is what it takes at the client end: bounds and credit count that, however small it is when compressed.
    """

    seq: int
    payload: Payload
    trace: bytes
    stamp: int
    priority: int
    flags: int
    size: int


class Running(NamedTuple):
    """What the answer to a command inherits from it."""

    trace: bytes
    priority: int


@dataclass(slots=True)
class DeviceChannel:
    """The device end of one channel."""

    id: bytes
    claim: str
    edge: int  # the client's
    endpoint: str
    link: int | None
    dialing: bool = True
    at: Binding = UNBOUND
    born: int = 0
    last: int = 0
    next_seq: int = 1
    acked: int = 0
    out: deque[Message] = field(default_factory=deque)
    out_bytes: int = 0
    sent: int | None = None  # None: wait for RESUME
    flying_bytes: int = 0
    window: Window | None = None  # what the client end asks for, if it is not all that we would send
    running: dict[int, Running] = field(default_factory=dict)
    paused: bool = False
    stalled: bool = False  # the browser takes no commands for now
    confirm_by: float | None = None  # a RESUME must come until then
    link_by: float | None = None  # a link must come until then
    full_since: float | None = None  # paused, and nothing was acknowledged since
    assembler: Assembler = field(default_factory=Assembler)

    def in_flight_limits(self, limits: DeviceLimits) -> tuple[int, int]:
        """How many messages and bytes may be on their way: our own bounds, or the client end's if it asks for less."""
        if self.window is None:
            return limits.credit_messages, limits.credit_bytes
        return min(limits.credit_messages, self.window.messages), min(limits.credit_bytes, self.window.size_bytes)

    def deadlines(self, limits: DeviceLimits) -> tuple[float | None, float | None, float | None]:
        """When it is an orphan, when it has been without a link too long, and when its client is too slow."""
        slow_at = None
        if self.full_since is not None and self._waits_for_its_client(limits):
            slow_at = self.full_since + limits.slow_after_s
        return self.confirm_by, self.link_by, slow_at

    def _waits_for_its_client(self, limits: DeviceLimits) -> bool:
        """Not for a lost path, and not for others that fill the total."""
        return self.sent is not None and (self.unsent > 0 or self.out_bytes >= limits.channel_bytes)

    @property
    def unsent(self) -> int:
        """How many messages wait for credit; 0 while a RESUME is awaited."""
        return self.out[-1].seq - self.sent if self.out and self.sent is not None else 0
