"""Large messages stay in pieces, and are understood by their ends."""

import json

import pytest

from browsergo.core import cdp
from browsergo.core.cdp import MessageHead
from browsergo.core.channel.frames import Frame, Kind, chunked
from browsergo.core.channel.pieces import PIECE_BYTES, Pieces, ends, read_head

FILLER = "x" * (2 * PIECE_BYTES)


def cut(message: bytes, size: int = PIECE_BYTES) -> Pieces:
    return Pieces([message[begin : begin + size] for begin in range(0, len(message), size)])


def test_the_length_is_that_of_the_message_and_its_bytes_are_the_same() -> None:
    message = json.dumps({"id": 1, "result": FILLER}).encode()
    pieces = cut(message)
    assert (len(pieces), bytes(pieces)) == (len(message), message)


@pytest.mark.parametrize(
    ("message", "head"),
    [
        ({"id": 7, "result": {"data": FILLER}}, MessageHead(7, False)),
        ({"method": "Page.screencastFrame", "params": FILLER}, MessageHead(None, True, b"Page.screencastFrame")),
        ({"result": FILLER, "id": 8}, MessageHead(8, False)),
        ({"params": FILLER, "method": "A.b"}, MessageHead(None, True)),
        ({"error": FILLER}, MessageHead(None, False)),
    ],
)
def test_what_a_message_is_does_not_depend_on_how_it_is_cut(message: object, head: MessageHead) -> None:
    whole = json.dumps(message).encode()
    assert read_head(whole) == read_head(cut(whole)) == head


@pytest.mark.parametrize("last_bytes", [1, 20, PIECE_BYTES])
def test_a_session_that_comes_with_a_large_address_is_seen(last_bytes: int) -> None:
    params = {"sessionId": "S", "targetInfo": {"url": "data:," + FILLER}}
    message = {"method": "Target.attachedToTarget", "params": params, "sessionId": "PARENT"}
    whole = json.dumps(message, separators=(",", ":")).encode()
    middle, last = whole[:-last_bytes], whole[-last_bytes:]
    pieces = Pieces([*cut(middle).parts, last])
    assert cdp.session_change(ends(pieces)) == cdp.session_change(whole) == cdp.SessionChange("S", "PARENT", True)


def test_pieces_become_frames_without_being_cut_anew() -> None:
    pieces = cut(json.dumps({"id": 1, "result": FILLER}).encode())
    frames = [*chunked(Frame(Kind.MSG, seq=3), pieces)]
    assert all(frame.payload is part for frame, part in zip(frames, pieces.parts, strict=True))
    assert [*chunked(Frame(Kind.MSG, seq=3), bytes(pieces))] == frames
