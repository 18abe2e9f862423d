"""The scanner on large messages: time grows as the bytes do, and next to no memory is taken."""

import contextlib
import time
import tracemalloc
from collections.abc import Callable

import pytest

from browsergo.core.cdp import MAX_MEMBERS, UnacceptableCommand, read_command, read_head

MIB = 1 << 20
# For each: the value of a member, of about n bytes.
SHAPES: dict[str, Callable[[int], bytes]] = {
    "one string": lambda n: b'{"a":"' + b"x" * n + b'"}',
    "escapes": lambda n: b'{"a":"' + b"\\n" * (n // 2) + b'"}',
    "long escapes": lambda n: b'"' + b"\\ud83d" * (n // 6) + b'"',
    "not ascii": lambda n: b'"' + "é".encode() * (n // 2) + b'"',
    "one that is not ascii": lambda n: b'"' + b"x" * n + "\U0001f600".encode() + b'"',
    "numbers": lambda n: b"[" + b"1," * (n // 2) + b"1]",
    "members": lambda n: b"{" + b",".join([b'"k12345":1'] * (n // 11)) + b"}",
    "flat containers": lambda n: b"[" + b"[[[[[1]]]]]," * (n // 12) + b"1]",
    "deep, then numbers": lambda n: b"[[[[[[[1]]]]]]," + b"1," * (n // 2) + b"1]",
    "deep containers": lambda n: b"[" + (b"[" * 12 + b"1" + b"]" * 12 + b",") * (n // 26) + b"1]",
    "a comb": lambda n: (b"[" + b"1," * (n // 600)) * 290 + b"1" + b"]" * 290,
    "a string without end": lambda n: b'{"a":"' + b"x" * n,
    "a container without end": lambda n: b"[[[[[[[" + b"1," * (n // 2),
    "blanks": lambda n: b" " * n + b"1",
}


def command(shape: str, size: int) -> bytes:
    return b'{"id":1,"method":"A.b","params":' + SHAPES[shape](size) + b"}"


def response(shape: str, size: int) -> bytes:
    """Spelled as no browser does, so that all of it must be read."""
    return b'{"result":' + SHAPES[shape](size) + b',"id":1}'


def read(message: bytes) -> None:
    with contextlib.suppress(UnacceptableCommand):
        read_command(message)


def seconds_for(scan: Callable[[bytes], object], message: bytes) -> float:
    begun = time.process_time()
    scan(message)
    return time.process_time() - begun


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_bytes_take_about_ten_times_as_long(shape: str) -> None:
    small, large = command(shape, MIB // 2), command(shape, 5 * MIB)
    quick = min(seconds_for(read, small) for _ in range(2))
    assert seconds_for(read, large) < 40 * quick + 0.1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("scan", "spelled", "shape"),
    [
        (read, command, "one string"),
        (read, command, "escapes"),
        (read, command, "not ascii"),
        (read, command, "one that is not ascii"),
        (read, command, "members"),
        (read, command, "deep, then numbers"),
        (read_head, response, "escapes"),
        (read_head, response, "members"),
        (read_head, response, "deep, then numbers"),
    ],
)
def test_four_times_the_bytes_of_the_largest_messages_take_less_than_eight_times_as_long(
    scan: Callable[[bytes], object], spelled: Callable[[str, int], bytes], shape: str
) -> None:
    """All sizes in each round, so that they meet the same load of the machine; the quickest of each counts."""
    messages = [spelled(shape, size * MIB) for size in (25, 50, 100)]
    rounds = [[seconds_for(scan, message) for message in messages] for _ in range(2)]
    of_quarter, of_half, of_whole = (min(times) for times in zip(*rounds, strict=True))
    assert of_whole < 8 * of_quarter + 0.02, (of_quarter, of_half, of_whole)
    assert of_half < 4 * of_quarter + 0.02, (of_quarter, of_half, of_whole)


def extra_bytes(message: bytes) -> int:
    """What reading the message takes at most beside the message itself."""
    tracemalloc.start()
    try:
        read(message)
        read_head(message)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_copy_is_made_of_a_message(shape: str) -> None:
    assert extra_bytes(command(shape, 8 * MIB)) < 6 * MIB  # a slice and its text, four bytes for each character


def test_keys_of_the_message_itself_are_copied_seven_times_at_most() -> None:
    for key in ("x" * 4 * MIB + "\U0001f600", "\\n" * 2 * MIB, "é" * 2 * MIB):
        message = f'{{"id":1,"method":"A.b","{key}":1}}'.encode()
        assert read_command(message).id == 1
        assert extra_bytes(message) < 7.5 * len(message)


def test_a_message_may_have_so_many_members_and_no_more() -> None:
    def with_members(count: int) -> bytes:
        more = b"".join(b',"k%d":1' % number for number in range(count - 2))
        return b'{"id":1,"method":"A.b"' + more + b"}"

    assert read_command(with_members(MAX_MEMBERS)).id == 1
    with pytest.raises(UnacceptableCommand):
        read_command(with_members(MAX_MEMBERS + 1))
    assert seconds_for(read, with_members(1_000_000)) < 0.5
    assert extra_bytes(with_members(1_000_000)) < MIB
    assert read_head(with_members(MAX_MEMBERS + 1)).id == 1  # the browser may do as it likes


@pytest.mark.parametrize("cut", range(9))
def test_characters_are_not_cut_where_the_message_is_read_in_slices(cut: int) -> None:
    for text in ("é", "\u20ac", "\U0001f600"):
        head = b'{"id":1,"method":"A.b","params":"'
        message = head + b"x" * (MIB - len(head) - cut) + text.encode() * MIB + b'"}'
        assert read_command(message).id == 1
        broken = message[: MIB + 300] + b"\xff" + message[MIB + 300 :]
        with pytest.raises(UnacceptableCommand, match="invalid string at position"):
            read_command(broken)
