"""Is what arrived at the collector one whole tree for each command? A checker that raises, and is tested itself."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from browsergo.core import semconv
from tests.fakes.otlp_sink import CollectedSpan, Process

LEAST_PROCESSES = 4
CLOCK_TOLERANCE_NS = 5_000_000
COMMAND_PREFIX = semconv.SPAN_COMMAND + " "


class BrokenTrace(AssertionError):
    """What is wrong with which trace."""


class Caller(NamedTuple):
    """The trace context that a client brought along: the parent of its commands."""

    trace_id: bytes
    span_id: bytes


def traceparent(caller: Caller) -> str:
    """The header that says so (W3C Trace Context, sampled)."""
    return f"00-{caller.trace_id.hex()}-{caller.span_id.hex()}-01"


def check_command_trees(
    spans: Sequence[CollectedSpan],
    methods: Iterable[str],
    processes: Mapping[str, Process],
    caller: Caller | None = None,
) -> None:
    """Every command of `methods` has one root, and below it a sound tree with spans of all `processes`.

    `processes` maps a name for messages ("router-1") to who it is. Raises BrokenTrace at the first fault.
    """
    roots = [span for span in spans if span.name.startswith(COMMAND_PREFIX)]
    _check_one_root_per_command(roots, methods)
    _check_trace_ids(roots, caller)
    traces = {root.trace_id for root in roots}
    by_id = _by_id([span for span in spans if span.trace_id in traces])
    trees: dict[bytes, list[CollectedSpan]] = {root.span_id: [] for root in roots}
    for span in by_id.values():
        top = _top_of(span, by_id, caller)
        if top.span_id in trees:
            trees[top.span_id].append(span)
        elif not top.name.startswith(semconv.SPAN_EVENT):
            raise BrokenTrace(f"{_named(top)} is at the top of its trace but is no command and no event")
    for root in roots:
        _check_tree(root, trees[root.span_id], processes)


def _check_one_root_per_command(roots: Sequence[CollectedSpan], methods: Iterable[str]) -> None:
    expected = Counter(methods)
    found = Counter(root.name.removeprefix(COMMAND_PREFIX) for root in roots)
    if found != expected:
        raise BrokenTrace(
            f"commands without a root span: {expected - found}; root spans without a command: {found - expected}"
        )


def _check_trace_ids(roots: Sequence[CollectedSpan], caller: Caller | None) -> None:
    if caller is None:
        shared = [trace for trace, count in Counter(root.trace_id for root in roots).items() if count > 1]
        if shared:
            raise BrokenTrace(f"{len(shared)} traces hold more than one command")
    for root in roots:
        parent = Caller(root.trace_id, b"") if caller is None else caller
        if (root.trace_id, root.parent_id) != parent:
            raise BrokenTrace(f"{_named(root)} has the parent {root.parent_id.hex() or 'none'}, not the caller's")


def _by_id(spans: Collection[CollectedSpan]) -> dict[bytes, CollectedSpan]:
    by_id = {span.span_id: span for span in spans}
    if len(by_id) != len(spans):
        raise BrokenTrace("two spans have the same id")
    return by_id


def _top_of(span: CollectedSpan, by_id: Mapping[bytes, CollectedSpan], caller: Caller | None) -> CollectedSpan:
    start, steps = span, 0
    while span.parent_id and not (caller and span.parent_id == caller.span_id):
        parent = by_id.get(span.parent_id)
        if parent is None or parent.trace_id != span.trace_id:
            raise BrokenTrace(
                f"{_named(start)}: the parent {span.parent_id.hex()} of {_named(span)} is not in its trace"
            )
        span, steps = parent, steps + 1
        if steps > len(by_id):
            raise BrokenTrace(f"{_named(start)}: its parents go in a circle")
    return span


def _check_tree(root: CollectedSpan, tree: Sequence[CollectedSpan], processes: Mapping[str, Process]) -> None:
    seen = {span.process for span in tree}
    missing = [
        f"{process.service} ({name}, pid {process.pid})" for name, process in processes.items() if process not in seen
    ]
    if missing:
        raise BrokenTrace(f"{_named(root)} has no span of {', '.join(missing)}")
    if len(seen) < LEAST_PROCESSES:
        raise BrokenTrace(f"{_named(root)} has spans of {len(seen)} processes only: {sorted(seen)}")
    for span in tree:
        if span.end_ns < span.start_ns:
            raise BrokenTrace(f"{_named(span)} ends before it starts")
        early, late = root.start_ns - span.start_ns, span.end_ns - root.end_ns
        if max(early, late) > CLOCK_TOLERANCE_NS:
            raise BrokenTrace(f"{_named(span)} is {max(early, late) / 1e6:.1f} ms outside {_named(root)}")


def _named(span: CollectedSpan) -> str:
    return f"{span.name!r} of {span.process.service} ({span.trace_id.hex()[:8]}/{span.span_id.hex()})"
