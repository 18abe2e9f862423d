"""Payloads of the control frames: what goes in comes out, and what does not fit is a BadFrame."""

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core.channel import payloads
from browsergo.core.errors import BadFrame

STEADY = settings(derandomize=True, deadline=None)
CHANNELS = st.binary(min_size=16, max_size=16)
COUNTS = st.integers(0, 2**63)


@STEADY
@given(st.builds(payloads.Open, st.text(), st.text(), st.text(), st.text()))
def test_open_round_trips(body: payloads.Open) -> None:
    assert payloads.decode_open(payloads.encode_open(body)) == body


@STEADY
@given(st.builds(payloads.Opened, st.text(), st.text(), COUNTS, COUNTS))
def test_opened_round_trips(body: payloads.Opened) -> None:
    assert payloads.decode_opened(payloads.encode_opened(body)) == body


@STEADY
@given(st.builds(payloads.Ending, st.text(), st.text(), st.text()))
def test_ending_round_trips(body: payloads.Ending) -> None:
    assert payloads.decode_ending(payloads.encode_ending(body)) == body


@STEADY
@given(
    st.builds(
        payloads.Hello,
        st.text(),
        st.text(),
        st.dictionaries(CHANNELS, st.builds(payloads.Named, COUNTS, COUNTS, st.text())),
        st.frozensets(CHANNELS),
        st.booleans(),
    )
)
def test_hello_round_trips(body: payloads.Hello) -> None:
    assert payloads.decode_hello(payloads.encode_hello(body)) == body


def test_a_hello_that_does_not_say_so_took_nothing_over() -> None:
    hello = payloads.decode_hello(b'{"device":"d","boot":"b","named":{},"held":[]}')
    assert hello == payloads.Hello("d", "b", {}, frozenset(), took_over=False)


@STEADY
@given(st.text())
def test_single_values_round_trip(text: str) -> None:
    assert payloads.decode_claim(payloads.encode_claim(text)) == text
    assert payloads.decode_device(payloads.encode_device(text)) == text


WINDOWS = st.none() | st.builds(payloads.Window, st.integers(1, 2**40), st.integers(1, 2**40))


@STEADY
@given(COUNTS, WINDOWS)
def test_windows_round_trip_alone_and_beside_where_to_replay_from(
    received: int, window: payloads.Window | None
) -> None:
    assert payloads.decode_window(payloads.encode_window(window)) == window
    body = payloads.Resume(received, window)
    assert payloads.decode_resume(payloads.encode_resume(body)) == body


def test_no_window_is_spelled_as_before_there_were_any() -> None:
    assert payloads.encode_window(None) == b""
    assert payloads.encode_resume(payloads.Resume(7)) == b'{"received":7}'


@pytest.mark.parametrize("window", [0, [], [1], [0, 1], [1, 0], [1, -1], [1, 1, 1], [True, 1], [1.0, 1], {"a": 1}])
def test_a_window_lets_something_pass(window: object) -> None:
    with pytest.raises(BadFrame):
        payloads.decode_window(json.dumps({"window": window}).encode())


DECODERS: list[Callable[[bytes], object]] = [
    payloads.decode_open,
    payloads.decode_opened,
    payloads.decode_ending,
    payloads.decode_hello,
    payloads.decode_claim,
    payloads.decode_resume,
    payloads.decode_device,
]


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff", b"[]", b"null", b"1", b"{}", b"[" * 100_000, b'{"claim":1,"device":2,"received":"3"}'],
)
def test_what_is_no_object_or_lacks_a_field_is_refused(decode: Callable[[bytes], object], payload: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(payload)


@pytest.mark.parametrize("count", [-1, 1.0, "1", None, True])
def test_a_count_is_a_natural_number(count: object) -> None:
    with pytest.raises(BadFrame):
        payloads.decode_resume(json.dumps({"received": count}).encode())
    with pytest.raises(BadFrame):
        payloads.decode_opened(json.dumps({"boot": "b", "claim": "c", "last": 0, "born": count}).encode())


CHANNEL = "00" * 16


@pytest.mark.parametrize(
    ("named", "held"),
    [
        ([], []),
        ({}, {}),
        ({"00": [0, 1, "c"]}, []),
        ({"zz" * 16: [0, 1, "c"]}, []),
        ({CHANNEL: [0, 1]}, []),
        ({CHANNEL: [0, 1, 2]}, []),
        ({CHANNEL: [-1, 1, "c"]}, []),
        ({CHANNEL: [0, 1.5, "c"]}, []),
        ({CHANNEL: [True, 1, "c"]}, []),
        ({CHANNEL: {"last": 0}}, []),
        ({}, [1]),
        ({}, ["00"]),
        ({}, [None]),
    ],
)
def test_a_hello_names_channels_rightly_or_not_at_all(named: object, held: object) -> None:
    with pytest.raises(BadFrame):
        payloads.decode_hello(json.dumps({"device": "d", "boot": "b", "named": named, "held": held}).encode())


@STEADY
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_no_json_does_more_than_be_refused(found: object) -> None:
    payload = json.dumps(found).encode()
    for decode in DECODERS:
        with contextlib.suppress(BadFrame):
            decode(payload)
