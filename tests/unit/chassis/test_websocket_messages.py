"""The WebSocket shell: messages, closing handshakes, and what the protocol forbids."""

import pytest

from browsergo.chassis import websocket
from browsergo.chassis.websocket import ABNORMAL
from tests.fakes.loops import ON_BOTH_LOOPS, Loop
from tests.fakes.raw_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    LIMIT_BYTES,
    PING,
    PONG,
    TEXT,
    RawPeer,
    dialed,
    raw_frame,
    until_gone,
)
from tests.fakes.websocket_client import Closed, Received, Socket

pytestmark = ON_BOTH_LOOPS


def test_messages_of_both_kinds_and_any_size_arrive_whole_and_in_order(loop: Loop) -> None:
    sizes = (0, 1, 125, 126, 65_535, 65_536, LIMIT_BYTES)

    async def echo(peer: RawPeer) -> None:
        await peer.accept()
        while (found := await peer.receive()).opcode != CLOSE:
            peer.send(found.opcode, found.payload)
        peer.send_close(1000)

    async def scenario() -> None:
        async with dialed(echo) as connection:
            socket = Socket(connection)
            for size in sizes:
                connection.send_text(b"t" * size)
                connection.send_binary(b"b" * size)
            for size in sizes:
                assert await socket.receive() == Received(b"t" * size, True)
                assert await socket.receive() == Received(b"b" * size, False)
            assert await socket.close() == Closed(1000, "")

    loop.run(scenario)


def test_fragments_are_put_together_around_pings_that_are_answered(loop: Loop) -> None:
    pongs: list[bytes] = []

    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        peer.send(TEXT, b"one ", fin=False)
        peer.send(PING, b"life?")
        for byte in b"two":
            peer.send(CONTINUATION, bytes([byte]), fin=False)
        peer.send(PONG)
        peer.send(CONTINUATION, b"", fin=True)
        peer.send(BINARY, b"\x00", fin=False)
        peer.send(CONTINUATION, b"\xff")
        found = await peer.receive()
        assert found.opcode == PONG
        pongs.append(found.payload)
        await until_gone(peer)

    async def scenario() -> None:
        async with dialed(behave) as connection:
            socket = Socket(connection)
            assert await socket.receive() == Received(b"one two", True)
            assert await socket.receive() == Received(b"\x00\xff", False)

    loop.run(scenario)
    assert pongs == [b"life?"]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (4001, "DEVICE_LOST: größer"), (4999, "x")])
def test_the_servers_close_is_told_and_answered_in_kind(loop: Loop, code: int, reason: str) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        peer.send_close(code, reason)
        assert await peer.receive_close() == (code, reason)

    async def scenario() -> None:
        async with dialed(behave) as connection:
            assert await Socket(connection).closed() == Closed(code, reason)

    loop.run(scenario)


def test_a_close_without_a_code_is_1005_and_an_end_without_a_close_is_1006(loop: Loop) -> None:
    async def close_bare(peer: RawPeer) -> None:
        await peer.accept()
        peer.send(CLOSE)
        assert (await peer.receive()).opcode == CLOSE

    async def hang_up(peer: RawPeer) -> None:
        await peer.accept()
        await peer.writer.drain()

    async def reset(peer: RawPeer) -> None:
        await peer.accept()
        await peer.receive()
        peer.reset()

    async def scenario() -> None:
        async with dialed(close_bare) as connection:
            assert (await Socket(connection).closed()).code == 1005
        for ending in (hang_up, reset):
            async with dialed(ending) as connection:
                socket = Socket(connection)
                connection.send_text(b"x")
                assert (await socket.closed()).code == ABNORMAL

    loop.run(scenario)


def test_our_own_close_reaches_the_server_with_a_reason_cut_to_fit(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        code, reason = await peer.receive_close()
        assert (code, reason) == (4001, "ü" * 61)
        peer.send(TEXT, b"too late")
        peer.send_close(code)

    async def scenario() -> None:
        async with dialed(behave) as connection:
            socket = Socket(connection)
            connection.close(4001, "ü" * 100)
            connection.close(4002, "a second one changes nothing")
            connection.send_text(b"nor does this")
            assert (await socket.closed()).code == 4001
            assert socket.pending() == [await socket.closed()]  # what came after our close was dropped

    loop.run(scenario)


def test_a_server_that_does_not_answer_our_close_is_cut(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT_S", 0.05)

    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        assert await peer.receive_close() == (1000, "")
        assert await peer.is_ended()

    async def scenario() -> None:
        async with dialed(behave) as connection:
            socket = Socket(connection)
            connection.close()
            assert (await socket.closed()).code == 1000

    loop.run(scenario)


def test_a_message_above_the_limit_is_refused_with_1009(loop: Loop) -> None:
    async def whole(peer: RawPeer) -> None:
        await peer.accept()
        peer.send(BINARY, bytes(LIMIT_BYTES + 1))
        assert (await peer.receive_close())[0] == 1009

    async def in_pieces(peer: RawPeer) -> None:
        await peer.accept()
        peer.send(BINARY, bytes(LIMIT_BYTES), fin=False)
        peer.send(CONTINUATION, b"x")
        assert (await peer.receive_close())[0] == 1009

    async def scenario() -> None:
        for behave in (whole, in_pieces):
            async with dialed(behave) as connection:
                socket = Socket(connection)
                assert (await socket.closed()).code == 1009
                assert len(socket.pending()) == 1

    loop.run(scenario)


@pytest.mark.parametrize(
    "sent",
    [
        raw_frame(TEXT, b"masked", masked=True),
        raw_frame(CONTINUATION, b"of nothing"),
        raw_frame(TEXT, b"a", fin=False) + raw_frame(TEXT, b"b"),
        raw_frame(0x3),
        raw_frame(PING, bytes(126)),
        raw_frame(PING, b"x", fin=False),
        b"\xf1\x00",
        raw_frame(CLOSE, b"\x00"),
    ],
    ids=[
        "masked",
        "continuation",
        "interleaved",
        "opcode",
        "long ping",
        "ping in pieces",
        "reserved bits",
        "half a code",
    ],
)
def test_what_the_protocol_forbids_ends_the_connection_with_1002(loop: Loop, sent: bytes) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        peer.writer.write(sent)
        assert (await peer.receive_close())[0] == 1002

    async def scenario() -> None:
        async with dialed(behave) as connection:
            assert (await Socket(connection).closed()).code == 1002

    loop.run(scenario)
