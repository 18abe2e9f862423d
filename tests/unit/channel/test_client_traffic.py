"""Commands, answers and events at the client end: order, bounds, credit and refusals (design/delivery.md, "Rules")."""

import json
import zlib

import pytest

from browsergo.core import errors
from browsergo.core.channel import frames
from browsergo.core.channel.client_state import ClientLimits, Deliver, Effect, Finished, Hold, Send
from browsergo.core.channel.frames import Flag, Frame, Kind
from browsergo.core.ids import Binding
from browsergo.core.tracing import Traceparent
from tests.unit.channel.ends import (
    CHANNEL,
    DEVICE_EDGE,
    FIRST,
    LINK,
    PATH,
    ROUTER,
    ClientSide,
    answer,
    command,
    end_of,
    event,
    fates,
    only,
    open_client,
    sent,
    told,
)


def test_commands_are_written_in_order_with_consecutive_numbers_and_untouched_bytes() -> None:
    side = open_client()
    payloads = [b' {"method" : "Page.run","id":%d } ' % number for number in (5, 3, 9)]
    written = [send for payload in payloads for send in only(Send, side.command(payload))]
    assert [send.path for send in written] == [PATH] * 3
    assert [(send.frame.kind, send.frame.seq, send.frame.payload) for send in written] == [
        (Kind.CMD, number, payload) for number, payload in enumerate(payloads, 1)
    ]


def test_each_command_has_a_trace_of_its_own_and_its_span_ends_with_the_answer() -> None:
    side = open_client()
    traces = [sent(side.command(command(number)), Kind.CMD)[0].trace for number in (1, 2)]
    assert traces[0][:16] != traces[1][:16]
    [finished] = only(Finished, side.message(1, answer(2)))
    record = finished.record
    assert (record.trace_id, record.span_id, record.parent_id) == (traces[1][:16], traces[1][16:], b"")
    assert (record.name, record.start_ns, record.end_ns, record.error) == ("cdp.command Page.run", 1_000, 5_000, None)


def test_a_callers_trace_is_continued() -> None:
    side = ClientSide()
    side.open(caller=Traceparent(b"t" * 16, b"s" * 8, sampled=True))
    side.opened()
    assert sent(side.command(command(1)), Kind.CMD)[0].trace[:16] == b"t" * 16
    [finished] = only(Finished, side.message(1, answer(1)))
    assert finished.record.parent_id == b"s" * 8


def test_a_method_that_is_not_spelled_like_one_is_not_traced() -> None:
    side = open_client()
    side.command(command(1, "token=secret"))
    assert only(Finished, side.message(1, answer(1)))[0].record.name == "cdp.command other"


def test_messages_reach_the_client_once_and_in_order() -> None:
    side = open_client()
    side.command(command(1))
    messages = [event(no=1), answer(1), event(no=2)]
    effects = [effect for seq, message in enumerate(messages, 1) for effect in side.message(seq, message)]
    assert only(Deliver, effects) == [Deliver(CHANNEL, message) for message in messages]
    assert [effect for seq, message in enumerate(messages, 1) for effect in side.message(seq, message)] == []


def test_a_gap_closes_the_channel_loudly() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.message(2, event())
    assert fates(effects) == [(1, "unknown")]
    assert end_of(effects) == "BAD_FRAME"


def test_a_gap_on_a_path_that_is_lost_is_left_to_the_replay() -> None:
    side = open_client()
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    assert side.message(2, event(no=2)) == []
    [resume] = sent(side.hello(Binding(1, 2), side.named()), Kind.RESUME)
    assert json.loads(resume.payload) == {"received": 0}
    assert side.message(1, event(no=1), Binding(1, 2)) == [Deliver(CHANNEL, event(no=1))]


def part(side: ClientSide, number: int, at: Binding = FIRST) -> list[Effect]:
    """One of the three pieces of an answer, as message 1."""
    whole = answer(1, text="x" * 20)
    pieces = (whole[:15], whole[15:20], whole[20:])
    return side.message(1, pieces[number], at, flags=Flag.MORE if number < 2 else 0, part=number)


