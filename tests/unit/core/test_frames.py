"""Frames and batches: what goes in comes out, and nothing that is malformed gets in."""

import contextlib
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core import errors
from browsergo.core.channel import frames
from browsergo.core.channel.frames import (
    CHUNK_BYTES,
    HEADER_BYTES,
    Assembler,
    Flag,
    Frame,
    Kind,
    Priority,
    chunked,
    decode_batch,
    decode_link_message,
    encode_headers,
    encode_link_message,
    encode_payloads,
)
from browsergo.core.ids import Binding

STEADY = settings(derandomize=True, deadline=None)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
FRAMES = st.lists(
    st.builds(
        Frame,
        kind=st.sampled_from(Kind),
        flags=st.integers(0, 3),
        edge=U64,
        source=U64,
        link=U32,
        channel=st.binary(min_size=16, max_size=16),
        at=st.builds(Binding, U64, U32),
        seq=U64,
        trace=st.binary(min_size=24, max_size=24),
        stamp=U64,
        payload=st.binary(max_size=300),
        priority=st.sampled_from(Priority.KNOWN),
        part=st.integers(0, 255),
    ),
    max_size=6,
)


@STEADY
@given(FRAMES.filter(bool))
def test_a_batch_is_what_was_put_into_it(batch: list[Frame]) -> None:
    assert decode_batch(encode_headers(batch), encode_payloads(batch)) == batch
    assert decode_link_message(encode_link_message(batch)) == batch


def test_an_empty_batch_is_one_byte_of_headers() -> None:
    assert decode_batch(encode_headers([]), b"") == []


def test_a_header_has_the_size_that_queues_count_with() -> None:
    frame = Frame(Kind.MSG, payload=b"abc")
    assert len(encode_headers([frame])) == 1 + HEADER_BYTES
    assert frame.size == HEADER_BYTES + 3


def test_a_frame_of_before_there_were_priorities_is_a_normal_one() -> None:
    headers = headers_of(Frame(Kind.MSG, priority=Priority.LOW))
    assert headers[1:4] == bytes([Kind.MSG, 0, Priority.LOW])
    [frame] = decode_batch(headers[:3] + b"\0" + headers[4:], b"")
    assert frame.priority == Priority.NORMAL


def test_a_single_payload_is_not_copied() -> None:
    payload = b"x" * 1000
    [frame] = decode_batch(encode_headers([Frame(Kind.MSG, payload=payload)]), payload)
    assert frame.payload is payload
    assert encode_payloads([frame]) is payload


@pytest.mark.parametrize("headers", [b"", b"\x00", b"\x02" + bytes(HEADER_BYTES)])
def test_another_layout_version_is_refused(headers: bytes) -> None:
    with pytest.raises(errors.UnsupportedVersion):
        decode_batch(headers, b"")


def headers_of(*batch: Frame) -> bytes:
    return encode_headers(batch)


@pytest.mark.parametrize(
    ("headers", "payloads"),
    [
        (headers_of(Frame(Kind.MSG))[:-1], b""),
        (headers_of(Frame(Kind.MSG, payload=b"abc")), b"ab"),
        (headers_of(Frame(Kind.MSG, payload=b"abc")), b"abcd"),
        (headers_of(Frame(Kind.MSG, payload=b"a"), Frame(Kind.MSG, payload=b"b")), b"a"),
        (headers_of(Frame(Kind.MSG)), b"x"),
        (headers_of(), b"x"),
        (headers_of(Frame(Kind.MSG, flags=4)), b""),
        (headers_of(Frame(Kind.MSG, flags=0x80)), b""),
        (headers_of(Frame(Kind.MSG, priority=3)), b""),
        (headers_of(Frame(Kind.MSG, priority=0xFF)), b""),
        (b"\x01\x00" + bytes(HEADER_BYTES - 1), b""),
        (b"\x01\xff" + bytes(HEADER_BYTES - 1), b""),
    ],
)
def test_a_malformed_batch_is_refused_as_a_whole(headers: bytes, payloads: bytes) -> None:
    with pytest.raises(errors.BadFrame):
        decode_batch(headers, payloads)


