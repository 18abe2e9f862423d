"""Who stops something is not kept waiting by those who flood: classes on a link that is the bottleneck."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import faults
from tests.e2e.figures import say
from tests.e2e.raw_cdp import RawClient
from tests.e2e.round_trips import Samples
from tests.e2e.small_beside_large import beside
from tests.fakes.parts import Parts
from tests.fakes.thin_proxy import ThinProxy

BYTES_PER_S, DELAY_S = 6.25e6, 0.03  # a line of 50 Mbit/s, 60 ms there and back
ENVIRONMENT = {"BROWSERGO_AGENT_POOL": "1"}  # all on one line
FLOODS, EVENT_BYTES = 2, 16_000
STARTED_LINES = 5  # megabytes
WARM_UP, SAMPLES = 20, 100
LEAST_FLOOD = 0.7  # of what the line carries: it is the bottleneck, and not the machine


@pytest.mark.slow
def test_a_critical_command_hardly_notices_channels_that_flood_the_line(tmp_path: Path) -> None:
    with ExitStack() as opened:
        parts = opened.enter_context(Parts(tmp_path, ENVIRONMENT))
        parts.registry()
        parts.router()
        parts.control()
        for edge_id in ("edge-1", "edge-2"):
            parts.edge(edge_id)
        browser = opened.enter_context(beside("browser"))
        host, _, port = parts.edge_url("edge-2").removeprefix("ws://").partition(":")
        line = opened.enter_context(ThinProxy((host, int(port)), BYTES_PER_S, DELAY_S))
        parts.agent("far", ["edge-2"], browser.started(), dial=[f"ws://127.0.0.1:{line.port}"])
        faults.until(lambda: line.carried > 1, "its link is up")
        url = parts.client_ws("edge-1", "far")
        client = opened.enter_context(RawClient(url))
        Samples(client, "Page.stopLoading").take(WARM_UP)
        idle, critical, normal = (
            Samples(client, method) for method in ("Page.stopLoading", "Page.stopLoading", "Fake.count")
        )
        idle.take(SAMPLES)
        floods = [opened.enter_context(beside("flood", url, str(EVENT_BYTES))) for _ in range(FLOODS)]
        faults.until(lambda: min(flood.lines for flood in floods) > STARTED_LINES, "all flood")
        before, began_s = line.carried_bytes, time.monotonic()
        critical.take(SAMPLES)
        carried_per_s = (line.carried_bytes - before) / (time.monotonic() - began_s)
        normal.take(SAMPLES)
    say(f"idle: {idle}; critical beside {FLOODS} floods ({carried_per_s / 1e6:.1f} MB/s): {critical}; normal: {normal}")
    assert carried_per_s > LEAST_FLOOD * BYTES_PER_S
    assert critical.quantile_ms(0.99) <= 2 * idle.quantile_ms(0.99)