@pytest.mark.parametrize("order", [(1,), (2,), (0, 2), (1, 2), (1, 0, 2), (0, 1, 1), (0, 0, 1)])
def test_an_answer_that_lost_a_piece_with_its_path_is_told_when_it_comes_whole(order: tuple[int, ...]) -> None:
    side = open_client()
    side.command(command(1))
    side.ends.router_lost(ROUTER, side.now)  # the same one is back before the device's edge hears of it
    assert [part(side, number) for number in order] == [[]] * len(order)
    side.hello(Binding(1, 2), side.named(last=1))
    assert [part(side, number, Binding(1, 2)) for number in (0, 1)] == [[], []]
    assert told(part(side, 2, Binding(1, 2))) == [{"id": 1, "result": {"text": "x" * 20}}]


def test_a_piece_that_is_missing_on_a_path_that_lives_closes_the_channel_loudly() -> None:
    side = open_client()
    side.command(command(1))
    assert part(side, 0) == []
    effects = part(side, 2)
    assert (fates(effects), end_of(effects)) == ([(1, "unknown")], "BAD_FRAME")


def test_an_answer_nobody_waits_for_is_dropped_counted_and_credited() -> None:
    side = open_client(ClientLimits(ack_messages=2))
    side.command(command(1))
    side.message(1, answer(1))
    effects = side.message(2, answer(1))
    assert only(Deliver, effects) == []
    assert [ack.seq for ack in sent(effects, Kind.ACK)] == [2]
    assert side.ends.late_answers == 1


def test_an_id_in_flight_is_refused_and_free_again_after_its_answer() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.command(command(1, sessionId="S"))
    assert sent(effects, Kind.CMD) == []
    [refusal] = told(effects)
    assert (refusal["id"], refusal["sessionId"]) == (1, "S")
    side.message(1, answer(1))
    assert [frame.seq for frame in sent(side.command(command(1)), Kind.CMD)] == [2]


@pytest.mark.parametrize("method", ["Browser.crash", "Browser.crashGpuProcess"])
def test_nobody_crashes_a_shared_browser(method: str) -> None:
    side = open_client()
    effects = side.command(command(1, method))
    assert sent(effects, Kind.CMD) == []
    assert told(effects)[0]["id"] == 1


def test_what_chrome_would_answer_oddly_is_answered_here_and_the_channel_lives_on() -> None:
    side = open_client()
    effects = side.command(b"nonsense")
    assert told(effects) == [{"error": {"code": -32700, "message": "JSON: invalid input at position 0"}}]
    assert [frame.seq for frame in sent(side.command(command(1)), Kind.CMD)] == [1]


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_a_client_is_held_at_256_unrecorded_commands_and_released_when_they_are_recorded() -> None:
    side = open_client()
    effects = [effect for number in range(256) for effect in side.command(command(number))]
    assert only(Hold, effects) == [Hold(CHANNEL, True)]
    assert only(Hold, effects) == [effects[-1]]
    assert side.recorded(0) == []
    assert side.recorded(1) == [Hold(CHANNEL, False)]


def test_a_client_is_held_at_4_mib_of_unrecorded_commands() -> None:
    side = open_client()
    assert only(Hold, side.command(command(1, params={"a": "x" * (2 << 20)}))) == []
    assert only(Hold, side.command(command(2, params={"a": "x" * (2 << 20)}))) == [Hold(CHANNEL, True)]
    assert side.recorded(1) == [Hold(CHANNEL, False)]


def test_one_command_larger_than_the_bound_passes() -> None:
    side = open_client()
    payload = command(1, params={"a": "x" * (5 << 20)})
    effects = side.command(payload)
    assert b"".join(frame.payload for frame in sent(effects, Kind.CMD)) == payload
    assert only(Hold, effects) == [Hold(CHANNEL, True)]
    assert side.recorded(1) == [Hold(CHANNEL, False)]


