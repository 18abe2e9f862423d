"""Commands, answers and events at the device end: once, in order, within bounds (design/delivery.md, "Rules")."""

import zlib

import pytest

from browsergo.core.channel import frames, payloads
from browsergo.core.channel.device_end import DeviceEffect, DeviceLimits, Dispatch, HangUp, Pause, Transmit
from browsergo.core.channel.frames import Flag, Frame, Kind
from browsergo.core.ids import Binding
from browsergo.core.tracing import NO_TRACE
from tests.unit.channel.ends import CHANNEL, OTHER, DeviceSide, answer, command, event, only, open_device, up


def test_a_command_is_recorded_before_it_is_dispatched() -> None:
    side, at = open_device()
    trace = b"t" * 24
    assert side.command(1, at, command(7), trace=trace) == [
        Transmit(1, Frame(Kind.CACK, edge=7, channel=CHANNEL, at=at, seq=1)),
        Dispatch(CHANNEL, command(7), trace),
    ]


def test_a_browser_that_takes_no_commands_holds_acknowledgements_back_until_it_does() -> None:
    side, at = open_device()
    assert side.end.browser_takes(CHANNEL, False) == []
    assert side.command(1, at, command(7)) == [Dispatch(CHANNEL, command(7), NO_TRACE)]
    assert side.command(2, at, command(8)) == [Dispatch(CHANNEL, command(8), NO_TRACE)]
    assert side.end.browser_takes(CHANNEL, False) == []
    [accepted] = up(side.end.browser_takes(CHANNEL, True), Kind.CACK)
    assert accepted.seq == 2
    assert side.end.browser_takes(CHANNEL, True) == []
    assert [frame.seq for frame in up(side.command(3, at), Kind.CACK)] == [3]
    assert side.end.browser_takes(OTHER, False) == []  # a channel that is over


def test_a_stalled_browsers_commands_are_executed_once_although_a_new_path_replays_them() -> None:
    side, at = open_device()
    side.end.browser_takes(CHANNEL, False)
    side.command(1, at)
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    assert up(side.resume(hello.at), Kind.CACK) == []
    assert side.command(1, hello.at) == []
    assert [frame.seq for frame in up(side.end.browser_takes(CHANNEL, True), Kind.CACK)] == [1]


def test_a_command_is_executed_once() -> None:
    side, at = open_device()
    side.command(1, at)
    assert side.command(1, at) == []
    assert side.end.duplicates == 1


def test_a_command_after_a_gap_is_not_executed() -> None:
    side, at = open_device()
    assert side.command(2, at) == []
    assert only(Dispatch, side.command(1, at))
    assert only(Dispatch, side.command(2, at))


PARTS = (command(8)[:9], command(8)[9:20], command(8)[20:])


def part(number: int, at: Binding, seq: int = 2) -> Frame:
    """One of the three pieces of a command."""
    flags = Flag.MORE if number < len(PARTS) - 1 else 0
    return Frame(Kind.CMD, flags, source=7, channel=CHANNEL, at=at, seq=seq, payload=PARTS[number], part=number)


@pytest.mark.parametrize("order", [(0,), (1,), (2,), (2, 1, 0), (0, 2), (1, 0, 2), (1, 2), (0, 1), (0, 0, 1)])
def test_of_a_command_whose_pieces_come_by_two_paths_only_the_whole_is_executed(order: tuple[int, ...]) -> None:
    side, at = open_device()
    assert side.end.frame(1, part(0, at), side.now) == []  # over a new path; what is before it comes late, over the old
    assert only(Dispatch, side.command(1, at))
    for number in order:
        assert side.end.frame(1, part(number, at), side.now) == []
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    side.resume(hello.at)
    effects = [effect for number in range(3) for effect in side.end.frame(1, part(number, hello.at), side.now)]
    assert [dispatch.payload for dispatch in only(Dispatch, effects)] == [command(8)]


