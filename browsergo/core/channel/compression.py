"""Payloads as zlib streams (Flag.COMPRESSED): made in one go off the event loop, unfolded piece by piece on it."""

import zlib

from browsergo.core.channel.pieces import PIECE_BYTES, Payload, Pieces
from browsergo.core.errors import BadFrame, MessageTooBig

# The fastest level. On what browsers say, level 6 takes four times as long for a tenth fewer bytes.
_LEVEL = 1
_WORTH_IT = 0.9  # of the payload's size: what gets no smaller than that is sent as it is


def deflated(payload: Payload) -> Payload | None:
    """`payload` as one zlib stream; None if that is hardly smaller. Holds the calling thread, but not the GIL."""
    stream = zlib.compressobj(_LEVEL)
    parts = (payload,) if isinstance(payload, bytes) else payload.parts
    whole = b"".join([*(stream.compress(part) for part in parts), stream.flush()])
    if len(whole) > _WORTH_IT * len(payload):
        return None
    if len(whole) <= PIECE_BYTES:
        return whole
    return Pieces([whole[begin : begin + PIECE_BYTES] for begin in range(0, len(whole), PIECE_BYTES)])


class Inflater:
    """One zlib stream that comes in pieces, of at most `most_bytes` when unfolded."""

    __slots__ = ("_left", "_most_bytes", "_stream")

    def __init__(self, most_bytes: int) -> None:
        self._stream = zlib.decompressobj()
        self._most_bytes = self._left = most_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """What the next piece of the stream unfolds to, in pieces. Raises BadFrame; MessageTooBig for a bomb."""
        parts: list[bytes] = []
        while True:
            try:
                part = self._stream.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise BadFrame("a compressed payload is broken") from error
            self._left -= len(part)
            if self._left < 0:
                raise MessageTooBig(f"a message exceeds {self._most_bytes} bytes")
            if part:
                parts.append(part)
            if len(part) < PIECE_BYTES:
                return parts
            data = self._stream.unconsumed_tail

    def finish(self) -> None:
        """The last piece has been fed. Raises BadFrame if the stream goes on, or ended before its last byte."""
        if not self._stream.eof or self._stream.unused_data:
            raise BadFrame("a compressed payload is cut short, or too long")