def test_a_client_is_held_while_too_many_commands_are_unanswered() -> None:
    side = open_client(ClientLimits(pending_commands=2))
    side.command(command(1))
    assert only(Hold, side.command(command(2))) == [Hold(CHANNEL, True)]
    assert side.recorded(2) == []
    assert only(Hold, side.message(1, answer(2))) == [Hold(CHANNEL, False)]


def test_commands_without_an_answer_are_counted_until_they_have_one_or_their_client_leaves() -> None:
    side = open_client()
    side.command(command(1))
    side.command(command(2))
    side.command(command(2))  # refused: the id is in flight
    side.command(b"nonsense")
    assert side.ends.pending_commands == 2
    side.message(1, answer(1))
    assert side.ends.pending_commands == 1
    side.ends.client_gone(CHANNEL)
    assert side.ends.pending_commands == 0


def test_commands_are_bounded_while_the_device_is_away_too() -> None:
    side = open_client(ClientLimits(unaccepted_commands=2))
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    side.command(command(1))
    assert side.command(command(2)) == [Hold(CHANNEL, True)]
    assert only(Hold, side.hello(Binding(1, 2), side.named())) == []
    assert side.recorded(2, Binding(1, 2)) == [Hold(CHANNEL, False)]


def test_messages_wait_for_a_client_that_does_not_take_them_and_are_not_acknowledged() -> None:
    side = open_client(ClientLimits(ack_messages=1))
    side.ends.writable(CHANNEL, False)
    assert [*side.message(1, event(no=1)), *side.message(2, event(no=2))] == []
    effects = side.ends.writable(CHANNEL, True)
    assert [effect.payload for effect in only(Deliver, effects)] == [event(no=1), event(no=2)]
    assert [ack.seq for ack in sent(effects, Kind.ACK)] == [2]


def test_messages_are_acknowledged_each_128() -> None:
    side = open_client()
    acks = [ack for seq in range(1, 301) for ack in sent(side.message(seq, event()), Kind.ACK)]
    assert [(ack.seq, ack.at, ack.edge, ack.link) for ack in acks] == [
        (128, Binding(1, 1), DEVICE_EDGE, LINK),
        (256, Binding(1, 1), DEVICE_EDGE, LINK),
    ]


def test_messages_are_acknowledged_each_mib() -> None:
    side = open_client()
    acks = [ack for seq in range(1, 6) for ack in sent(side.message(seq, event(pad="x" * (600 << 10))), Kind.ACK)]
    assert [ack.seq for ack in acks] == [2, 4]


def test_while_the_path_is_lost_no_credit_is_given_and_resume_gives_it_all() -> None:
    side = open_client(ClientLimits(ack_messages=1))
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    assert sent(side.message(1, event()), Kind.ACK) == []
    assert sent(side.hello(Binding(1, 2), side.named()), Kind.RESUME)[0].seq == 1


def test_refusals_wait_their_turn_and_a_client_that_takes_none_is_held() -> None:
    side = open_client(ClientLimits(waiting_messages=3))
    side.ends.writable(CHANNEL, False)
    side.message(1, event())
    assert side.command(b"{") == []
    assert side.command(b"{") == [Hold(CHANNEL, True)]
    effects = side.ends.writable(CHANNEL, True)
    assert [message.get("method", "refusal") for message in told(effects)] == ["Page.event", "refusal", "refusal"]
    assert effects[-1] == Hold(CHANNEL, False)


# --- payloads in pieces, and compressed -----------------------------------------------------------------------------


def pieces(payload: bytes, seq: int, at: Binding = FIRST) -> list[Frame]:
    return [*frames.chunked(Frame(Kind.MSG, channel=CHANNEL, at=at, seq=seq), payload)]


def delivered(effects: list[Effect]) -> list[bytes]:
    return [bytes(effect.payload) for effect in only(Deliver, effects)]


