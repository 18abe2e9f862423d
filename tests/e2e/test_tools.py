"""The tests' own instruments see what they are there to see."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from browsergo.chassis.telemetry import Telemetry, resource_of
from browsergo.core.tracing import SpanRecord
from tests.e2e.terminal import CTRL_C, Terminal
from tests.fakes import processes
from tests.fakes.otlp_sink import CollectedSpan, OtlpSink, Process
from tests.fakes.stack import leftovers

SLEEPER = [sys.executable, "-c", "import signal; print('here', flush=True); signal.pause()"]


def test_what_telemetry_exports_arrives_as_it_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        telemetry = Telemetry("browsergo-edge", "edge-1")
        own = SpanRecord("cdp.command Page.enable", b"t" * 16, b"s" * 8, b"", 10, 20, {"cdp.method": "Page.enable"})
        agents = SpanRecord("browser", b"t" * 16, b"b" * 8, b"s" * 8, 12, 18, {"browsergo.bytes": 7, "late": True})
        telemetry.record(own)
        telemetry.record_for(resource_of("browsergo-agent", "laptop", 99), [agents])
        telemetry.shutdown()
        by_name = {span.name: span for span in sink.spans()}
        assert b"Page.enable" in sink.raw()
    edge = Process("browsergo-edge", os.getpid())
    assert by_name == {
        own.name: CollectedSpan(own.name, own.trace_id, own.span_id, b"", 10, 20, edge, dict(own.attributes)),
        agents.name: CollectedSpan(
            agents.name, agents.trace_id, agents.span_id, agents.parent_id, 12, 18, Process("browsergo-agent", 99),
            dict(agents.attributes),
        ),
    }  # fmt: skip


def test_waiting_for_spans_raises_the_checks_own_complaint_at_the_deadline() -> None:
    def never(spans: list[CollectedSpan]) -> None:
        assert spans, "nothing came"

    with OtlpSink() as sink, pytest.raises(AssertionError, match="nothing came"):
        sink.wait_until(never, 0.05)


def test_leftovers_are_found_wherever_they_hide(tmp_path: Path) -> None:
    run, scratch = tmp_path / "data" / "run", tmp_path / "scratch"
    run.mkdir(parents=True)
    scratch.mkdir()
    (run / "lock").touch()
    assert leftovers("mark-of-nobody", tmp_path / "data", scratch) == []
    (run / "chrome-1").mkdir()
    (scratch / "profile").mkdir()
    environment = {**os.environ, "E2E_MARK": "mark-77aa"}
    with subprocess.Popen(SLEEPER, env=environment, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        found = leftovers("mark-77aa", tmp_path / "data", scratch)
        family = processes.descendants(os.getpid())
        identity = next(process for process in family if process.pid == child.pid)
        assert processes.is_alive(identity)
        child.kill()
    assert [line.split(":")[0] for line in found] == [str(child.pid), str(run / "chrome-1"), str(scratch / "profile")]
    assert not processes.is_alive(identity)


def test_ctrl_c_on_a_terminal_interrupts_the_program(tmp_path: Path) -> None:
    with Terminal(SLEEPER, tmp_path, os.environ) as terminal:
        terminal.wait_for("here", 10)
        terminal.press(CTRL_C)
        assert terminal.wait_ended(10) == -signal.SIGINT or "KeyboardInterrupt" in terminal.text


def test_a_terminal_that_ends_without_the_words_says_what_it_showed(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "print('something else')"]
    with Terminal(program, tmp_path, os.environ) as terminal, pytest.raises(AssertionError, match="something else"):
        terminal.wait_for("never", 10)
