"""The overload ladder of an edge: figures in, rung out. Pure; time is an argument.

A rung is entered at one threshold and left below a lower one, and left only after a stay, so that an edge at a
threshold does not flap. One step a sample, up or down: the gentler rungs get their chance before a harder one.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

LAG_SAMPLES = 3  # a lag counts once so many samples in a row had it: one long callback is no overload


class Rung(IntEnum):
    """What an edge does about too much work; each rung also does what those below it do."""

    OK = 0
    SAVING = 1  # no credit beyond what a live channel needs
    REFUSING = 2  # no new clients, no new devices
    CLOSING = 3  # the channel with the biggest buffers goes, one a sample

    @property
    def word(self) -> str:
        """As status, readiness and log spell it."""
        return self.name.lower()


class Threshold(NamedTuple):
    """A rung is entered at `enter` and left below `leave`, both shares of the limit."""

    enter: float
    leave: float


MEMORY = {Rung.SAVING: Threshold(0.7, 0.6), Rung.REFUSING: Threshold(0.8, 0.7), Rung.CLOSING: Threshold(0.9, 0.8)}
# Closing channels frees memory, not time, and a busy neighbour on the machine is no fault of theirs.
LAG = {Rung.SAVING: Threshold(1.0, 0.5), Rung.REFUSING: Threshold(4.0, 2.0)}


@dataclass(frozen=True, slots=True)
class OverloadLimits:
    """What the shares are of, and how long a rung lasts at least before it is left."""

    memory_bytes: int
    lag_s: float
    stay_s: float


class Change(NamedTuple):
    """A step of the ladder."""

    was: Rung
    now: Rung


class Ladder:
    """The ladder of one edge."""

    def __init__(self, limits: OverloadLimits) -> None:
        self.limits = limits
        self.rung = Rung.OK
        self.memory_bytes = 0
        self._since_s = float("-inf")
        self._lags: deque[float] = deque(maxlen=LAG_SAMPLES)

    @property
    def lag_s(self) -> float:
        """The lag that lasts: the least of the last samples."""
        return min(self._lags) if len(self._lags) == LAG_SAMPLES else 0.0

    def sample(self, memory_bytes: int, lag_s: float, now_s: float) -> Change | None:
        """Judge fresh figures (memory 0: unknown); the step that follows, if one does."""
        self.memory_bytes = memory_bytes
        self._lags.append(lag_s)
        was = self.rung
        if was < Rung.CLOSING and self._enters(Rung(was + 1)):
            return self._step(Rung(was + 1), now_s)
        if was > Rung.OK and now_s - self._since_s >= self.limits.stay_s and not self._stays(was):
            return self._step(Rung(was - 1), now_s)
        return None

    def must_close(self, leaving_bytes: int) -> bool:
        """Whether a channel has to go now. `leaving_bytes` are on their way out with channels closed before."""
        over = self.memory_bytes - leaving_bytes >= MEMORY[Rung.CLOSING].enter * self.limits.memory_bytes
        return self.rung is Rung.CLOSING and over

    @property
    def words(self) -> str:
        """The figures, for people."""
        limit = self.limits.memory_bytes >> 20
        memory = f"{self.memory_bytes >> 20} of {limit} MiB" if self.memory_bytes else "unknown"
        return f"memory {memory}, loop lag {self.lag_s * 1000:.0f} ms"

    def _step(self, rung: Rung, now_s: float) -> Change:
        was, self.rung, self._since_s = self.rung, rung, now_s
        return Change(was, rung)

    def _enters(self, rung: Rung) -> bool:
        memory, lag = self._shares()
        return memory >= MEMORY[rung].enter or (rung in LAG and lag >= LAG[rung].enter)

    def _stays(self, rung: Rung) -> bool:
        memory, lag = self._shares()
        return memory >= MEMORY[rung].leave or (rung in LAG and lag >= LAG[rung].leave)

    def _shares(self) -> tuple[float, float]:
        return self.memory_bytes / self.limits.memory_bytes, self.lag_s / self.limits.lag_s
