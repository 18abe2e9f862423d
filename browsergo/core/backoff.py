"""Full-jitter exponential backoff (Brooker, "Exponential Backoff and Jitter", AWS 2015)."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays before successive attempts. `chance` is a number in [0, 1) drawn by the caller.

    The n-th delay is `chance * min(cap_s, first_s * 2**n)`.
    """

    first_s: float
    cap_s: float
    attempts: int = 0

    def next_delay_s(self, chance: float) -> float:
        """The delay before the next attempt, in seconds; counts the attempt."""
        ceiling = min(self.cap_s, self.first_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return chance * ceiling

    def reset(self) -> None:
        """An attempt succeeded: the next delay is a first one again."""
        self.attempts = 0
