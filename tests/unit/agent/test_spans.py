"""What the agent tells of each message: once, in bounds, and nothing while it is not asked to."""

import pytest

from browsergo.agent import spans
from browsergo.agent.spans import PER_FRAME, SpanRecorder
from browsergo.core import semconv
from browsergo.core.channel.frames import Flag, Frame, Kind
from browsergo.core.tracing import SpanRecord, decode_records

CHANNEL = b"c" * 16
OTHER = b"d" * 16


def trace(number: int) -> bytes:
    return b"t" * 16 + number.to_bytes(8)


def message(seq: int, number: int, channel: bytes = CHANNEL, stamp: int = 30, flags: int = 0) -> Frame:
    return Frame(Kind.MSG, flags, channel=channel, seq=seq, trace=trace(number), stamp=stamp)


def recorder() -> SpanRecorder:
    made = SpanRecorder("laptop")
    made.enabled = True
    return made


def taken(made: SpanRecorder) -> list[SpanRecord]:
    records = []
    while (payload := made.take()) is not None:
        records += decode_records(payload)
    return records


def test_a_command_and_its_answer_are_three_spans_below_the_commands_own() -> None:
    made = recorder()
    made.dispatched(CHANNEL, trace(1), arrived_ns=10, written_ns=20)
    made.sent_up(message(1, 1), now_ns=40)
    records = taken(made)
    assert [(record.name, record.start_ns, record.end_ns) for record in records] == [
        (semconv.SPAN_AGENT_DISPATCH, 10, 20),
        (semconv.SPAN_BROWSER, 20, 30),
        (semconv.SPAN_AGENT_ANSWER, 30, 40),
    ]
    assert {record.parent_id for record in records} == {trace(1)[16:]}
    assert {record.trace_id for record in records} == {trace(1)[:16]}
    assert len({record.span_id for record in records}) == 3
    for record in records:
        assert record.attributes[semconv.ATTR_DEVICE] == "laptop"
        assert record.attributes[semconv.ATTR_CHANNEL] == CHANNEL.hex()


def test_an_event_is_the_root_of_a_trace_of_its_own() -> None:
    made = recorder()
    made.sent_up(message(1, 5), now_ns=40)
    [record] = taken(made)
    assert record == SpanRecord(semconv.SPAN_EVENT, trace(5)[:16], trace(5)[16:], b"", 30, 40, record.attributes)


def test_a_message_that_is_replayed_on_a_new_path_has_its_spans_already() -> None:
    made = recorder()
    made.dispatched(CHANNEL, trace(1), 10, 20)
    made.sent_up(message(1, 1), 40)
    made.sent_up(message(2, 2), 41)
    first = taken(made)
    made.sent_up(message(1, 1), 50)
    made.sent_up(message(2, 2), 51)
    assert taken(made) == []
    made.sent_up(message(3, 3), 52)
    made.sent_up(message(1, 1, channel=OTHER), 53)
    assert len(taken(made)) == 2
    assert len(first) == 4


def test_a_channel_that_is_over_is_forgotten() -> None:
    made = recorder()
    made.sent_up(message(1, 1), 40)
    made.forget(CHANNEL)
    made.forget(OTHER)
    made.sent_up(message(1, 2), 41)
    assert len(taken(made)) == 2


def test_a_message_in_pieces_counts_with_its_last_piece() -> None:
    made = recorder()
    made.sent_up(message(1, 1, flags=Flag.MORE), 40)
    assert taken(made) == []
    made.sent_up(message(1, 1), 41)
    assert [record.end_ns for record in taken(made)] == [41]


def test_other_frames_are_nothing_to_tell() -> None:
    made = recorder()
    made.sent_up(message(1, 1)._replace(kind=Kind.CACK), 40)
    assert taken(made) == []


def test_nothing_is_recorded_unless_the_edge_asked_for_it() -> None:
    made = SpanRecorder("laptop")
    made.dispatched(CHANNEL, trace(1), 10, 20)
    made.sent_up(message(1, 1), 40)
    assert made.take() is None


def test_reports_come_in_frames_of_a_bounded_size() -> None:
    made = recorder()
    for number in range(PER_FRAME + 1):
        made.sent_up(message(number + 1, number), 40)
    sizes = []
    while (payload := made.take()) is not None:
        sizes.append(len(decode_records(payload)))
    assert sizes == [PER_FRAME, 1]


def test_the_oldest_records_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MAX_HELD", 3)
    made = recorder()
    for number in range(1, 6):
        made.sent_up(message(number, number), now_ns=100 + number)
    assert [record.end_ns for record in taken(made)] == [103, 104, 105]


def test_commands_that_are_never_answered_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MAX_UNANSWERED", 2)
    made = recorder()
    for number in range(1, 4):
        made.dispatched(CHANNEL, trace(number), 10, 20)
    taken(made)
    made.sent_up(message(1, 3), 40)
    assert [record.name for record in taken(made)] == [semconv.SPAN_BROWSER, semconv.SPAN_AGENT_ANSWER]
    made.sent_up(message(2, 1), 41)
    assert [record.name for record in taken(made)] == [semconv.SPAN_EVENT]
