"""Trace contexts and span records: read strictly, carried whole."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core.tracing import SpanRecord, Traceparent, decode_records, encode_records, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STEADY = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
def test_a_traceparent_is_read(flags: str, sampled: bool) -> None:
    expected = Traceparent(bytes.fromhex(TRACE), bytes.fromhex(SPAN), sampled)
    assert parse_traceparent(f" 00-{TRACE}-{SPAN}-{flags} ") == expected


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}g-01",
        f"0-{TRACE}-{SPAN}-01",
        "\u0660" * 55,
    ],
)
def test_what_is_no_traceparent_is_none(text: str) -> None:
    assert parse_traceparent(text) is None


RECORDS = st.builds(
    SpanRecord,
    st.text(),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=8, max_size=8) | st.just(b""),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans()),
    st.none() | st.text(),
)


@STEADY
@given(st.lists(RECORDS, max_size=4))
def test_span_records_round_trip(records: list[SpanRecord]) -> None:
    assert decode_records(encode_records(records)) == records


GOOD = ["n", TRACE, SPAN, "", 1, 2, {"a": 1}, None]


def test_the_row_that_the_next_test_damages_is_good() -> None:
    assert decode_records(json.dumps([GOOD]).encode())[0].name == "n"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 1),
        (1, TRACE[:-2]),
        (1, "zz"),
        (1, None),
        (2, ""),
        (2, SPAN + "00"),
        (3, "00"),
        (4, "1"),
        (4, 1.5),
        (5, None),
        (6, []),
        (6, {"a": None}),
        (6, {"a": [1]}),
        (7, 1),
    ],
)
def test_a_damaged_record_is_refused(place: int, value: object) -> None:
    row = [*GOOD[:place], value, *GOOD[place + 1 :]]
    with pytest.raises(ValueError, match=r".+"):
        decode_records(json.dumps([row]).encode())


@pytest.mark.parametrize("payload", [b"", b"{}", b"1", b"[1]", b"[[]]", b"[[1,2,3]]", b"\xff", b"[" * 100_000])
def test_what_is_no_array_of_records_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_records(payload)
