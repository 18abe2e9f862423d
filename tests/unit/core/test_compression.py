"""Payloads as zlib streams: what is worth it, cut into pieces and unfolded piece by piece; broken ones and bombs."""

import json
import random
import zlib

import pytest

from browsergo.core import errors
from browsergo.core.channel import frames
from browsergo.core.channel.compression import Inflater, deflated
from browsergo.core.channel.frames import CHUNK_BYTES, Assembler, Flag, Frame, Kind, chunked
from browsergo.core.channel.pieces import PIECE_BYTES, Payload, Pieces

NOISE = random.Random(1).randbytes(5 * PIECE_BYTES)
MOST_BYTES = 1 << 30


def real_json(count: int) -> bytes:
    """What compresses to about a tenth, as the snapshots of pages do."""
    chance = random.Random(count)
    nodes = [{"nodeId": chance.getrandbits(32), "nodeName": chance.choice(["DIV", "SPAN", "A"])} for _ in range(count)]
    return json.dumps({"id": 1, "result": {"nodes": nodes}}).encode()


def travelled(payload: Payload) -> Payload:
    """Cut, sent as compressed frames, and put together again."""
    assembler = Assembler()
    pieces = [*chunked(Frame(Kind.MSG, Flag.COMPRESSED, seq=4), payload)]
    assert max(len(piece.payload) for piece in pieces) <= CHUNK_BYTES
    *before, last = [assembler.whole(piece) for piece in pieces]
    assert before == [None] * len(before)
    assert last is not None
    return last


@pytest.mark.parametrize("count", [300, 3_000, 100_000])
def test_what_is_folded_unfolds_to_the_same_bytes(count: int) -> None:
    payload = real_json(count)
    small = deflated(payload)
    assert small is not None
    assert len(small) < len(payload) / 2
    assert bytes(travelled(small)) == payload


def test_pieces_are_folded_as_the_message_that_they_are() -> None:
    payload = real_json(30_000)
    pieces = Pieces([payload[begin : begin + PIECE_BYTES] for begin in range(0, len(payload), PIECE_BYTES)])
    small = deflated(pieces)
    assert small is not None
    unfolded = travelled(small)
    assert isinstance(unfolded, Pieces)
    assert max(map(len, unfolded.parts)) <= PIECE_BYTES
    assert bytes(unfolded) == payload


def test_what_hardly_gets_smaller_is_sent_as_it_is() -> None:
    assert deflated(NOISE) is None
    assert deflated(b"") is None


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_stream_that_ends_early_or_late_is_refused(cut: int) -> None:
    stream = zlib.compress(real_json(3_000))
    for payload in (stream[: len(stream) - 1 - cut], stream + b"more"):
        with pytest.raises(errors.BadFrame):
            travelled(payload)


@pytest.mark.parametrize("payload", [b"", b"plain", NOISE])
def test_what_is_no_stream_is_refused(payload: bytes) -> None:
    with pytest.raises(errors.BadFrame):
        travelled(payload)


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    bomb = zlib.compress(bytes(100_000_000))
    assert len(bomb) < CHUNK_BYTES
    inflater = Inflater(1_000_000)
    with pytest.raises(errors.MessageTooBig):
        inflater.feed(bomb)


def test_the_bound_is_that_of_the_unfolded_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_MESSAGE_BYTES", 1000)
    assert bytes(travelled(zlib.compress(bytes(1000)))) == bytes(1000)
    with pytest.raises(errors.MessageTooBig):
        travelled(zlib.compress(bytes(1001)))


def test_chunks_of_one_message_are_all_compressed_or_none() -> None:
    stream = zlib.compress(real_json(3_000))
    assembler = Assembler()
    assert assembler.whole(Frame(Kind.MSG, Flag.COMPRESSED | Flag.MORE, seq=1, payload=stream[:100])) is None
    with pytest.raises(errors.BadFrame):
        assembler.whole(Frame(Kind.MSG, seq=1, payload=stream[100:]))


def test_a_stream_fed_byte_by_byte_unfolds_to_the_same() -> None:
    payload = real_json(300)
    inflater = Inflater(MOST_BYTES)
    parts = [part for byte in zlib.compress(payload) for part in inflater.feed(bytes([byte]))]
    inflater.finish()
    assert b"".join(parts) == payload
