"""The scanner of CDP messages: as Chrome reads them, for every input, in linear time."""

import json
import random
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core import cdp
from browsergo.core.cdp import Command, MessageHead, SessionChange, UnacceptableCommand, read_command, read_head

STEADY = settings(derandomize=True, deadline=None)

NOT_OBJECT = (-32600, "Message must be an object", None)
NO_ID = (-32600, "Message must have integer 'id' property", None)


Refusal = tuple[int, str, int | None]


def no_method(command_id: int | None) -> Refusal:
    return -32600, "Message must have string 'method' property", command_id


def unknown_key(command_id: int | None) -> Refusal:
    return -32600, "Message has property other than 'id', 'method', 'sessionId', 'params'", command_id


def bad_params(command_id: int | None) -> Refusal:
    return -32600, "Message may have object 'params' property", command_id


def bad_session(command_id: int | None) -> Refusal:
    return -32600, "Message may have string 'sessionId' property", command_id


def refusal(message: bytes) -> Refusal:
    """Code, words and id of the answer to a message that is not accepted."""
    with pytest.raises(UnacceptableCommand) as caught:
        read_command(message)
    answer = json.loads(caught.value.answer)
    return answer["error"]["code"], answer["error"]["message"], answer.get("id")


# Measured on Chromium 156: what it answers to each of these (code, words, id).
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"{}", NO_ID),
        (b"[]", NOT_OBJECT),
        (b"null", NOT_OBJECT),
        (b'"x"', NOT_OBJECT),
        (b'{"method":"Target.getBrowserContexts"}', NO_ID),
        (b'{"id":"1","method":"Browser.getVersion"}', NO_ID),
        (b'{"id":1.5,"method":"Browser.getVersion"}', NO_ID),
        (b'{"id":2147483648,"method":"Browser.getVersion"}', NO_ID),
        (b'{"id":-2147483649,"method":"Browser.getVersion"}', NO_ID),
        (b'{"id":null,"method":"Browser.getVersion"}', NO_ID),
        (b'{"id":5}', no_method(5)),
        (b'{"id":6,"method":7}', no_method(6)),
        (b'{"id":28,"method":""}', no_method(28)),
        (b'{"id":6,"method":null}', no_method(6)),
        (b'{"method":7,"id":6}', no_method(None)),
        (b'{"method":"","id":6}', no_method(6)),
        ('{"id":1,"method":"Ä.ö"}'.encode(), no_method(1)),
        (b'{"id":1,"method":"\\u00c4.b"}', no_method(1)),
        (b'{"id":1,"method":"A.b","foo":1}', unknown_key(1)),
        (b'{"jsonrpc":"2.0","id":1,"method":"A.b"}', unknown_key(None)),
        (b'{"":1,"id":1,"method":"A.b"}', unknown_key(None)),
        (b'{"foo":1}', unknown_key(None)),
        (b'{"id":1,"params":"","method":"A.b"}', bad_params(1)),
        (b'{"params":true,"id":1,"method":"A.b"}', bad_params(None)),
        (b'{"id":1,"method":"A.b","sessionId":4}', bad_session(1)),
        (b'{"id":1,"method":"A.b","sessionId":null}', bad_session(1)),
        ('{"sessionId":"é","id":1,"method":"A.b"}'.encode(), bad_session(None)),
    ],
)
def test_what_chrome_refuses_is_refused_in_its_words(message: bytes, expected: Refusal) -> None:
    assert refusal(message) == expected


