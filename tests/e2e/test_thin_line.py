"""A device behind a thin line, which is the bottleneck: who stops something, or asks for little, is not kept waiting.

On loopback the processors are the bottleneck, and ten processes that all have work wait for each other whatever the
relay does (test_turns.py). Here they idle, and what is measured is how much the relay puts before a small frame.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e import faults
from tests.e2e.figures import say
from tests.e2e.raw_cdp import RawClient
from tests.e2e.round_trips import Samples
from tests.e2e.small_beside_large import Beside, beside
from tests.fakes.parts import Parts
from tests.fakes.thin_proxy import ThinProxy

pytestmark = pytest.mark.slow

DELAY_S = 0.05  # 100 ms there and back
ENVIRONMENT = {"BROWSERGO_AGENT_POOL": "1"}  # all on one line
CRITICAL, NORMAL = "Page.stopLoading", "Fake.count"
WARM_UP, SAMPLES = 20, 100
LEAST_LOAD = 0.7  # of what the line carries, or it would not be the bottleneck


class Line:
    """A relay whose device is at the end of a line; `url` is the device's, for clients."""

    def __init__(self, url: str, line: ThinProxy, bytes_per_s: float) -> None:
        self.url, self._line, self._bytes_per_s = url, line, bytes_per_s

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """The line is the bottleneck meanwhile."""
        before, began_s = self._line.carried_bytes, time.monotonic()
        yield
        per_s = (self._line.carried_bytes - before) / (time.monotonic() - began_s)
        say(f"the line carried {per_s / 1e6:.1f} MB/s")
        assert per_s > LEAST_LOAD * self._bytes_per_s


@contextmanager
def thin_line(folder: Path, bytes_per_s: float) -> Iterator[Line]:
    with ExitStack() as opened:
        parts = opened.enter_context(Parts(folder, ENVIRONMENT))
        parts.registry()
        parts.router()
        parts.control()
        for edge_id in ("edge-1", "edge-2"):
            parts.edge(edge_id)
        browser = opened.enter_context(beside("browser"))
        host, _, port = parts.edge_url("edge-2").removeprefix("ws://").partition(":")
        line = opened.enter_context(ThinProxy((host, int(port)), bytes_per_s, DELAY_S))
        parts.agent("far", ["edge-2"], browser.started(), dial=[f"ws://127.0.0.1:{line.port}"])
        faults.until(lambda: line.carried > 1, "its link is up")
        yield Line(parts.client_ws("edge-1", "far"), line, bytes_per_s)


def started(others: list[Beside], lines: int) -> None:
    faults.until(lambda: min(other.lines for other in others) >= lines, "the others are at it")


def test_a_critical_command_hardly_notices_two_channels_that_flood(tmp_path: Path) -> None:
    with thin_line(tmp_path, 6.25e6) as line, ExitStack() as opened:  # 50 Mbit/s
        client = opened.enter_context(RawClient(line.url))
        Samples(client, CRITICAL).take(WARM_UP)
        idle, critical, normal = (Samples(client, method) for method in (CRITICAL, CRITICAL, NORMAL))
        idle.take(SAMPLES)
        floods = [opened.enter_context(beside("flood", line.url, "16000")) for _ in range(2)]
        started(floods, lines=5)  # megabytes
        with line.loaded():
            critical.take(SAMPLES)
            normal.take(SAMPLES)
    say(f"idle: {idle}; beside two floods, critical: {critical}; normal: {normal}")
    assert critical.quantile_ms(0.99) <= 2 * idle.quantile_ms(0.99)


def test_small_commands_beside_1_16_and_64_mb_take_at_most_five_times_as_long(tmp_path: Path) -> None:
    with thin_line(tmp_path, 12.5e6) as line, ExitStack() as opened:  # 100 Mbit/s
        client = opened.enter_context(RawClient(line.url))
        Samples(client).take(WARM_UP)
        alone, during = Samples(client), Samples(client)
        alone.take(SAMPLES)
        sizes = [("64000000", "1"), ("16000000",), ("1000000",)]
        larges = [opened.enter_context(beside("large", line.url, *size)) for size in sizes]
        started(larges[-1:], lines=1)
        with line.loaded():
            during.take(SAMPLES, lambda: larges[0].lines >= 1)
        answers = [large.lines for large in larges]
    say(f"small alone: {alone}; beside {answers} answers of 64, 16 and 1 MB: {during}")
    assert during.quantile_ms(0.99) <= 5 * alone.quantile_ms(0.99)
