"""The scanner against `json`, on messages of every spelling, and on each of them damaged by one byte."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core import cdp, json_text
from browsergo.core.cdp import (
    INT32_MAX,
    INT32_MIN,
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
SHARE = 8_000
DAMAGED = 4  # one in so many is damaged, too


def refuse(constant: str) -> None:
    raise ValueError(constant)


def finite(number: str) -> float:
    if math.isinf(float(number)):
        raise ValueError(number)
    return float(number)


# Control characters may stand in strings, and each number is a finite double: so Chrome has it.
DECODER = json.JSONDecoder(strict=False, parse_constant=refuse)
STRICT = json.JSONDecoder(strict=False, parse_constant=refuse, parse_float=finite, parse_int=finite)


def parsed(message: bytes) -> Any:
    try:
        STRICT.decode(message.decode())
        return DECODER.decode(message.decode())
    except ValueError:
        return NOT_JSON


def is_plain_id(found: dict[str, Any], message: bytes) -> bool:
    number = found.get("id")
    return type(number) is int and INT32_MIN <= number <= INT32_MAX and not (number == 0 and b"-0" in message)


def is_ascii_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii()


def top_level_keys(message: bytes) -> list[str]:
    """Each as often as it stands there: the last object to be complete is the message."""
    objects: list[list[str]] = []
    json.loads(message, strict=False, object_pairs_hook=lambda pairs: objects.append([key for key, _ in pairs]))
    return objects[-1]


def is_command(found: Any, message: bytes) -> bool:
    """Whether Chrome takes this JSON value for a command, and the relay, too."""
    if not isinstance(found, dict):
        return False
    keys = top_level_keys(message)
    return (
        len(set(keys)) == len(keys)
        and set(keys) <= {"id", "method", "params", "sessionId"}
        and is_plain_id(found, message)
        and is_ascii_text(found.get("method"))
        and found["method"] != ""
        and is_ascii_text(found.get("sessionId", ""))
        and isinstance(found.get("params"), dict | list | None)
    )


def assert_read_as_json_reads_it(message: bytes) -> None:
    """Accepted with the values that `json` finds, or refused for a reason that `json` confirms."""
    found = parsed(message)
    try:
        command = read_command(message)
    except UnacceptableCommand as refusal:
        error = json.loads(refusal.answer)["error"]
        if error["code"] == PARSE_ERROR and "top-level key" not in error["message"]:
            assert found is NOT_JSON, (message, error)
        else:
            assert found is not NOT_JSON, (message, error)
            assert not is_command(found, message), (message, error)
        return
    assert is_command(found, message) or found["id"] == 0, message  # a `-0` may stand elsewhere
    assert command == Command(found["id"], found["method"], found.get("sessionId")), message


def compare(seed: int, count: int) -> None:
    """That many well-formed messages, all of them read; and some damaged."""
    messages = Messages(seed)
    for number in range(count):
        message = messages.command()
        found = DECODER.decode(message.decode())
        assert read_command(message) == (found["id"], found["method"], found.get("sessionId")), message
        if number % DAMAGED == 0:
            assert_read_as_json_reads_it(messages.damaged(message))


def test_commands_are_read_as_json_reads_them_and_damaged_ones_refused_with_reason() -> None:
    compare(0, SHARE)


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ 01e-.truefalsn', max_size=40).map(str.encode))
def test_arbitrary_bytes_are_refused_for_a_reason_that_json_confirms(message: bytes) -> None:
    assert_read_as_json_reads_it(message)


@pytest.mark.parametrize("slice_bytes", [7, 40, 97])
def test_where_a_slice_ends_makes_no_difference(monkeypatch: pytest.MonkeyPatch, slice_bytes: int) -> None:
    monkeypatch.setattr(json_text, "SLICE_BYTES", slice_bytes)
    monkeypatch.setattr(cdp, "SLICE_BYTES", 0)  # no message is short enough to be read in one match
    compare(slice_bytes, 1000)


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
        assert read_head(event)._replace(method=b"") == MessageHead(None, is_event=True), event
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