def test_a_message_in_pieces_is_delivered_whole() -> None:
    side = open_client()
    payload = event(pad="x" * (300 << 10))
    parts = pieces(payload, 1)
    assert len(parts) == 3
    effects = [side.ends.frame("router-1", part, side.now, 0) for part in parts]
    assert effects[:2] == [[], []]
    assert delivered(effects[2]) == [payload]


def test_a_path_change_within_a_message_discards_what_came_and_takes_the_replay_whole() -> None:
    side = open_client()
    payload = event(pad="y" * (300 << 10))
    for part in pieces(payload, 1)[:2]:
        side.ends.frame("router-1", part, side.now, 0)
    [resume] = sent(side.hello(Binding(1, 2), side.named()), Kind.RESUME)
    assert json.loads(resume.payload) == {"received": 0}
    assert side.ends.frame("router-1", pieces(payload, 1)[2], side.now, 0) == []  # of the old path
    replayed = [side.ends.frame("router-1", part, side.now, 0) for part in pieces(payload, 1, Binding(1, 2))]
    assert delivered(replayed[-1]) == [payload]


def test_a_large_command_is_replayed_whole() -> None:
    side = open_client()
    payload = command(1, params={"a": "z" * (300 << 10)})
    assert len(sent(side.command(payload), Kind.CMD)) == 3
    replayed = sent(side.hello(Binding(1, 2), side.named()), Kind.CMD)
    assert b"".join(frame.payload for frame in replayed) == payload
    assert [frame.flags for frame in replayed] == [Flag.MORE, Flag.MORE, 0]


def test_a_compressed_message_is_delivered_as_it_was() -> None:
    side = open_client()
    payload = event(pad="x" * 10_000)
    effects = side.message(1, zlib.compress(payload), flags=Flag.COMPRESSED)
    assert only(Deliver, effects) == [Deliver(CHANNEL, payload)]


def test_a_bomb_ends_its_channel_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_MESSAGE_BYTES", 1 << 16)
    side = open_client()
    side.command(command(1))
    effects = side.message(1, zlib.compress(b"x" * (1 << 20)), flags=Flag.COMPRESSED)
    assert fates(effects) == [(1, "unknown")]
    assert end_of(effects) == "MESSAGE_TOO_BIG"


@pytest.mark.parametrize("payload", [b"", b"not zlib", zlib.compress(b"cut off" * 99)[:-4]])
def test_a_broken_payload_ends_its_channel(payload: bytes) -> None:
    side = open_client()
    assert end_of(side.message(1, payload, flags=Flag.COMPRESSED)) == "BAD_FRAME"


# --- ends -------------------------------------------------------------------------------------------------------------


def attached(session: str, parent: str | None = None) -> bytes:
    tail = {} if parent is None else {"sessionId": parent}
    body = {"method": "Target.attachedToTarget", "params": {"sessionId": session, "targetInfo": {}}, **tail}
    return json.dumps(body, separators=(",", ":")).encode()


def test_the_end_is_told_in_order_errors_then_detached_sessions_then_close() -> None:
    side = open_client()
    side.message(1, attached("A"))
    side.message(2, attached("B", "A"))
    side.command(command(9))
    side.command(command(4, sessionId="A"))
    effects = side.ends.end(CHANNEL, errors.Draining())
    messages = told(effects)
    assert [(m.get("id"), m.get("sessionId")) for m in messages[:2]] == [(9, None), (4, "A")]
    assert messages[2:] == [
        {"method": "Target.detachedFromTarget", "params": {"sessionId": "B"}, "sessionId": "A"},
        {"method": "Target.detachedFromTarget", "params": {"sessionId": "A"}},
    ]
    assert end_of(effects) == "DRAINING"
    assert len(sent(effects, Kind.CLOSE)) == 1
    assert side.message(3, answer(9)) == []


def test_a_session_that_left_before_the_end_is_not_detached_again() -> None:
    side = open_client()
    side.message(1, attached("A"))
    side.message(2, attached("A").replace(b"attachedToTarget", b"detachedFromTarget"))
    assert told(side.ends.end(CHANNEL, errors.Draining())) == []