def test_a_replayed_command_is_not_executed_again_under_its_new_binding() -> None:
    side, at = open_device()
    side.command(1, at)
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    side.resume(hello.at)
    assert side.command(1, hello.at) == []
    assert only(Dispatch, side.command(2, hello.at))


def test_an_answer_carries_the_trace_of_its_command_and_an_event_one_of_its_own() -> None:
    side, at = open_device()
    side.command(1, at, command(7), trace=b"t" * 24)
    [first] = up(side.says(event()), Kind.MSG)
    [second] = up(side.says(answer(7)), Kind.MSG)
    [third] = up(side.says(answer(7)), Kind.MSG)
    assert second.trace == b"t" * 24
    assert len({first.trace, second.trace, third.trace, NO_TRACE}) == 4
    assert (first.seq, second.seq, third.seq) == (1, 2, 3)
    assert first.stamp == 9_000


def test_what_the_browser_will_refuse_itself_is_dispatched_all_the_same() -> None:
    side, at = open_device()
    assert only(Dispatch, side.command(1, at, b"nonsense")) == [Dispatch(CHANNEL, b"nonsense", NO_TRACE)]


def test_resume_replays_from_what_was_received_and_forgets_what_was_consumed() -> None:
    side, at = open_device()
    for number in range(1, 6):
        side.says(event(no=number))
    side.command(1, at)
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    effects = side.resume(hello.at, consumed=2, received=3)
    assert [frame.seq for frame in up(effects, Kind.CACK)] == [1]
    assert [(frame.seq, frame.at) for frame in up(effects, Kind.MSG)] == [(4, hello.at), (5, hello.at)]


def test_messages_said_while_away_are_sent_after_resume() -> None:
    side, _ = open_device()
    side.link_lost(1)
    for number in range(3):
        assert side.says(event(no=number)) == []
    at = next(frame.at for frame in up(side.link_up(2), Kind.HELLO) if frame.edge == 7)
    assert [frame.seq for frame in up(side.resume(at, link=2), Kind.MSG)] == [1, 2, 3]


def test_messages_for_a_channel_that_is_no_more_are_dropped() -> None:
    side, _ = open_device()
    assert side.says(event(), OTHER) == []


# --- credit -----------------------------------------------------------------------------------------------------------


def test_1024_messages_may_be_unacknowledged() -> None:
    side, at = open_device()
    written = [frame for _ in range(1030) for frame in up(side.says(event()), Kind.MSG)]
    assert len(written) == 1024
    assert [frame.seq for frame in up(side.acknowledge(at, 3), Kind.MSG)] == [1025, 1026, 1027]
    assert up(side.acknowledge(at, 2), Kind.MSG) == []


def sizes(effects: list[DeviceEffect]) -> dict[int, int]:
    """Bytes written by number of message."""
    found: dict[int, int] = {}
    for frame in up(effects, Kind.MSG):
        found[frame.seq] = found.get(frame.seq, 0) + len(frame.payload)
    return found


def test_8_mib_may_be_unacknowledged() -> None:
    side, at = open_device()
    payload = event(pad="x" * (1 << 20))
    written = [seq for _ in range(10) for seq in sizes(side.says(payload))]
    assert written == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [*sizes(side.acknowledge(at, 1))] == [9]


def test_a_message_larger_than_the_window_passes_and_nothing_follows_until_it_is_acknowledged() -> None:
    side, at = open_device()
    large = event(pad="x" * (12 << 20))
    assert sizes(side.says(large)) == {1: len(large)}
    assert side.says(event()) == []
    assert sizes(side.acknowledge(at, 1)) == {2: len(event())}