@pytest.mark.parametrize("message", [b"", b"\0\0\0", b"\0\0\0\x02\x01", b"\xff\xff\xff\xff\x01"])
def test_a_link_message_that_is_cut_off_is_refused(message: bytes) -> None:
    with pytest.raises(errors.BadFrame):
        decode_link_message(message)


@STEADY
@given(st.binary(max_size=2 * HEADER_BYTES + 8))
def test_no_bytes_do_more_than_be_refused(message: bytes) -> None:
    with contextlib.suppress(errors.BadFrame, errors.UnsupportedVersion):
        decode_link_message(message)


@STEADY
@given(FRAMES.filter(bool), st.randoms(use_true_random=False))
def test_no_damaged_batch_does_more_than_be_refused(batch: list[Frame], chance: random.Random) -> None:
    message = bytearray(encode_link_message(batch))
    message[chance.randrange(len(message))] ^= 1 << chance.randrange(8)
    with contextlib.suppress(errors.BadFrame, errors.UnsupportedVersion):
        decode_link_message(bytes(message))


# --- pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
@pytest.mark.parametrize("flags", [0, Flag.COMPRESSED])
def test_pieces_make_the_payload_again(size: int, flags: int) -> None:
    payload = zlib.compress(random.Random(size).randbytes(size)) if flags else bytes(size)
    pieces = [*chunked(Frame(Kind.CMD, flags, seq=7, priority=Priority.LOW), payload)]
    assert {piece.priority for piece in pieces} == {Priority.LOW}
    assert [piece.flags for piece in pieces] == [flags | Flag.MORE] * (len(pieces) - 1) + [flags]
    assert max(len(piece.payload) for piece in pieces) <= CHUNK_BYTES
    assembler = Assembler()
    *before, last = [assembler.whole(piece) for piece in pieces]
    assert before == [None] * (len(pieces) - 1)
    assert bytes(last or b"") == (zlib.decompress(payload) if flags else payload)


def test_an_assembler_is_ready_for_the_next_message() -> None:
    assembler = Assembler()
    for seq in (1, 2):
        assert assembler.whole(Frame(Kind.MSG, Flag.MORE, seq=seq, payload=b"a")) is None
        assert bytes(assembler.whole(Frame(Kind.MSG, seq=seq, payload=b"b", part=1)) or b"") == b"ab"


def test_a_path_change_discards_what_is_half_there() -> None:
    assembler = Assembler()
    assembler.whole(Frame(Kind.MSG, Flag.MORE, seq=1, payload=b"old"))
    assembler.reset()
    assert assembler.whole(Frame(Kind.MSG, seq=1, payload=b"new")) == b"new"


def test_pieces_of_two_messages_are_never_joined() -> None:
    assembler = Assembler()
    assembler.whole(Frame(Kind.MSG, Flag.MORE, seq=1, payload=b"a"))
    with pytest.raises(errors.BadFrame):
        assembler.whole(Frame(Kind.MSG, seq=2, payload=b"b", part=1))


@pytest.mark.parametrize("missing", [0, 1, 254, 255, 256, 257])
def test_only_the_part_that_is_due_is_taken(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CHUNK_BYTES", 1)
    pieces = [*chunked(Frame(Kind.MSG, seq=7), bytes(300))]
    assembler = Assembler()
    for piece in pieces[:missing]:
        assembler.whole(piece)
    for late in pieces[missing + 1 : missing + 256]:
        assert not assembler.follows(late)
        with pytest.raises(errors.BadFrame):
            assembler.whole(late)
    *_, whole = [assembler.whole(piece) for piece in pieces[missing:]]
    assert bytes(whole or b"") == bytes(300)


def test_pieces_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_MESSAGE_BYTES", 10)
    assembler = Assembler()
    assert assembler.whole(Frame(Kind.MSG, Flag.MORE, payload=b"x" * 10)) is None
    with pytest.raises(errors.MessageTooBig):
        assembler.whole(Frame(Kind.MSG, Flag.MORE, payload=b"x", part=1))
