"""The checker of traces refuses everything that is not one whole tree per command."""

import pytest

from tests.e2e.trace_check import BrokenTrace, Caller, check_command_trees
from tests.fakes.otlp_sink import CollectedSpan, Process

PROCESSES = {
    "edge-1": Process("browsergo-edge", 11),
    "router-1": Process("browsergo-router", 12),
    "edge-2": Process("browsergo-edge", 13),
    "agent": Process("browsergo-agent", 14),
}
MS = 1_000_000


def span(
    name: str, number: int, process: str, times_ms: tuple[float, float], *, parent: int = 0, trace: int = 1
) -> CollectedSpan:
    """A span with small numbers for ids; parent 0 is none."""
    return CollectedSpan(
        name=name,
        trace_id=bytes(15) + bytes([trace]),
        span_id=bytes(7) + bytes([number]),
        parent_id=bytes(7) + bytes([parent]) if parent else b"",
        start_ns=int(times_ms[0] * MS),
        end_ns=int(times_ms[1] * MS),
        process=PROCESSES[process],
        attributes={},
    )


def tree(trace: int = 1, first: int = 1, parent: int = 0) -> list[CollectedSpan]:
    """A sound tree of five spans, numbered from `first`."""
    return [
        span("cdp.command Page.navigate", first, "edge-1", (100, 200), parent=parent, trace=trace),
        span("edge.queue", first + 1, "edge-1", (100, 101), parent=first, trace=trace),
        span("router.switch", first + 2, "router-1", (102, 103), parent=first, trace=trace),
        span("edge.link", first + 3, "edge-2", (104, 105), parent=first, trace=trace),
        span("browser", first + 4, "agent", (110, 190), parent=first + 3, trace=trace),
    ]


def check(spans: list[CollectedSpan], commands: int = 1, caller: Caller | None = None) -> None:
    """Check as if `commands` times Page.navigate had been sent."""
    check_command_trees(spans, ["Page.navigate"] * commands, PROCESSES, caller)


def test_whole_trees_pass_whatever_else_arrived() -> None:
    registration = span("Register", 90, "edge-1", (1, 2), trace=9)
    check([*tree(), registration, *tree(trace=2, first=20)], commands=2)


def test_commands_of_a_caller_share_its_trace_and_hang_on_its_span() -> None:
    caller = Caller(bytes(15) + b"\x01", bytes(7) + b"\x63")
    both = [
        *tree(parent=99),
        *tree(first=20, parent=99),
        span("cdp.event Page.loadEventFired", 60, "agent", (300, 301), parent=99),
    ]
    check(both, commands=2, caller=caller)
    with pytest.raises(BrokenTrace, match="not the caller's"):
        check(tree(), caller=caller)


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_process_without_spans_is_named(name: str) -> None:
    others = [one if one.process != PROCESSES[name] else one._replace(process=Process("other", 1)) for one in tree()]
    with pytest.raises(BrokenTrace, match=rf"{PROCESSES[name].service} \({name}, pid {PROCESSES[name].pid}\)"):
        check(others)


def test_a_command_without_a_root_span_is_refused() -> None:
    with pytest.raises(BrokenTrace, match="without a root span"):
        check(tree(), commands=2)


def test_a_second_root_span_for_a_command_is_refused() -> None:
    with pytest.raises(BrokenTrace, match="without a command"):
        check([*tree(), *tree(trace=2, first=20)])


def test_two_commands_in_one_trace_are_refused() -> None:
    with pytest.raises(BrokenTrace, match="more than one command"):
        check([*tree(), *tree(first=20)], commands=2)


def test_a_span_whose_parent_is_missing_is_refused() -> None:
    with pytest.raises(BrokenTrace, match="is not in its trace"):
        check([*tree(), span("edge.link", 50, "edge-2", (120, 130), parent=77)])


def test_a_parent_in_another_trace_is_no_parent() -> None:
    with pytest.raises(BrokenTrace, match="is not in its trace"):
        check([*tree(), *tree(trace=2, first=20), span("edge.link", 50, "edge-2", (120, 130), parent=20)], commands=2)


def test_parents_in_a_circle_are_refused() -> None:
    with pytest.raises(BrokenTrace, match="circle"):
        check([*tree(), span("a", 50, "edge-2", (120, 130), parent=51), span("b", 51, "edge-2", (120, 130), parent=50)])


def test_a_second_top_that_is_no_event_is_refused() -> None:
    with pytest.raises(BrokenTrace, match="no command and no event"):
        check([*tree(), span("browser", 50, "agent", (120, 130))])


def test_the_same_span_twice_is_refused() -> None:
    with pytest.raises(BrokenTrace, match="same id"):
        check([*tree(), tree()[1]])


@pytest.mark.parametrize(("start_ms", "end_ms"), [(94, 120), (120, 206), (130, 120)])
def test_times_outside_the_command_are_refused(start_ms: float, end_ms: float) -> None:
    with pytest.raises(BrokenTrace, match=r"outside|ends before"):
        check([*tree(), span("edge.link", 50, "edge-2", (start_ms, end_ms), parent=1)])


def test_a_few_milliseconds_of_clock_are_forgiven() -> None:
    check([*tree(), span("edge.link", 50, "edge-2", (96, 204), parent=1)])