def test_a_large_message_does_not_wait_for_acknowledgements_that_come_only_in_steps() -> None:
    side, _ = open_device()
    side.says(event())  # too little for the client end to acknowledge it by itself
    large = event(pad="x" * (12 << 20))
    assert sizes(side.says(large)) == {2: len(large)}


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_credit_and_bounds_count_what_a_compressed_message_is_at_the_client_end() -> None:
    limits = DeviceLimits(credit_bytes=2000, channel_bytes=3000, total_bytes=3000)
    side, at = open_device(limits)
    message = event(pad="x" * 1000)
    small = zlib.compress(message)
    said = [side.end.message(CHANNEL, message, side.now, 0, small) for _ in range(3)]
    written = [up(effects, Kind.MSG) for effects in said]
    assert [[frame.payload for frame in frames] for frames in written] == [[small], [small], []]
    assert {frame.flags for frames in written for frame in frames} == {Flag.COMPRESSED}
    assert only(Pause, said[2]) == [Pause(CHANNEL, True)]
    effects = side.acknowledge(at, 1)
    assert [frame.payload for frame in up(effects, Kind.MSG)] == [small]
    assert only(Pause, effects) == [Pause(CHANNEL, False)]


SMALL = DeviceLimits(credit_messages=1, channel_bytes=200, total_bytes=300)
FILLING = event(pad="x" * 200)


def test_a_full_channel_stops_reading_its_browser_and_goes_on_when_there_is_room() -> None:
    side, at = open_device(SMALL)
    assert only(Pause, side.says(event(pad="x" * 100))) == []
    assert only(Pause, side.says(event(pad="x" * 100))) == [Pause(CHANNEL, True)]
    assert only(Pause, side.says(event())) == []  # what was under way when it stopped
    assert only(Pause, side.acknowledge(at, 1)) == [Pause(CHANNEL, False)]


def test_a_channel_whose_client_acknowledges_nothing_for_25_s_is_slow() -> None:
    side, _ = open_device(SMALL)
    side.says(FILLING)
    assert side.pass_time(24.0) == []
    effects = side.pass_time(1.0)
    [closed] = up(effects, Kind.CLOSED)
    assert payloads.decode_ending(closed.payload).code == "SLOW_CONSUMER"
    assert effects[-1] == HangUp(CHANNEL)


def test_a_full_channel_whose_client_acknowledges_now_and_then_is_not_slow() -> None:
    side, at = open_device(SMALL)
    for _ in range(20):
        side.says(FILLING)
    for acknowledged in range(1, 10):
        assert side.pass_time(20.0) == []
        side.acknowledge(at, acknowledged)
    assert len(side.end) == 1


def test_a_full_channel_without_a_path_is_not_slow_but_away() -> None:
    side, _ = open_device(SMALL)
    side.says(FILLING)
    side.link_lost(1)
    assert side.pass_time(40.0) == []
    at = next(frame.at for frame in up(side.link_up(2), Kind.HELLO) if frame.edge == 7)
    side.resume(at, link=2)
    assert side.pass_time(24.0) == []
    assert len(up(side.pass_time(1.0), Kind.CLOSED)) == 1


def open_other(side: DeviceSide, channel: bytes = OTHER) -> None:
    side.ask_open("c2", channel=channel)
    at = up(side.dialed(channel), Kind.OPENED)[0].at
    side.receive(Kind.RESUME, channel=channel, at=at, payload=payloads.encode_resume(payloads.Resume(0)))


CROWD = DeviceLimits(credit_messages=1, channel_bytes=2000, total_bytes=3000)
THIRD = b"3" * 16
MUCH, LITTLE = event(pad="x" * 700), event(pad="x" * 60)


def crowded() -> tuple[DeviceSide, Binding]:
    """One channel has filled its own bound, and with it most of the total."""
    side, at = open_device(CROWD)
    open_other(side)
    open_other(side, THIRD)
    assert only(Pause, side.says(event(pad="x" * 2000))) == [Pause(CHANNEL, True)]
    return side, at


def test_the_total_bound_stops_those_who_hold_much_until_there_is_room() -> None:
    side, at = crowded()
    assert only(Pause, side.says(MUCH, OTHER)) == [Pause(OTHER, True)]
    assert only(Pause, side.acknowledge(at, 1)) == [Pause(CHANNEL, False), Pause(OTHER, False)]


