"""Spans out over OTLP: to a collector of the test's own, or nowhere."""

import logging
import time

import pytest

from browsergo.chassis import telemetry as telemetry_module
from browsergo.chassis.telemetry import ENDPOINT_VARIABLES, Telemetry, resource_of
from browsergo.core import semconv
from browsergo.core.tracing import SpanRecord
from tests.fakes.otlp_sink import OtlpSink

TRACE, SPAN, PARENT = b"t" * 16, b"s" * 8, b"p" * 8


@pytest.fixture(autouse=True)
def _no_collector_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ENDPOINT_VARIABLES, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(telemetry_module, "EXPORT_EVERY_MS", 50)


def record(
    name: str = "router.switch", span: bytes = SPAN, parent: bytes = PARENT, error: str | None = None
) -> SpanRecord:
    return SpanRecord(name, TRACE, span, parent, 1_000, 2_000, {"browsergo.seq": 7, "browsergo.x": True}, error)


def test_without_a_collector_nothing_is_recorded_and_nothing_fails() -> None:
    made = Telemetry("browsergo-edge", "edge-1")
    assert not made.enabled
    made.record(record())
    made.record_for(made.resource, [record()])
    with made.tracer.start_as_current_span("registry.register") as span:
        assert not span.is_recording()
    made.shutdown()


@pytest.mark.parametrize("name", ENDPOINT_VARIABLES)
def test_a_collector_is_named_by_the_standard_variables(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    made = Telemetry("browsergo-edge", "edge-1")
    assert made.enabled
    made.shutdown()


def test_the_standard_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert not Telemetry("browsergo-edge", "edge-1").enabled


def test_a_record_arrives_as_it_was_made_under_this_processes_resource(sink: OtlpSink) -> None:
    made = Telemetry("browsergo-router", "router-1")
    made.record(record())
    made.shutdown()
    [span] = sink.spans()
    assert (span.name, span.trace_id, span.span_id, span.parent_id) == ("router.switch", TRACE, SPAN, PARENT)
    assert (span.start_ns, span.end_ns) == (1_000, 2_000)
    assert span.attributes == {"browsergo.seq": 7, "browsergo.x": True}
    assert span.process.service == "browsergo-router"
    assert span.process.pid > 0


def test_a_command_without_a_caller_is_a_root(sink: OtlpSink) -> None:
    made = Telemetry("browsergo-edge", "edge-1")
    made.record(record(f"{semconv.SPAN_COMMAND} Page.navigate", parent=b"", error="DEVICE_LOST"))
    made.shutdown()
    [span] = sink.spans()
    assert span.parent_id == b""
    assert b"DEVICE_LOST" in sink.raw()


def test_what_an_agent_recorded_leaves_under_the_agents_own_resource(sink: OtlpSink) -> None:
    made = Telemetry("browsergo-edge", "edge-1")
    made.record(record(span=b"1" * 8))
    made.record_for(resource_of("browsergo-agent", "laptop", 4711), [record(span=b"2" * 8), record(span=b"3" * 8)])
    made.shutdown()
    by_process = {span.span_id: (span.process.service, span.process.pid) for span in sink.spans()}
    assert by_process[b"2" * 8] == by_process[b"3" * 8] == ("browsergo-agent", 4711)
    assert by_process[b"1" * 8][0] == "browsergo-edge"


def test_ordinary_operations_make_sdk_spans_of_the_same_process(sink: OtlpSink) -> None:
    made = Telemetry("browsergo-registry", "registry-1")
    with made.tracer.start_as_current_span("registry.register") as span:
        span.set_attribute("browsergo.device", "laptop")
    made.shutdown()
    [found] = sink.spans()
    assert (found.name, found.attributes, found.process.service) == (
        "registry.register", {"browsergo.device": "laptop"}, "browsergo-registry",
    )  # fmt: skip


def test_span_ids_are_eight_bytes_and_never_all_zero() -> None:
    made = Telemetry("browsergo-edge", "edge-1")
    ids = {made.new_span_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(found) for found in ids} == {8}


def test_a_collector_that_is_away_does_not_delay_the_end_and_is_one_log_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(telemetry_module, "EXPORT_EVERY_MS", 50)
    monkeypatch.setattr(telemetry_module, "EXPORT_TIMEOUT_S", 0.2)
    made = Telemetry("browsergo-edge", "edge-1")
    with caplog.at_level(logging.INFO):
        for number in range(4):
            made.record(record(span=bytes([number + 1]) * 8))
            time.sleep(0.15)  # several exports, each in vain
        began = time.monotonic()
        made.shutdown()
    assert time.monotonic() - began < 2
    said = [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert [line.name for line in said] == ["browsergo.telemetry"]
