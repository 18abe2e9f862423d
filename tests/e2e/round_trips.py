"""Round trips of small commands, for what others do to them."""

import time
from collections.abc import Callable

from tests.e2e.figures import percentile
from tests.e2e.raw_cdp import RawClient


class Samples:
    """Round trips of one small command after another, in seconds; `method` is one that answers with its key."""

    def __init__(self, client: RawClient, method: str = "Fake.count") -> None:
        self._client, self._method = client, method
        self._number = 0
        self.taken_s: list[float] = []

    def take(self, count: int, until: Callable[[], bool] = lambda: True) -> None:
        """So many, and more until `until` is so."""
        while count > 0 or not until():
            self._number += 1
            began_s = time.perf_counter()
            answer = self._client.call(self._method, {"key": f"small:{self._number}"})
            self.taken_s.append(time.perf_counter() - began_s)
            assert answer == {"key": f"small:{self._number}"}
            self._client.events.clear()
            count -= 1

    def quantile_ms(self, share: float) -> float:
        """The round trip that this share of them does not exceed."""
        return percentile(self.taken_s, share) * 1000

    def __str__(self) -> str:
        return f"p50 {self.quantile_ms(0.5):.1f} ms, p99 {self.quantile_ms(0.99):.1f} ms of {len(self.taken_s)}"