def test_the_total_bound_does_not_stop_those_who_hold_little_although_others_take_nothing() -> None:
    side, _ = crowded()
    side.says(MUCH, OTHER)
    assert only(Pause, side.says(LITTLE, THIRD)) == []
    assert only(Pause, side.says(LITTLE, THIRD)) == [Pause(THIRD, True)]  # now it holds its share of the last eighth


def test_the_total_bound_holds_whatever_many_channels_say() -> None:
    side, _ = open_device(CROWD)
    channels = [bytes([number]) * 16 for number in range(1, 40)]
    for channel in channels:
        open_other(side, channel)
    speaking, said = [CHANNEL, *channels], 0
    while speaking:
        for channel in list(speaking):
            said += len(LITTLE)
            if Pause(channel, True) in side.says(LITTLE, channel):
                speaking.remove(channel)
    assert said <= CROWD.total_bytes + (len(channels) + 1) * len(LITTLE)


def test_the_total_bound_frees_the_others_when_the_one_that_filled_it_ends() -> None:
    side, _ = crowded()
    side.says(MUCH, OTHER)
    effects = side.receive(Kind.CLOSE, payload=payloads.encode_claim("c1"))
    assert effects == [HangUp(CHANNEL), Pause(OTHER, False)]


def test_a_channel_stopped_for_the_total_alone_is_not_slow() -> None:
    side, _ = crowded()
    side.says(MUCH, OTHER)
    effects = side.pass_time(25.0)
    assert [frame.channel for frame in up(effects, Kind.CLOSED)] == [CHANNEL]
    assert len(side.end) == 2
    assert only(Pause, effects) == [Pause(OTHER, False)]


# --- payloads in pieces, and compressed -------------------------------------------------------------------------------


def pieces(payload: bytes, seq: int, at: Binding) -> list[Frame]:
    return [*frames.chunked(Frame(Kind.CMD, source=7, channel=CHANNEL, at=at, seq=seq), payload)]


def test_a_command_in_pieces_is_recorded_and_dispatched_whole() -> None:
    side, at = open_device()
    payload = command(1, params={"a": "x" * (300 << 10)})
    effects = [side.end.frame(1, piece, side.now) for piece in pieces(payload, 1, at)]
    assert effects[:2] == [[], []]
    assert only(Dispatch, effects[2]) == [Dispatch(CHANNEL, payload, NO_TRACE)]


def test_a_path_change_within_a_command_discards_what_came_and_takes_the_replay_whole() -> None:
    side, at = open_device()
    payload = command(1, params={"a": "x" * (300 << 10)})
    for piece in pieces(payload, 1, at)[:2]:
        side.end.frame(1, piece, side.now)
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    assert payloads.decode_hello(hello.payload).named[CHANNEL].last == 0
    side.resume(hello.at)
    replayed = [side.end.frame(1, piece, side.now) for piece in pieces(payload, 1, hello.at)]
    assert only(Dispatch, replayed[-1]) == [Dispatch(CHANNEL, payload, NO_TRACE)]


def test_a_compressed_command_is_dispatched_as_it_was() -> None:
    side, at = open_device()
    effects = side.command(1, at, zlib.compress(command(1)), flags=Flag.COMPRESSED)
    assert only(Dispatch, effects) == [Dispatch(CHANNEL, command(1), NO_TRACE)]


@pytest.mark.parametrize("payload", [zlib.compress(b"x" * (1 << 20)), b"not zlib"])
def test_a_bad_payload_ends_its_channel_and_no_other(payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_MESSAGE_BYTES", 1 << 16)
    side, at = open_device()
    open_other(side)
    effects = side.command(1, at, payload, flags=Flag.COMPRESSED)
    assert only(Dispatch, effects) == []
    assert [frame.channel for frame in up(effects, Kind.CLOSED)] == [CHANNEL]
    assert len(side.end) == 1
