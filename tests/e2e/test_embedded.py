"""`browsergo up --embedded`: one edge with the router in its process, and all else as ever."""

from pathlib import Path

import pytest

from browsergo.core import semconv
from tests.e2e import faults
from tests.e2e.raw_cdp import RawClient
from tests.e2e.raw_control import RawOperator
from tests.fakes.otlp_sink import CollectedSpan, OtlpSink, Process
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

EXPORT_TIMEOUT_S = 15.0
BIG_BYTES = 16 << 20
LEGS = sorted(
    [
        semconv.SPAN_EDGE_QUEUE,
        semconv.SPAN_ROUTER_SWITCH,
        semconv.SPAN_EDGE_LINK,
        semconv.SPAN_AGENT_DISPATCH,
        semconv.SPAN_BROWSER,
        semconv.SPAN_AGENT_ANSWER,
        semconv.SPAN_EDGE_LINK,
        semconv.SPAN_ROUTER_SWITCH,
    ]
)


def legs_of(spans: list[CollectedSpan], method: str) -> tuple[list[str], set[Process]]:
    """The spans below the command's own, and who recorded any of them."""
    [root] = [span for span in spans if span.name == f"{semconv.SPAN_COMMAND} {method}"]
    below = [span for span in spans if span.parent_id == root.span_id]
    return sorted(span.name for span in below), {span.process for span in (root, *below)}


def test_an_embedded_stack_drives_its_browser_shows_its_parts_and_traces_each_leg(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        with Stack(tmp_path, environment, ("--embedded",)) as stack:
            lines = stack.children().values()
            assert not any(faults.ROUTER in line for line in lines)
            assert sum("-m deploy.embedded" in line for line in lines) == 1
            edge = faults.process(stack, "-m deploy.embedded").pid
            with RawClient(stack.urls.client_ws) as client:
                assert "Chrome/" in client.call("Browser.getVersion")["product"]
                target = client.call("Target.createTarget", {"url": "about:blank"})["targetId"]
                session = client.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
                assert client.evaluate(f"'x'.repeat({BIG_BYTES})", session) == "x" * BIG_BYTES
            with RawOperator.with_token(stack.urls.control_ws, stack.urls.tokens["control"]) as operator:
                status = operator.receive()["data"]
            assert status["status"] == "ok"
            parts = {part["name"].partition(" ")[0]: part["healthy"] for part in status["parts"]}
            assert parts == dict.fromkeys(("registry", "router", "edge"), True)

        def traced(spans: list[CollectedSpan]) -> None:
            legs, seen = legs_of(spans, "Browser.getVersion")
            assert legs == LEGS
            here = {Process(semconv.SERVICE_EDGE, edge), Process(semconv.SERVICE_ROUTER, edge)}
            assert here < seen
            assert {process.service for process in seen - here} == {semconv.SERVICE_AGENT}

        sink.wait_until(traced, EXPORT_TIMEOUT_S)


def test_an_embedded_edge_that_is_killed_comes_back_with_its_router(tmp_path: Path) -> None:
    with Stack(tmp_path, {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.2"}, ("--embedded",)) as stack:
        faults.kill(faults.process(stack, "-m deploy.embedded"))
        faults.wait_whole(stack, faults.LOCAL)
        with RawClient(stack.urls.client_ws) as client:
            assert "Chrome/" in client.call("Browser.getVersion")["product"]
        replaced = ('"member": "edge/edge-1"', '"member": "router/router-1"')
        faults.until(lambda: all(_replaced(stack, member) for member in replaced), "both runs are told of as new ones")


def _replaced(stack: Stack, member: str) -> bool:
    lines = stack.logs()["registry.log"].splitlines()
    return any(member in line and '"member_replaced"' in line for line in lines)
