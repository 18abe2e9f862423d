"""Large messages of a connection that was dialed to give them in pieces, beside small ones and in fragments."""

import asyncio
from typing import Any

from browsergo.core.channel.pieces import PIECE_BYTES, Payload, Pieces
from tests.fakes.loops import ON_BOTH_LOOPS, Loop
from tests.fakes.raw_peer import BINARY, CONTINUATION, TEXT, RawPeer, dialed

pytestmark = ON_BOTH_LOOPS

LARGE = bytes(range(256)) * 2048  # 4 pieces
LIMIT = {"max_size_bytes": 1 << 20, "in_pieces": True}


class Taken:
    """A listener that keeps what it is given, as it is given."""

    def __init__(self) -> None:
        self.messages: list[Payload] = []
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_message(self, payload: Payload, is_text: bool) -> None:
        self.messages.append(payload)

    def on_writable(self, writable: bool) -> None:
        raise AssertionError("nothing was written")

    def on_closed(self, code: int, reason: str) -> None:
        self.ended.set_result(code)


def taken(loop: Loop, *sent: tuple[int, bytes, bool], **limit: Any) -> tuple[list[Payload], int]:
    """What a listener is given of these frames (opcode, payload, fin), and the code of the end."""

    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        for opcode, payload, fin in sent:
            peer.send(opcode, payload, fin=fin)
        peer.send_close(1000)
        await peer.receive_close()

    found: list[tuple[list[Payload], int]] = []

    async def scenario() -> None:
        async with dialed(behave, **LIMIT | limit) as connection:
            listener = Taken()
            connection.listen(listener)
            async with asyncio.timeout(10):
                found.append((listener.messages, await listener.ended))

    loop.run(scenario)
    return found[0]


def test_what_is_long_comes_in_pieces_and_what_is_not_as_bytes(loop: Loop) -> None:
    edge = LARGE[:PIECE_BYTES]
    sent = (LARGE, b"small", edge, edge + b"1", LARGE)
    messages, code = taken(loop, *((TEXT, payload, True) for payload in sent))
    assert [bytes(message) for message in messages] == list(sent)
    assert [isinstance(message, Pieces) for message in messages] == [True, False, False, True, True]
    assert [len(part) for each in messages[3:4] if isinstance(each, Pieces) for part in each.parts] == [PIECE_BYTES, 1]
    assert code == 1000


def test_fragments_are_put_together_whatever_their_size(loop: Loop) -> None:
    frames = ((TEXT, LARGE, False), (CONTINUATION, b"-", False), (CONTINUATION, LARGE, True), (BINARY, b"next", True))
    messages, _ = taken(loop, *frames, max_size_bytes=2 * len(LARGE) + 1)
    assert messages == [LARGE + b"-" + LARGE, b"next"]


def test_what_is_above_the_limit_is_refused_before_it_is_read(loop: Loop) -> None:
    messages, code = taken(loop, (TEXT, LARGE, True), max_size_bytes=len(LARGE) - 1)
    assert (messages, code) == ([], 1009)
