"""Routers that come while the relay runs, as processes."""

import time
from contextlib import ExitStack
from pathlib import Path

from tests.e2e import faults
from tests.e2e.steady_client import SteadyClient, counting
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Parts

LATENCY_S = 0.002
SOON_S = 5.0  # seen: well below one; the machine may be busy


def test_a_router_started_after_the_edges_carries_on_when_the_first_is_killed(tmp_path: Path) -> None:
    with ExitStack() as opened:
        browser = opened.enter_context(FakeBrowser(LATENCY_S))
        parts = opened.enter_context(Parts(tmp_path, {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.5"}))
        registry = parts.registry()
        first = parts.router("router-1", joins=True)
        for edge_id in ("edge-1", "edge-2"):
            parts.edge(edge_id)
        parts.agent("laptop", ["edge-2"], browser.url)
        with SteadyClient(parts.client_ws("edge-1", "laptop"), counting("late")) as client:
            client.more(60)
            began_s = time.monotonic()
            second = parts.router("router-2", joins=True)
            faults.until(lambda: second.text.count('"trunk up"') == 2, "both edges have a trunk to the new router")
            assert time.monotonic() - began_s < SOON_S
            parts.kill(first)
            client.more(200)
        client.check_complete()
        executed = {browser.executions[f"late:{number}"] for number in range(1, client.sent + 1)}
        assert executed == {1}
        parts.stop()
    left = [line for line in registry.log if '"member_left"' in line]
    for member in ("edge/edge-1", "edge/edge-2", "router/router-2"):
        assert any(f'"{member}"' in line for line in left), f"{member} did not give its lease back:\n{registry.text}"
