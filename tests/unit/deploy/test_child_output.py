"""What a child prints, on its way to a log and to a terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.child_output import SHOWN_CHARS, LineSplitter, Quota, plain_text, shortened, urgent_text


@given(st.lists(st.binary(max_size=20)), st.integers(min_value=1, max_value=8))
def test_lines_are_the_same_however_they_arrive(chunks: list[bytes], limit: int) -> None:
    splitter = LineSplitter(limit_bytes=10_000)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.close()
    whole = LineSplitter(limit_bytes=10_000)
    assert lines == whole.feed(b"".join(chunks)) + whole.close()
    bounded = LineSplitter(limit_bytes=limit)
    pieces = [line for chunk in chunks for line in bounded.feed(chunk)] + bounded.close()
    assert all(len(piece) <= limit for piece in pieces)


def test_a_line_without_end_is_passed_on_in_pieces() -> None:
    splitter = LineSplitter(limit_bytes=4)
    assert splitter.feed(b"abcdefghij") == ["abcd", "efgh"]
    assert splitter.feed(b"k\nl") == ["ijk"]
    assert splitter.close() == ["l"]
    assert splitter.close() == []


def line(level: str, event: str, **details: object) -> str:
    return json.dumps({"event": event, "level": level, "time": "T", "service": "s", "instance": "i", **details})


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_warnings_and_errors_are_shown_with_their_details(level: str) -> None:
    assert urgent_text(line(level, "trunk lost", router="router-1")) == f"{level}: trunk lost router=router-1"


@pytest.mark.parametrize("text", [line("info", "ready"), "", "{", "[]", "{}", '"x"', "plain text", "{" * 5_000])
def test_everything_else_goes_to_the_log_only(text: str) -> None:
    assert urgent_text(text) is None


def test_any_line_can_be_said_plainly() -> None:
    assert plain_text("ValueError:  no\tgood") == "ValueError: no good"
    assert plain_text(line("info", "stopping", why="asked")) == "stopping why=asked"


def test_a_terminal_is_not_written_to_by_a_child() -> None:
    assert "\x1b" not in shortened("\x1b[2Jclear\x07")
    assert len(shortened("x" * 1_000)) == SHOWN_CHARS


def test_a_flood_is_counted_and_not_shown() -> None:
    quota = Quota(lines=2, period_s=10.0)
    assert [quota.take(now) for now in (0.0, 1.0, 2.0, 3.0)] == [(True, 0), (True, 0), (False, 0), (False, 0)]
    assert quota.take(10.0) == (True, 2)
    assert quota.take(11.0) == (True, 0)