# Chrome answers each of these with -32700 and without an id: whoever waits for an answer would wait for ever.
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"   ",
        b"nonsense",
        b'{"id":1',
        b'{"id":1}x',
        b'{"id":1,"method":"A.b"}\0',
        b'{"id":1,"method":"A.b"},',
        b'{"id":1,"method":"A.b",}',
        b'{"id":017,"method":"A.b"}',
        b'{"id":1,"method":"A.b","params":{"a":}}',
        b'{"id":1,"method":"A.b","params":{"a":1.}}',
        b'{"id":1,"method":"A.b","params":{"a":-}}',
        b'{"id":1,"method":"A.b","params":{"a":01}}',
        b'{"id":1,"method":"A.b","params":{"a":"\\x41"}}',
        b'{"id":1,"method":"A.b","params":{"a":"\\u12g4"}}',
        b'{"id":1,"method":"A.b","params":{"a":"\xff"}}',
        b'{"id":1,"method":"A.b","params":{"a":"\xed\xa0\x80"}}',
        b'{"id":1,"method":"A.b","params":{"a":/*c*/1}}',
        b'{"id":1,"method":"A.b","params":{"a":NaN}}',
        b'{"id":1,"method":"A.b","params":{"a":1e999}}',
        b'{"id":1,"method":"A.b","params":{"a":-1.8e308}}',
        b'{"id":1,"method":"A.b","params":[[[[[[[1.7976931348623159e308]]]]]]]}',
        b'{"id":1,"method":"A.b","params":{"a":' + b"9" * 309 + b"}}",
        b'{"id":1e400,"method":"A.b"}',
        b'{"id":1,"method":"A.b","params":{"a" 1}}',
        b'{"id":1,"method":"A.b","params":[1 2]}',
        b'{"id":1,"method":"A.b","params":[1}',
        b'{"id":1,"method":"A.b","params":[[[[[[[[1}',
        b'\xef\xbb\xbf{"id":1,"method":"A.b"}',
        b"\xff",
        b"{1:2}",
    ],
)
def test_what_is_not_json_is_answered_without_an_id(message: bytes) -> None:
    code, words, command_id = refusal(message)
    assert (code, command_id) == (-32700, None)
    assert words.startswith("JSON: ")


@pytest.mark.parametrize(
    ("message", "command_id"),
    [
        (b'{"id":7,"id":8,"method":"A.b"}', 7),
        (b'{"id":7,"method":"A.b","id":7}', 7),
        (b'{"id":7,"\\u0069d":8,"method":"A.b"}', 7),
        (b'{"id":1,"method":"A.b","method":"C.d"}', 1),
        (b'{"id":1,"method":"A.b","params":{},"params":{}}', 1),
        (b'{"method":"A.b","params":{},"id":1,"sessionId":"S","sessionId":"T"}', 1),
    ],
)
def test_a_key_that_stands_twice_is_refused_under_the_first_id(message: bytes, command_id: int) -> None:
    assert refusal(message) == (-32700, "JSON: duplicate top-level key", command_id)


def test_a_refusal_keeps_the_session() -> None:
    with pytest.raises(UnacceptableCommand) as caught:
        read_command(b'{"id":1,"sessionId":"S"}')
    assert json.loads(caught.value.answer)["sessionId"] == "S"


@pytest.mark.parametrize("spelled", ["1e1", "8.0", "-0", "1E1", "10e-1"])
def test_an_id_that_is_not_plainly_spelled_is_refused(spelled: str) -> None:
    assert refusal(f'{{"id":{spelled},"method":"A.b"}}'.encode()) == NO_ID