def test_sessions_are_remembered_up_to_a_bound() -> None:
    side = open_client(ClientLimits(remembered_sessions=1))
    side.message(1, attached("A"))
    assert told(side.message(2, attached("B")))
    assert len(told(side.ends.end(CHANNEL, errors.Draining()))) == 1


def test_a_page_endpoint_ends_with_inspector_detached() -> None:
    side = open_client(endpoint="/devtools/page/X")
    assert told(side.ends.end(CHANNEL, errors.DeviceLost())) == [
        {"method": "Inspector.detached", "params": {"reason": "DEVICE_LOST"}}
    ]


@pytest.mark.parametrize(("session", "last_words"), [("", 0), (',"sessionId":"CHILD"', 1)])
def test_what_chrome_has_said_of_its_page_is_not_said_again(session: str, last_words: int) -> None:
    side = open_client(endpoint="/devtools/page/X")
    gone = f'{{"method":"Inspector.detached","params":{{"reason":"target_closed"}}{session}}}'.encode()
    assert told(side.message(1, gone)) == [json.loads(gone)]
    assert len(told(side.ends.end(CHANNEL, errors.DeviceGone()))) == last_words


def test_what_waits_for_a_slow_client_comes_before_the_errors() -> None:
    side = open_client()
    side.command(command(1))
    side.command(command(2))
    side.ends.writable(CHANNEL, False)
    side.message(1, answer(1))
    messages = told(side.ends.end(CHANNEL, errors.Draining()))
    assert [message["id"] for message in messages] == [1, 2]
    assert "result" in messages[0]
    assert "error" in messages[1]


def test_executed_no_is_said_only_of_what_was_never_written() -> None:
    side = open_client()
    side.command(command(1))
    side.command(command(2))  # written, never recorded
    side.recorded(1)
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    side.command(command(3))
    effects = side.ends.end(CHANNEL, errors.DeviceLost())
    assert fates(effects) == [(1, "unknown"), (2, "unknown"), (3, "no")]
    details = [str(message["error"]["data"]) for message in told(effects)]  # type: ignore[index]
    assert details[2].startswith("reason=DEVICE_LOST executed=no retry=safe device=dev trace=")
    assert [finished.record.error for finished in only(Finished, effects)] == ["DEVICE_LOST"] * 3


def test_an_error_without_an_id_ends_the_channel_with_4502() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.message(1, b'{"error":{"code":-32700,"message":"JSON: value expected"}}')
    assert fates(effects) == [(1, "unknown")]
    assert end_of(effects) == "BAD_MESSAGE"
    assert errors.BadMessage.close_code == 4502


def test_browser_close_ends_only_this_channel_with_an_answer_to_everything() -> None:
    side = open_client()
    side.command(command(1))
    side.command(command(2))
    side.ends.writable(CHANNEL, False)
    side.message(1, answer(1))
    effects = side.command(command(3, "Browser.close", sessionId="S"))
    messages = told(effects)
    assert [message["id"] for message in messages] == [1, 2, 3]
    assert messages[-1] == {"id": 3, "result": {}, "sessionId": "S"}
    assert fates(effects) == [(2, "unknown")]
    assert sent(effects, Kind.CMD) == []
    assert len(sent(effects, Kind.CLOSE)) == 1
    assert end_of(effects) == "1000"
    assert len(side.ends) == 0


def test_browser_close_is_recognised_however_it_is_spelled() -> None:
    side = open_client()
    assert end_of(side.command(b'{"m\\u0065thod":"Browser.\\u0063lose","id":1}')) == "1000"


def test_a_channel_that_is_no_more_takes_nothing() -> None:
    side = open_client()
    side.ends.client_gone(CHANNEL)
    assert side.command(command(1)) == []
    assert side.ends.writable(CHANNEL, True) == []
    assert side.ends.end(CHANNEL, errors.Draining()) == []
    assert side.recorded(1) == []
