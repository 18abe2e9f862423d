"""The registry's clock."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """Monotonic time for leases, wall time for people."""

    monotonic_s: Callable[[], float]
    unix_ms: Callable[[], int]


SYSTEM_CLOCK = Clock(time.monotonic, lambda: time.time_ns() // 1_000_000)
