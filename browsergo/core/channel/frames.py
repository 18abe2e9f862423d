"""Frames, and the batches they travel in, on trunks and on links alike.

The layout is described byte by byte in docs/protocol/batch-layout.md; this file owns it. A batch is
two byte strings: `headers` (a version byte, then one fixed-size header per frame) and `payloads`
(the frames' payloads one after another), so that a router reads the first and never the second.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from browsergo.core.channel.compression import Inflater
from browsergo.core.channel.pieces import PIECE_BYTES, Payload, Pieces
from browsergo.core.errors import BadFrame, MessageTooBig, UnsupportedVersion
from browsergo.core.ids import NO_CHANNEL, UNBOUND, Binding
from browsergo.core.tracing import NO_TRACE

LAYOUT_VERSION = 1

# kind, flags, priority, part, length, edge, source, link, channel, epoch, n, seq, trace, stamp
_HEADER = struct.Struct("!BBBBIQQI16sQIQ24sQ")
HEADER_BYTES = _HEADER.size
_LINK_PREFIX = struct.Struct("!I")
_VERSION_BYTE = bytes([LAYOUT_VERSION])

CHUNK_BYTES = PIECE_BYTES
BATCH_BYTES = 260 << 10  # two chunks with their headers, and some room for small frames beside them
MAX_LINK_MESSAGE_BYTES = 4 << 20
PARTS = 256  # where their count begins again: what a broken path loses at once is far less than so many chunks
MAX_MESSAGE_BYTES = 256 << 20  # an assembled payload; clients cap at the same size (compat.md)

# In `Frame.edge`: every edge this router has a trunk to (only a HELLO of a new boot travels so).
EVERY_EDGE = 0xFFFF_FFFF_FFFF_FFFF
NO_EDGE = 0
NO_LINK = 0


class Kind(IntEnum):
    """What a frame is. Directions: down is toward the browser, up toward the client."""

    HELLO = 1  # up: this boot's channels of one client edge on one link
    RESUME = 2  # down: answers HELLO and OPENED; seq = consumed, payload names received
    CMD = 3  # down: one CDP command
    CACK = 4  # up: commands up to seq are recorded
    MSG = 5  # up: one CDP response or event
    ACK = 6  # down: the client took messages up to seq
    OPEN = 7  # down: create a channel
    OPENED = 8  # up
    REFUSED = 9  # up
    CLOSE = 10  # down: this client end is gone
    CLOSED = 11  # up: the device end freed the channel
    FETCH = 12  # down: GET a /json path of the device's browser
    FETCHED = 13  # up
    PATH_LOST = 14  # down, edge to agent: say HELLO again for `edge`
    ANNOUNCE = 15  # down, client edge to device edge: I come through this router now
    LINK_LOST = 16  # up, device edge to client edges: this link (0: all of mine) is gone
    UNREACHABLE = 17  # up, router: the addressed edge has no trunk here
    ADMIN = 18  # router to edge: a command of control
    ADMIN_ANSWER = 19  # edge to router
    SPANS = 20  # agent to its edge: span records to export


class Flag:
    """Bits of `Frame.flags`."""

    MORE = 1  # the payload goes on in the next frame of this channel and seq
    COMPRESSED = 2  # the whole payload is a zlib stream
    KNOWN = MORE | COMPRESSED


class Priority:
    """The class of a frame among those of other channels (queue.py). It never changes the order inside a channel."""

    NORMAL = 0
    CRITICAL = 1
    LOW = 2
    KNOWN = (NORMAL, CRITICAL, LOW)


class Frame(NamedTuple):
    """One frame. `edge` is where it goes, `source` the edge it came from, `link` the device edge's number of
    the link connection; `seq` counts commands down and messages up, `part` the chunks of one from 0, modulo PARTS;
    `stamp` is the sender's Unix time in ns.
    """

    kind: Kind
    flags: int = 0
    edge: int = NO_EDGE
    source: int = NO_EDGE
    link: int = NO_LINK
    channel: bytes = NO_CHANNEL
    at: Binding = UNBOUND
    seq: int = 0
    trace: bytes = NO_TRACE
    stamp: int = 0
    payload: bytes = b""
    priority: int = Priority.NORMAL
    part: int = 0

    @property
    def size(self) -> int:
        """What it takes in a queue, in bytes."""
        return HEADER_BYTES + len(self.payload)


def encode_headers(frames: Iterable[Frame]) -> bytes:
    """The `headers` of a batch."""
    pack = _HEADER.pack
    parts = [_VERSION_BYTE]
    for kind, flags, edge, source, link, channel, at, seq, trace, stamp, payload, priority, part in frames:
        row = (kind, flags, priority, part, len(payload), edge, source, link, channel, *at, seq, trace, stamp)
        parts.append(pack(*row))
    return b"".join(parts)


def encode_payloads(frames: Sequence[Frame]) -> bytes:
    """The `payloads` of a batch; a single one is passed on as it is."""
    return frames[0].payload if len(frames) == 1 else b"".join([frame.payload for frame in frames])


def decode_batch(headers: bytes, payloads: bytes) -> list[Frame]:
    """The frames of a batch. Raises BadFrame or UnsupportedVersion; a batch is good or bad as a whole."""
    if headers[:1] != _VERSION_BYTE:
        raise UnsupportedVersion(f"batch layout {headers[:1].hex() or 'missing'} is not spoken here")
    if (len(headers) - 1) % HEADER_BYTES:
        raise BadFrame("a batch's headers are cut short")
    frames: list[Frame] = []
    offset = 0
    single = len(headers) == HEADER_BYTES + 1
    for row in _HEADER.iter_unpack(memoryview(headers)[1:]):
        kind, flags, priority, part, length, edge, source, link, channel, epoch, n, seq, trace, stamp = row
        end = offset + length
        payload = payloads if single and length == len(payloads) else payloads[offset:end]
        if end > len(payloads):
            raise BadFrame("a batch's payloads are cut short")
        if flags & ~Flag.KNOWN:
            raise BadFrame(f"unknown flags {flags:#x}")
        if priority not in Priority.KNOWN:
            raise BadFrame(f"unknown priority {priority}")
        at = Binding(epoch, n)
        known = _kind(kind)
        frames.append(Frame(known, flags, edge, source, link, channel, at, seq, trace, stamp, payload, priority, part))
        offset = end
    if offset != len(payloads):
        raise BadFrame("a batch has more payload than its headers name")
    return frames


_KINDS = {int(kind): kind for kind in Kind}


def _kind(number: int) -> Kind:
    try:
        return _KINDS[number]
    except KeyError:
        raise BadFrame(f"unknown frame kind {number}") from None


def encode_link_message(frames: Sequence[Frame]) -> bytes:
    """One binary WebSocket message of a link: length of headers (u32), headers, payloads."""
    headers = encode_headers(frames)
    return b"".join([_LINK_PREFIX.pack(len(headers)), headers, *[frame.payload for frame in frames]])


def decode_link_message(message: bytes) -> list[Frame]:
    """The reverse. Raises BadFrame or UnsupportedVersion."""
    if len(message) < _LINK_PREFIX.size:
        raise BadFrame("a link message is shorter than its own prefix")
    (length,) = _LINK_PREFIX.unpack_from(message)
    start = _LINK_PREFIX.size + length
    if start > len(message):
        raise BadFrame("a link message is shorter than its headers")
    return decode_batch(message[_LINK_PREFIX.size : start], message[start:])


def chunked(frame: Frame, payload: Payload) -> Iterator[Frame]:
    """`frame` with `payload`, in pieces of at most CHUNK_BYTES, numbered, all but the last flagged MORE."""
    if isinstance(payload, Pieces):
        parts: Sequence[bytes] = payload.parts
    elif len(payload) <= CHUNK_BYTES:
        yield frame._replace(payload=payload)
        return
    else:
        parts = [payload[offset : offset + CHUNK_BYTES] for offset in range(0, len(payload), CHUNK_BYTES)]
    more = frame._replace(flags=frame.flags | Flag.MORE)
    for number, part in enumerate(parts[:-1]):
        yield more._replace(payload=part, part=number % PARTS)
    yield frame._replace(payload=parts[-1], part=(len(parts) - 1) % PARTS)


class Assembler:
    """Puts the payload of one channel and direction together again. A new path discards what is half there."""

    __slots__ = ("_bytes", "_inflater", "_next", "_parts", "_seq")

    def __init__(self) -> None:
        self._seq: int | None = None  # of the message that is half there
        self._next = 0  # its part that is due
        self._parts: list[bytes] = []
        self._bytes = 0
        self._inflater: Inflater | None = None

    @property
    def size(self) -> int:
        """Bytes of what is half there."""
        return self._bytes

    def reset(self) -> None:
        """The path changed: whatever was half received is replayed whole."""
        self._seq, self._next, self._parts, self._bytes, self._inflater = None, 0, [], 0, None

    def follows(self, frame: Frame) -> bool:
        """Whether this is the part that is due: one may be lost with a path, and the next come over another."""
        return frame.part == self._next and self._seq in (None, frame.seq)

    def whole(self, frame: Frame) -> Payload | None:
        """The complete payload once its last piece is here, else None. Raises MessageTooBig, BadFrame.

        What came in pieces stays in pieces.
        """
        if not self.follows(frame):
            raise BadFrame(f"part {frame.part} of message {frame.seq}, not {self._next} of {self._seq or 'the next'}")
        if self._seq is None:
            if not frame.flags:
                return frame.payload
            self._seq = frame.seq
            self._inflater = Inflater(MAX_MESSAGE_BYTES) if frame.flags & Flag.COMPRESSED else None
        elif bool(frame.flags & Flag.COMPRESSED) != (self._inflater is not None):
            raise BadFrame(f"chunks of message {frame.seq} differ in being compressed")
        self._take(frame.payload)
        self._next = (self._next + 1) % PARTS
        if frame.flags & Flag.MORE:
            return None
        if self._inflater is not None:
            self._inflater.finish()
        parts = self._parts
        self.reset()
        return Pieces(parts) if len(parts) > 1 else b"".join(parts)

    def _take(self, payload: bytes) -> None:
        parts = [payload] if self._inflater is None else self._inflater.feed(payload)
        self._parts += parts
        self._bytes += sum(map(len, parts))
        if self._bytes > MAX_MESSAGE_BYTES:
            raise MessageTooBig(f"a message exceeds {MAX_MESSAGE_BYTES} bytes")
