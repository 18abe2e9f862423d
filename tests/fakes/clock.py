"""A clock that stands still until it is moved."""

UNIX_START_MS = 1_700_000_000_000


class HandClock:
    """Monotonic and wall time, moved together."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_ms(self) -> int:
        return UNIX_START_MS + round((self.now_s - 1_000.0) * 1000)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
