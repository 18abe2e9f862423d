"""When a child that died is started again. Pure: times are arguments."""

from dataclasses import dataclass, field

from browsergo.core.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RestartTimes:
    """The first delay, its bound, and how long a child must run to be trusted again; seconds."""

    first_s: float = 0.2
    cap_s: float = 5.0
    steady_s: float = 30.0


@dataclass(slots=True)
class Restarts:
    """The delays of one child: doubling, and first again after a steady run.

    Without jitter: a machine's few children need not be kept apart, and a test can count on it.
    """

    times: RestartTimes
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = Backoff(self.times.first_s, self.times.cap_s)

    def delay_s(self, ran_s: float) -> float:
        """How long to wait after a run of `ran_s`."""
        if ran_s >= self.times.steady_s:
            self._backoff.reset()
        return self._backoff.next_delay_s(1.0)
