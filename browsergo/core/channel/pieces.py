"""A large message as it travels: in pieces, never joined on its way.

To join 64 MiB, or to cut it, takes a process tens of milliseconds in which nobody else's messages move
(design/performance.md, "Rules of the hot path", 4).
"""

from collections.abc import Sequence

from browsergo.core import cdp

PIECE_BYTES = 128 << 10
_END_BYTES = 1024  # what is looked at of a message without joining it: ids, methods and sessions stand at its ends


class Pieces:
    """The bytes of a message in pieces of PIECE_BYTES, the last one as long as it is; `len` is that of the message."""

    __slots__ = ("_bytes", "parts")

    def __init__(self, parts: Sequence[bytes]) -> None:
        self.parts = parts
        self._bytes = sum(map(len, parts))

    def __len__(self) -> int:
        return self._bytes

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    def ends(self) -> bytes:
        """The first and the last KiB in one, for who looks at no more of a message than that."""
        last = b"".join(self.parts[-2:])
        return self.parts[0][:_END_BYTES] + last[-_END_BYTES:]


Payload = bytes | Pieces


def read_head(payload: Payload) -> cdp.MessageHead:
    """What a message from the browser is (cdp.read_head), by its first piece if that tells."""
    if isinstance(payload, bytes):
        return cdp.read_head(payload)
    head = cdp.read_head(payload.parts[0])
    return head if head.id is not None or head.is_event else cdp.read_head(bytes(payload))


def ends(payload: Payload) -> bytes:
    """A message, or the two ends of a large one."""
    return payload if isinstance(payload, bytes) else payload.ends()
