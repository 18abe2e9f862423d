"""The scanner against `json`, on messages of every spelling, and on each of them damaged by one byte."""

import json
from typing import Any

import pytest

from browsergo.core.cdp import (
    INT32_MAX,
    INT32_MIN,
    INVALID_REQUEST,
    PARSE_ERROR,
    Command,
    MessageHead,
    SessionChange,
    UnacceptableCommand,
    read_command,
    read_head,
    session_change,
)
from browsergo.core.channel.client_state import Deliver
from browsergo.core.channel.device_end import Dispatch
from browsergo.core.channel.frames import Kind
from tests.unit.channel.ends import only, open_client, open_device, sent, up
from tests.unit.core.messages import Messages

NOT_JSON = object()
CHUNK = 20_000
CHUNKS = 50


def refuse(constant: str) -> None:
    raise ValueError(constant)


DECODER = json.JSONDecoder(parse_constant=refuse)


def parsed(message: bytes) -> Any:
    try:
        return DECODER.decode(message.decode())
    except ValueError:
        return NOT_JSON


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def is_plain_id(found: dict[str, Any], message: bytes) -> bool:
    number = found.get("id")
    return type(number) is int and INT32_MIN <= number <= INT32_MAX and not (number == 0 and b"-0" in message)


def has_a_key_twice(message: bytes) -> bool:
    """At the top level: the last object to be complete."""
    objects: list[list[tuple[str, Any]]] = []
    json.loads(message, object_pairs_hook=objects.append)
    return len(dict(objects[-1])) < len(objects[-1])


def assert_read_as_json_reads_it(message: bytes) -> None:
    """Accepted with the values that `json` finds, or refused for a reason that `json` confirms."""
    found = parsed(message)
    try:
        command = read_command(message)
    except UnacceptableCommand as refusal:
        error = json.loads(refusal.answer)["error"]
        assert is_reason(error["code"], error["message"], found, message), (message, error)
        return
    assert isinstance(found, dict), message
    assert command == Command(found["id"], found["method"], text_of(found.get("sessionId"))), message


def is_reason(code: int, words: str, found: Any, message: bytes) -> bool:
    if code == PARSE_ERROR:
        return found is NOT_JSON if "duplicate" not in words else has_a_key_twice(message)
    assert code == INVALID_REQUEST
    if not isinstance(found, dict):
        return found is not NOT_JSON
    # Of two ids Chrome takes the first, `json` the last.
    return not is_plain_id(found, message) or not text_of(found.get("method")) or has_a_key_twice(message)


def compare(seed: int, count: int) -> None:
    messages = Messages(seed)
    for _ in range(count):
        message = messages.command()
        found = DECODER.decode(message.decode())
        assert read_command(message) == (found["id"], found["method"], text_of(found.get("sessionId"))), message
        assert_read_as_json_reads_it(messages.damaged(message))


def test_commands_are_read_as_json_reads_them_and_damaged_ones_refused_with_reason() -> None:
    compare(0, CHUNK)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(1, CHUNKS + 1))
def test_a_million_commands_are_read_as_json_reads_them(seed: int) -> None:
    compare(seed, CHUNK)


def test_events_are_told_from_answers() -> None:
    messages = Messages(0)
    for number in range(2000):
        answer = messages.answer(number)
        assert read_head(answer) == MessageHead(number, is_event=False), answer
        event = messages.event()
        assert read_head(event) == MessageHead(None, is_event=True), event
        with pytest.raises(UnacceptableCommand):
            read_command(event)


def test_sessions_that_come_and_go_are_read_as_json_reads_them() -> None:
    messages = Messages(0)
    for _ in range(2000):
        event = messages.change()
        found = json.loads(event)
        attached = found["method"] == "Target.attachedToTarget"
        assert session_change(event) == SessionChange(found["params"]["sessionId"], found.get("sessionId"), attached)


def test_the_bytes_of_a_message_pass_both_ends_untouched() -> None:
    messages, client, (device, at) = Messages(0), open_client(), open_device()
    for seq in range(1, 1001):
        command = messages.command()
        down = sent(client.command(command), Kind.CMD)
        received = [effect for frame in down for effect in device.command(seq, at, frame.payload, flags=frame.flags)]
        assert [effect.payload for effect in only(Dispatch, received)] == [command]
        answer = messages.answer(read_command(command).id)
        raised = up(device.says(answer), Kind.MSG)
        delivered = [effect for frame in raised for effect in client.message(seq, frame.payload, flags=frame.flags)]
        assert [effect.payload for effect in only(Deliver, delivered)] == [answer]
        client.recorded(seq)
        device.acknowledge(at, seq)
