"""How much a line is given at once, so that what comes later can still go first.

What was handed to a connection is beyond all turns (queue.py). On a line that carries much that is nothing; on a thin
one it is what a critical frame waits for. So a writer hands over about as much as the line takes in LINE_S, which it
learns from how long a full connection needs to become empty.
"""

from browsergo.core.channel.frames import BATCH_BYTES

LINE_S = 0.01
LEAST_BYTES = 16 << 10
MOST_UNSENT_BYTES = 128 << 10


class Pace:
    """Of one connection; `batch_bytes` is how much to hand over at once now."""

    def __init__(self) -> None:
        self.batch_bytes = BATCH_BYTES
        self._handed_bytes = 0  # since the connection was empty
        self._since_s = 0.0

    def handing(self, size: int, now_s: float) -> None:
        """So many bytes are about to be handed over, at this time of a monotonic clock. The connection is not full."""
        if self._handed_bytes:  # and took all of them at once: the line may carry more
            self.batch_bytes = min(2 * self.batch_bytes, BATCH_BYTES)
        self._handed_bytes, self._since_s = size, now_s

    def emptied(self, now_s: float) -> None:
        """The connection was full, and has sent all by now."""
        if self._handed_bytes:
            elapsed_s = max(now_s - self._since_s, 1e-6)
            self.batch_bytes = min(max(int(self._handed_bytes / elapsed_s * LINE_S), LEAST_BYTES), BATCH_BYTES)
            self._handed_bytes = 0

    @property
    def unsent_bytes(self) -> int:
        """How much the kernel may keep unsent, until we write again; a power of two, so that it seldom changes."""
        return min(1 << self.batch_bytes.bit_length() - 2, MOST_UNSENT_BYTES)
