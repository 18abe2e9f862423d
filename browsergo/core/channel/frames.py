"""Frames, and the batches they travel in, on trunks and on links alike.

The layout is described byte by byte in docs/protocol/batch-layout.md; this file owns it. A batch is
two byte strings: `headers` (a version byte, then one fixed-size header per frame) and `payloads`
(the frames' payloads one after another), so that a router reads the first and never the second.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from browsergo.core.errors import BadFrame, MessageTooBig, UnsupportedVersion
from browsergo.core.ids import NO_CHANNEL, UNBOUND, Binding
from browsergo.core.tracing import NO_TRACE

LAYOUT_VERSION = 1

# kind, flags, reserved, length, edge, source, link, channel, epoch, n, seq, trace, stamp
_HEADER = struct.Struct("!BBHIQQI16sQIQ24sQ")
HEADER_BYTES = _HEADER.size
_LINK_PREFIX = struct.Struct("!I")
_VERSION_BYTE = bytes([LAYOUT_VERSION])

CHUNK_BYTES = 128 << 10
BATCH_BYTES = 1 << 20
MAX_LINK_MESSAGE_BYTES = 4 << 20
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


class Frame(NamedTuple):
    """One frame. `edge` is where it goes, `source` the edge it came from, `link` the device edge's number of
    the link connection; `seq` counts commands down and messages up; `stamp` is the sender's Unix time in ns.
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

    @property
    def size(self) -> int:
        """What it takes in a queue, in bytes."""
        return HEADER_BYTES + len(self.payload)


def encode_headers(frames: Iterable[Frame]) -> bytes:
    """The `headers` of a batch."""
    pack = _HEADER.pack
    parts = [_VERSION_BYTE]
    for kind, flags, edge, source, link, channel, at, seq, trace, stamp, payload in frames:
        parts.append(pack(kind, flags, 0, len(payload), edge, source, link, channel, at[0], at[1], seq, trace, stamp))
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
        kind, flags, _, length, edge, source, link, channel, epoch, n, seq, trace, stamp = row
        end = offset + length
        payload = payloads if single and length == len(payloads) else payloads[offset:end]
        if end > len(payloads):
            raise BadFrame("a batch's payloads are cut short")
        if flags & ~Flag.KNOWN:
            raise BadFrame(f"unknown flags {flags:#x}")
        frames.append(
            Frame(_kind(kind), flags, edge, source, link, channel, Binding(epoch, n), seq, trace, stamp, payload)
        )
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


def chunked(frame: Frame) -> Iterator[Frame]:
    """`frame` in pieces of at most CHUNK_BYTES, all but the last flagged MORE."""
    payload = frame.payload
    if len(payload) <= CHUNK_BYTES:
        yield frame
        return
    for offset in range(0, len(payload), CHUNK_BYTES):
        last = offset + CHUNK_BYTES >= len(payload)
        yield frame._replace(
            payload=payload[offset : offset + CHUNK_BYTES], flags=frame.flags if last else frame.flags | Flag.MORE
        )


class Assembler:
    """Puts the payload of one channel and direction together again. A new path discards what is half there."""

    __slots__ = ("_bytes", "_parts", "_seq")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._bytes = 0
        self._seq = 0

    @property
    def size(self) -> int:
        """Bytes of what is half there."""
        return self._bytes

    def reset(self) -> None:
        """The path changed: whatever was half received is replayed whole."""
        self._parts.clear()
        self._bytes = 0

    def whole(self, frame: Frame) -> bytes | None:
        """The complete payload once its last piece is here, else None. Raises MessageTooBig, BadFrame."""
        if not self._parts and not frame.flags & Flag.MORE:
            return inflated(frame.payload) if frame.flags & Flag.COMPRESSED else frame.payload
        if self._parts and frame.seq != self._seq:
            raise BadFrame(f"chunk of message {frame.seq} within message {self._seq}")
        self._seq = frame.seq
        self._parts.append(frame.payload)
        self._bytes += len(frame.payload)
        if self._bytes > MAX_MESSAGE_BYTES:
            raise MessageTooBig(f"a message exceeds {MAX_MESSAGE_BYTES} bytes")
        if frame.flags & Flag.MORE:
            return None
        payload = b"".join(self._parts)
        self.reset()
        return inflated(payload) if frame.flags & Flag.COMPRESSED else payload


def inflated(payload: bytes) -> bytes:
    """A COMPRESSED payload as it was. Raises BadFrame for a broken stream, MessageTooBig for a bomb."""
    decompressor = zlib.decompressobj()
    try:
        plain = decompressor.decompress(payload, MAX_MESSAGE_BYTES)
    except zlib.error as error:
        raise BadFrame("a compressed payload is broken") from error
    if decompressor.unconsumed_tail:
        raise MessageTooBig(f"a message exceeds {MAX_MESSAGE_BYTES} bytes")
    if not decompressor.eof:
        raise BadFrame("a compressed payload is cut short")
    return plain