# Each of these Chrome reads as a command (its answer carries the id).
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b' {"id":15,"method":"A.b"} ', Command(15, "A.b", None)),
        (b'\r\n\t{ "method" : "A.b" , "id" : 1 }\n', Command(1, "A.b", None)),
        (b'{"id":0,"method":"A.b"}', Command(0, "A.b", None)),
        (b'{"id":-3,"method":"A.b"}', Command(-3, "A.b", None)),
        (b'{"id":2147483647,"method":"A.b"}', Command(2147483647, "A.b", None)),
        (b'{"id":-2147483648,"method":"A.b"}', Command(-2147483648, "A.b", None)),
        (b'{"\\u0069d":21,"method":"A.b"}', Command(21, "A.b", None)),
        (b'{"id":23,"method":"A.\\u0062"}', Command(23, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":{"a":1,"a":2}}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":{"id":2,"method":"C.d"}}', Command(1, "A.b", None)),
        (b'{"params":{"id":2},"method":"A.b","id":1}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":null}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":[]}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","sessionId":""}', Command(1, "A.b", "")),
        (b'{"id":1,"method":"A.b","sessionId":"\\u0053"}', Command(1, "A.b", "S")),
        (b'{"id":1,"method":"A.b","params":{"a":"\\ud800"}}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":{"a":"\\/\x7f"}}', Command(1, "A.b", None)),
        ('{"id":1,"method":"A.b","params":{"é":"ö"}}'.encode(), Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":{"a":"' + bytes(range(32)) + b'"}}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.\nb\0"}', Command(1, "A.\nb\0", None)),
        (b'{"id":1,"method":"A.b","params":{"a":1.7976931348623157e308}}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":{"a":0e999}}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":{"a":1e-999}}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":{"a":1e+0005}}', Command(1, "A.b", None)),
        (b'{"id":1,"method":"A.b","params":[[[[[[[' + b"1" * 309 + b",1]]]]]]]}", Command(1, "A.b", None)),
        (b'{"id":1,"method":"not a method"}', Command(1, "not a method", None)),
    ],
)
def test_what_chrome_reads_is_read(message: bytes, expected: Command) -> None:
    assert read_command(message) == expected


@pytest.mark.parametrize("text", ["A" * 5000, "\\u0041" * 1000, "x" * 1016 + "\\u0041", "\\\\" * 3000])
def test_a_name_of_any_length_is_read_and_left_to_the_browser(text: str) -> None:
    assert read_command(f'{{"id":1,"method":"{text}"}}'.encode()).id == 1
    assert read_command(f'{{"id":1,"method":"A.b","sessionId":"{text}"}}'.encode()).method == "A.b"
    assert refusal(f'{{"id":1,"{text}":0,"method":"A.b"}}'.encode()) == unknown_key(1)


def test_a_long_name_that_is_not_ascii_is_refused_as_chrome_refuses_it() -> None:
    assert refusal(f'{{"id":1,"method":"{"é" * 700}"}}'.encode()) == no_method(1)
    assert refusal(f'{{"{"é" * 700}":0,"id":1}}'.encode()) == (-32700, "JSON: invalid top-level key", None)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_limited_exactly_where_chrome_limits_it(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def nested(depth: int, inside: str) -> bytes:
        """`depth` containers, the message among them, and `inside` the innermost one."""
        value = opening * (depth - 1) + inside + closing * (depth - 1)
        return f'{{"id":1,"method":"A.b","params":{value}}}'.encode()

    for inside in ("1", '"x"', "1.5"):
        assert read_command(nested(300, inside)).id == 1
        assert refusal(nested(301, inside))[0] == -32700
    for inside in ("[]", "{}"):
        assert read_command(nested(300, inside)).id == 1
        assert refusal(nested(301, inside))[0] == -32700
    assert refusal(nested(100_000, "1"))[0] == -32700


def test_answers_of_any_depth_are_read() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    assert read_head(b'{"result":' + deep + b',"id":4}') == MessageHead(4, is_event=False)


# --- equality with json -----------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=8) | st.sampled_from(["\\", '"', "\u2028", "\0", "id", "\U0001f600"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)
ASCII = st.text(st.characters(max_codepoint=127), max_size=8)
COMMANDS = st.fixed_dictionaries(
    {"id": st.integers(-(2**31), 2**31 - 1), "method": ASCII.filter(bool)},
    optional={"params": st.none() | st.lists(VALUES) | st.dictionaries(TEXTS, VALUES), "sessionId": ASCII},
)


@STEADY
@given(COMMANDS, st.randoms(use_true_random=False), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_every_command_is_read_as_json_reads_it(
    body: dict[str, Any], chance: random.Random, ascii_only: bool, indent: int | str | None
) -> None:
    items = [*body.items()]
    chance.shuffle(items)
    message = json.dumps(dict(items), ensure_ascii=ascii_only, indent=indent).encode()
    assert read_command(message) == Command(body["id"], body["method"], body.get("sessionId"))


# --- messages from the browser ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b'{"id":3,"result":{}}', MessageHead(3, is_event=False)),
        (b' { "id" : -3 , "error":{}}', MessageHead(-3, is_event=False)),
        (b'{"result":{"id":9},"id":4}', MessageHead(4, is_event=False)),
        (b'{"method":"Page.x","params":{"id":9}}', MessageHead(None, is_event=True, method=b"Page.x")),
        (b' { "method" : "Page.x"}', MessageHead(None, is_event=True, method=b"Page.x")),
        (b'{"method":"Page.x\\u0079","params":{}}', MessageHead(None, is_event=True)),
        (b'{"method":7,"params":{}}', MessageHead(None, is_event=True)),
        (b'{"params":{"id":9},"method":"Page.x"}', MessageHead(None, is_event=True)),
        (b'{"error":{"code":-32700,"message":"JSON"}}', MessageHead(None, is_event=False)),
        (b'{"id":null,"error":{}}', MessageHead(None, is_event=False)),
        (b'{"id":"3","result":{}}', MessageHead(None, is_event=False)),
        (b"nonsense", MessageHead(None, is_event=False)),
        (b"[]", MessageHead(None, is_event=False)),
        (b"", MessageHead(None, is_event=False)),
        (b"\xff\xfe", MessageHead(None, is_event=False)),
    ],
)
def test_a_message_of_the_browser_is_an_answer_an_event_or_neither(message: bytes, expected: MessageHead) -> None:
    assert read_head(message) == expected


