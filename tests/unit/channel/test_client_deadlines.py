"""A command's deadline: DEADLINE once, truthful, the channel kept, and nothing of it taken for another command's."""

import json
from dataclasses import replace

import pytest

from browsergo.core import errors
from browsergo.core.channel.client_state import ClientLimits, Effect, Finished, Hold
from browsergo.core.channel.frames import Kind
from browsergo.core.ids import Binding
from tests.unit.channel.ends import (
    CHANNEL,
    DEVICE_EDGE,
    LINK,
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

DEADLINE_S = 5.0
AGAIN = Binding(1, 2)


HASTY = ClientLimits(command_deadline_s=DEADLINE_S)


def hasty(limits: ClientLimits = HASTY) -> ClientSide:
    return open_client(limits)


def lose(side: ClientSide) -> None:
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)


def numbers(effects: list[Effect]) -> list[tuple[int, bytes]]:
    return [(frame.seq, frame.payload) for frame in sent(effects, Kind.CMD)]


def test_without_a_deadline_a_command_is_waited_for() -> None:
    side = open_client()
    side.command(command(1))
    assert side.ends.next_deadline() is None


def test_a_command_that_is_answered_in_time_is_not_answered_again() -> None:
    side = hasty()
    side.command(command(1))
    assert side.ends.next_deadline() == side.now + DEADLINE_S
    side.message(1, answer(1))
    assert side.pass_time(DEADLINE_S) == []
    assert side.ends.next_deadline() is None


def test_the_browsers_silence_is_told_once_and_the_channel_goes_on() -> None:
    side = hasty()
    side.command(command(1, sessionId="S"))
    side.now += 1
    side.command(command(2))
    assert side.pass_time(DEADLINE_S - 1.1) == []
    effects = side.pass_time(0.1)
    assert fates(effects) == [(1, "unknown")]
    [refusal] = told(effects)
    assert refusal["sessionId"] == "S"
    assert "reason=DEADLINE" in str(refusal["error"])
    assert [span.record.error for span in only(Finished, effects)] == ["DEADLINE"]
    assert side.ends.pending_commands == 1
    assert told(side.message(1, answer(2))) == [json.loads(answer(2))]
    assert side.pass_time(10 * DEADLINE_S) == []


def test_a_late_answer_is_dropped_counted_and_credited_and_frees_the_id() -> None:
    side = hasty(replace(HASTY, ack_messages=1))
    side.command(command(1))
    side.pass_time(DEADLINE_S)
    [refusal] = told(side.command(command(1)))
    assert "this id is already in flight" in str(refusal["error"])
    effects = side.message(1, answer(1))
    assert told(effects) == []
    assert [ack.seq for ack in sent(effects, Kind.ACK)] == [1]
    assert side.ends.late_answers == 1
    assert len(sent(side.command(command(1)), Kind.CMD)) == 1
    assert told(side.message(2, answer(1, second=True))) == [json.loads(answer(1, second=True))]


def test_a_command_that_was_held_is_withdrawn_and_those_behind_it_close_the_gap() -> None:
    side = hasty()
    side.command(command(1))
    side.message(1, answer(1))
    lose(side)
    side.command(command(2))
    side.command(command(3))
    side.now += 3
    side.command(command(4))
    effects = side.pass_time(2)
    assert fates(effects) == [(2, "no"), (3, "no")]
    assert numbers(side.hello(AGAIN, side.named(last=1))) == [(2, command(4))]
    assert numbers(side.command(command(2))) == [(3, command(2))]
    assert told(side.message(2, answer(4), AGAIN)) == [json.loads(answer(4))]


def test_what_went_out_is_replayed_although_it_is_answered_and_what_was_held_is_not() -> None:
    side = hasty()
    side.command(command(1))
    lose(side)
    side.command(command(2))
    assert fates(side.pass_time(DEADLINE_S)) == [(1, "unknown"), (2, "no")]
    side.command(command(3))
    assert numbers(side.hello(AGAIN, side.named(last=0))) == [(1, command(1)), (2, command(3))]
    assert told(side.message(1, answer(1), AGAIN)) == []


def test_what_is_answered_is_not_answered_again_when_the_channel_ends() -> None:
    side = hasty()
    side.command(command(1))
    side.now += 1
    side.command(command(2))
    side.pass_time(DEADLINE_S - 1)
    effects = side.ends.end(CHANNEL, errors.Draining())
    assert (fates(effects), end_of(effects)) == ([(2, "unknown")], "DRAINING")


def test_a_held_command_of_a_session_that_is_gone_is_answered_after_others_were_withdrawn() -> None:
    side = open_client(ClientLimits(command_deadline_s=DEADLINE_S, orphan_patience_s=2 * DEADLINE_S))
    side.message(1, b'{"method":"Target.attachedToTarget","params":{"sessionId":"A","targetInfo":{}}}')
    lose(side)
    side.command(command(1))
    side.now += 4
    side.command(command(2, sessionId="A"))
    side.message(2, b'{"method":"Target.detachedFromTarget","params":{"sessionId":"A"}}')
    assert fates(side.pass_time(1)) == [(1, "no")]
    side.hello(AGAIN, side.named(last=0))
    assert fates(side.pass_time(4)) == [(2, "unknown")]
    assert side.pass_time(10 * DEADLINE_S) == []


def test_the_id_of_a_late_command_is_free_once_its_session_is_gone() -> None:
    side = open_client(ClientLimits(command_deadline_s=DEADLINE_S, orphan_patience_s=1.0))
    side.message(1, b'{"method":"Target.attachedToTarget","params":{"sessionId":"A","targetInfo":{}}}')
    side.command(command(1, sessionId="A"))
    side.pass_time(DEADLINE_S)
    side.message(2, b'{"method":"Target.detachedFromTarget","params":{"sessionId":"A"}}')
    assert side.pass_time(1) == []
    assert len(sent(side.command(command(1)), Kind.CMD)) == 1


def test_commands_that_are_never_answered_hold_their_client_back_and_an_answer_frees_it() -> None:
    side = hasty(replace(HASTY, pending_commands=2))
    side.command(command(1))
    assert only(Hold, side.command(command(2))) == [Hold(CHANNEL, True)]
    side.recorded(2)
    assert only(Hold, side.pass_time(DEADLINE_S)) == []  # their ids are taken until the browser answers
    assert only(Hold, side.message(1, answer(1))) == [Hold(CHANNEL, False)]


@pytest.mark.parametrize("order", ["first", "last"])
def test_of_many_answered_commands_nothing_is_kept(order: str) -> None:
    side = hasty()
    seq = 0
    for number in range(0, 1000, 2):
        side.command(command(number))
        side.command(command(number + 1))
        pair = (number, number + 1) if order == "first" else (number + 1, number)
        for each in pair:
            seq += 1
            side.message(seq, answer(each))
    side.message(seq + 1, event())
    assert len(side.ends._channels[CHANNEL].deadlines) <= 2
