"""What the client end keeps of each channel, its bounds, and the effects it asks its shell for."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from browsergo.core import errors
from browsergo.core.channel.frames import Assembler, Frame
from browsergo.core.channel.payloads import Window
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import UNBOUND, Binding
from browsergo.core.tracing import SpanRecord, Traceparent


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds and patience of the client end (delivery.md, "Bounds"); seconds and bytes."""

    unaccepted_commands: int = 256
    unaccepted_bytes: int = 4 << 20
    pending_commands: int = 4096
    waiting_messages: int = 4096  # more than any credit: only answers made here can come to so many
    ack_messages: int = 128
    ack_bytes: int = 1 << 20
    window: Window | None = None  # narrower than the device end's own; its acknowledgements come in smaller steps
    open_timeout_s: float = 10.0
    open_retry_s: float = 0.5
    resume_window_s: float = 30.0
    announce_every_s: float = 1.0
    command_deadline_s: float | None = None  # until a command must be answered; None: as long as the channel lives
    orphan_patience_s: float = 1.0  # for Chrome's answer to a command whose session is gone
    remembered_devices: int = 10_000
    remembered_sessions: int = 10_000  # a channel's; those beyond get no detached event at its end


class Path(NamedTuple):
    """One way to a device end: through `router` to link number `link` of the edge run `edge`."""

    router: str
    edge: int
    link: int


# --- effects: what the shell is to do, in this order --------------------------------------------------------


class Send(NamedTuple):
    """Put the frame on this path; if the path is gone, drop it."""

    path: Path
    frame: Frame


class Seek(NamedTuple):
    """Send the frame through the device's router to `frame.edge`; 0 is the edge that the registry names now."""

    device: str
    frame: Frame


class Upgraded(NamedTuple):
    """The channel exists: answer the client's upgrade."""

    channel: bytes


class Refused(NamedTuple):
    """The channel never came to be: answer the upgrade with this error."""

    channel: bytes
    error: errors.BrowserGoError


class Deliver(NamedTuple):
    """Write this CDP message to the client."""

    channel: bytes
    payload: Payload


class Ended(NamedTuple):
    """Close the client's socket; error None: the client asked for it (1000)."""

    channel: bytes
    error: errors.BrowserGoError | None


class Hold(NamedTuple):
    """Stop (or go on) reading the client's socket."""

    channel: bytes
    held: bool


class Finished(NamedTuple):
    """A command's span is complete."""

    record: SpanRecord


Effect = Send | Seek | Upgraded | Refused | Deliver | Ended | Hold | Finished


class Sent(NamedTuple):
    """A command that the device end has not recorded yet."""

    seq: int
    payload: bytes
    trace: bytes
    priority: int


class Pending(NamedTuple):
    """A command that has no answer yet."""

    seq: int
    session_id: str | None
    method: str
    trace: bytes
    parent: bytes
    started_ns: int
    answered: bool = False  # by the relay, too late for the browser: only the id is still taken


class Due(NamedTuple):
    """A command, known by its id and trace, that is answered here unless the browser has answered it by then."""

    due: float
    id: int
    trace: bytes


@dataclass(slots=True)
class Channel:
    """The client end of one channel."""

    id: bytes
    device: str
    claim: str
    endpoint: str
    deadline: float | None  # of opening, then of the resume window
    retry_at: float | None  # ask again: OPEN while opening, ANNOUNCE while lost
    caller: Traceparent | None
    opening: bool = True
    upgraded: bool = False
    lost: bool = True  # no live path: commands are held
    path: Path | None = None
    at: Binding = UNBOUND
    boot: str = ""
    born: int = 0
    seq: int = 0
    written: int = 0
    unaccepted: deque[Sent] = field(default_factory=deque)
    unaccepted_bytes: int = 0
    pending: dict[int, Pending] = field(default_factory=dict)
    deadlines: deque[Due] = field(default_factory=deque)  # in the order in which they are due
    orphans: deque[Due] = field(default_factory=deque)  # of sessions that are gone; likewise
    received: int = 0
    consumed: int = 0
    granted: int = 0
    ungranted_bytes: int = 0
    writable: bool = True
    held: bool = False
    waiting: deque[Payload] = field(default_factory=deque)
    page_gone: bool = False  # Chrome has said Inspector.detached already
    sessions: dict[str, str | None] = field(default_factory=dict)
    assembler: Assembler = field(default_factory=Assembler)

    @property
    def exchanged(self) -> bool:
        """Whether anything passed that another boot of the device could not know of."""
        return self.written > 0 or self.received > 0


@dataclass(slots=True)
class DeviceView:
    """What this process knows of one device: the newest epoch and HELLO, and its channels here."""

    epoch: int = 0
    last_hello: Binding = UNBOUND
    channels: dict[bytes, Channel] = field(default_factory=dict)