def test_sessions_come_and_go() -> None:
    attached = b'{"method":"Target.attachedToTarget","params":{"sessionId":"S1","targetInfo":{"url":"x"}}}'
    nested = b'{"method":"Target.attachedToTarget","params":{"sessionId":"S2","waiting":true},"sessionId":"S1"}'
    detached = b'{"method":"Target.detachedFromTarget","params":{"sessionId":"S2","targetId":"T"},"sessionId":"S1"}'
    assert cdp.session_change(attached) == SessionChange("S1", None, attached=True)
    assert cdp.session_change(nested) == SessionChange("S2", "S1", attached=True)
    assert cdp.session_change(detached) == SessionChange("S2", "S1", attached=False)


@pytest.mark.parametrize(
    "message",
    [
        b'{"method":"Page.x","params":{"sessionId":"S1"}}',
        b'{"id":1,"result":{"sessionId":"S1"}}',
        b'{"method":"Target.attachedToTarget","params":{"targetInfo":{}}}',
        b'{"method":"Target.attachedToTarget","params":{"sessionId":"' + b"x" * 200 + b'"}}',
        b"",
    ],
)
def test_other_messages_change_no_session(message: bytes) -> None:
    assert cdp.session_change(message) is None


# --- methods as spans show them ---------------------------------------------------------------------------------------


@STEADY
@given(st.text())
def test_only_what_is_spelled_like_a_method_is_traced(method: str) -> None:
    traced = cdp.traced_method(method)
    assert traced == "other" or (traced == method and set(method) <= {*string.ascii_letters, "."})


@pytest.mark.parametrize("method", ["Page.navigate", "DOM.getDocument", "HeadlessExperimental.beginFrame"])
def test_methods_are_traced(method: str) -> None:
    assert cdp.traced_method(method) == method


@pytest.mark.parametrize("method", ["", "Page", "Page.", "page.navigate", "Page.navigate\n", "A.b.c", "A" * 99 + ".b"])
def test_other_words_are_not_traced(method: str) -> None:
    assert cdp.traced_method(method) == "other"
