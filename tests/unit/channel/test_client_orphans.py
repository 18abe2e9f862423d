"""Commands whose session is gone are answered once: by Chrome if it says something, else truthfully by the relay."""

import json

from browsergo.core import errors
from browsergo.core.channel.client_state import ClientLimits, Deliver, Finished, Hold
from browsergo.core.ids import Binding
from tests.unit.channel.ends import (
    CHANNEL,
    DEVICE_EDGE,
    LINK,
    ClientSide,
    answer,
    command,
    fates,
    only,
    open_client,
    told,
)

PATIENCE_S = 1.0


def changed(kind: str, session: str, parent: str | None = None) -> bytes:
    tail = {} if parent is None else {"sessionId": parent}
    body = {"method": f"Target.{kind}", "params": {"sessionId": session, "targetInfo": {}}, **tail}
    return json.dumps(body, separators=(",", ":")).encode()


def with_sessions() -> ClientSide:
    """A client with the sessions A, B within A, C within B, and D."""
    side = open_client()
    for seq, (session, parent) in enumerate([("A", None), ("B", "A"), ("C", "B"), ("D", None)], start=1):
        side.message(seq, changed("attachedToTarget", session, parent))
    return side


def detach(side: ClientSide, session: str = "A", seq: int = 5) -> None:
    assert told(side.message(seq, changed("detachedFromTarget", session))) == [
        json.loads(changed("detachedFromTarget", session))
    ]


def test_what_a_detached_session_had_in_flight_is_answered_in_send_order_and_nothing_else() -> None:
    side = with_sessions()
    for number, session in ((9, "A"), (2, "D"), (7, "C"), (4, "A")):
        side.command(command(number, sessionId=session))
    side.command(command(3))
    detach(side)
    assert side.pass_time(PATIENCE_S * 0.9) == []
    effects = side.pass_time(PATIENCE_S * 0.2)
    assert fates(effects) == [(9, "unknown"), (7, "unknown"), (4, "unknown")]
    assert [message["sessionId"] for message in told(effects)] == ["A", "C", "A"]
    assert "reason=SESSION_GONE" in str(told(effects)[0]["error"])
    assert [span.record.error for span in only(Finished, effects)] == ["SESSION_GONE"] * 3
    assert side.ends.pending_commands == 2
    assert told(side.message(6, answer(9))) == []
    assert told(side.message(7, answer(2))) == [json.loads(answer(2))]


def test_sessions_within_a_detached_one_are_forgotten_with_it() -> None:
    side = with_sessions()
    detach(side)
    assert told(side.ends.end(CHANNEL, errors.Draining())) == [
        {"method": "Target.detachedFromTarget", "params": {"sessionId": "D"}}
    ]


def test_what_chrome_itself_still_answers_is_its_word() -> None:
    side = with_sessions()
    side.command(command(1, sessionId="A"))
    detach(side)
    assert told(side.message(6, answer(1))) == [json.loads(answer(1))]
    assert side.pass_time(PATIENCE_S) == []
    assert side.ends.next_deadline() is None


def test_an_id_that_is_used_again_meanwhile_belongs_to_the_new_command() -> None:
    side = with_sessions()
    side.command(command(1, sessionId="A"))
    detach(side)
    side.message(6, answer(1))
    side.command(command(1, sessionId="D"))
    assert side.pass_time(PATIENCE_S) == []
    assert told(side.message(7, answer(1))) == [json.loads(answer(1))]


def test_while_the_path_is_lost_chromes_own_answer_may_be_on_its_way() -> None:
    side = with_sessions()
    side.command(command(1, sessionId="A"))
    side.command(command(2, sessionId="A"))
    detach(side)
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    for _ in range(5):
        assert only(Deliver, side.pass_time(PATIENCE_S)) == []
        side.pass_time(0)
        deadline = side.ends.next_deadline()
        assert deadline is not None
        assert deadline > side.now
    back = Binding(1, 2)
    side.hello(back, side.named(last=2))
    assert told(side.message(6, answer(2), back)) == [json.loads(answer(2))]
    assert fates(side.pass_time(PATIENCE_S)) == [(1, "unknown")]


def test_a_client_that_takes_nothing_gets_it_in_its_turn() -> None:
    side = with_sessions()
    side.command(command(1, sessionId="A"))
    side.ends.writable(CHANNEL, False)
    side.message(5, changed("detachedFromTarget", "A"))
    assert told(side.pass_time(PATIENCE_S)) == []
    event, refusal = told(side.ends.writable(CHANNEL, True))
    assert (event["method"], refusal["id"]) == ("Target.detachedFromTarget", 1)


def test_a_client_that_is_held_for_such_commands_is_let_go_on() -> None:
    side = open_client(ClientLimits(pending_commands=1))
    side.command(command(1, sessionId="A"))
    side.recorded(1)
    side.message(1, changed("detachedFromTarget", "A"))
    assert only(Hold, side.pass_time(PATIENCE_S)) == [Hold(CHANNEL, False)]


def test_the_end_of_the_channel_answers_what_is_not_due_yet() -> None:
    side = with_sessions()
    side.command(command(1, sessionId="A"))
    detach(side)
    assert fates(side.ends.end(CHANNEL, errors.DeviceLost())) == [(1, "unknown")]
