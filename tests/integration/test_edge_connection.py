"""Open WebSocket connections of the edge over real sockets: early bytes, limits, and every way to end."""

import asyncio
import socket

import pytest

from browsergo.chassis import websocket
from edge.upgrade import EARLY_BYTES, Upgrade
from tests.fakes.gates import LIMIT_BYTES, Echo, refused, served, served_by_uvicorn
from tests.fakes.loops import ON_BOTH_LOOPS, Loop
from tests.fakes.raw_peer import BINARY, TEXT, raw_connection, raw_frame, upgrade_lines
from tests.fakes.websocket_client import Closed, Received, dial_socket

pytestmark = ON_BOTH_LOOPS


# --- early bytes ----------------------------------------------------------------------------------------------


def test_messages_behind_the_head_wait_for_the_decision_and_come_in_order(loop: Loop) -> None:
    async def scenario() -> None:
        echo, decide = Echo(), asyncio.Event()

        async def slow(upgrade: Upgrade) -> None:
            await decide.wait()
            await echo.accepting()(upgrade)

        async with served(slow) as at, raw_connection(at.address) as peer:
            peer.writer.write(upgrade_lines(at.address, "/") + raw_frame(TEXT, b"1", masked=True))
            await peer.writer.drain()
            await asyncio.sleep(0.02)
            peer.send(TEXT, b"2")
            peer.send(BINARY, b"3", fin=False)
            await asyncio.sleep(0.02)
            assert echo.heard == []
            decide.set()
            assert (await peer.read_head())[0].startswith("HTTP/1.1 101")
            peer.send(0, b"4")
            assert [(await peer.receive()).payload for _ in range(3)] == [b"1", b"2", b"34"]

    loop.run(scenario)


def test_what_may_wait_is_bounded_and_nothing_of_it_is_lost(loop: Loop) -> None:
    messages = 40 * EARLY_BYTES // 1024

    async def scenario() -> None:
        echo, decide = Echo(), asyncio.Event()
        waiting: list[Upgrade] = []

        async def slow(upgrade: Upgrade) -> None:
            waiting.append(upgrade)
            await decide.wait()
            await echo.accepting()(upgrade)

        async with served(slow) as at, raw_connection(at.address) as peer:
            peer.writer.write(upgrade_lines(at.address, "/"))
            for number in range(messages):
                peer.send(TEXT, number.to_bytes(2) * 512)
            await asyncio.sleep(0.1)
            assert len(waiting[0]._early) <= EARLY_BYTES + (256 << 10)  # the bound, and one read of the loop's
            decide.set()
            assert (await peer.read_head())[0].startswith("HTTP/1.1 101")
            for number in range(messages):
                assert (await peer.receive()).payload == number.to_bytes(2) * 512

    loop.run(scenario)


# --- ends -----------------------------------------------------------------------------------------------------


def test_an_open_connection_is_closed_with_1012_when_the_server_stops(loop: Loop) -> None:
    async def scenario() -> None:
        async with served_by_uvicorn(Echo().accepting()) as at:
            socket = await dial_socket(at.address, "/")
            at.server.should_exit = True
            closed = await socket.closed()
            assert closed.code == 1012
            assert closed.reason.startswith("DRAINING")

    loop.run(scenario)


def test_an_undecided_one_is_refused_when_the_server_stops(loop: Loop) -> None:
    async def scenario() -> None:
        asked = asyncio.Event()

        async def stuck(_: Upgrade) -> None:
            asked.set()
            await asyncio.Event().wait()

        async with served_by_uvicorn(stuck) as at:
            asking = asyncio.create_task(refused(at.address))
            await asked.wait()
            at.server.should_exit = True
            answer = await asking
            assert (answer.status, answer.body[:8]) == (503, "DRAINING")

    loop.run(scenario)


def test_a_message_above_the_limit_is_refused_with_1009_that_the_sender_gets_to_see(loop: Loop) -> None:
    async def scenario() -> None:
        echo = Echo()
        async with served(echo.accepting()) as at:
            socket = await dial_socket(at.address, "/")
            socket.connection.send_text(bytes(LIMIT_BYTES))
            assert len((await socket.receive()).payload) == LIMIT_BYTES
            for _ in range(8):
                socket.connection.send_text(bytes(4 * LIMIT_BYTES))
            assert (await socket.closed()).code == 1009
            assert (await echo.closed).code == 1009
            assert len(echo.heard) == 1

    loop.run(scenario)


def test_fragments_and_codes_pass_both_ways(loop: Loop) -> None:
    async def scenario() -> None:
        echo = Echo()
        async with served(echo.accepting()) as at, raw_connection(at.address) as peer:
            peer.writer.write(upgrade_lines(at.address, "/"))
            await peer.read_head()
            for piece in (b"a", b"b", b"c"):
                peer.send(TEXT if piece == b"a" else 0, piece, fin=piece == b"c")
            assert (await peer.receive()).payload == b"abc"
            peer.send_close(4999, "enough")
            assert await peer.receive_close() == (4999, "enough")
            assert await peer.is_ended()
            assert await echo.closed == Closed(4999, "enough")

    loop.run(scenario)


def test_a_peer_that_does_not_answer_our_close_is_cut(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT_S", 0.05)

    async def scenario() -> None:
        echo = Echo()
        async with served(echo.accepting()) as at, raw_connection(at.address) as peer:
            peer.writer.write(upgrade_lines(at.address, "/"))
            await peer.read_head()
            echo.upgrade.close(4001, "DEVICE_LOST")
            assert await peer.receive_close() == (4001, "DEVICE_LOST")
            assert await peer.is_ended()
            assert await echo.closed == Closed(4001, "DEVICE_LOST")

    loop.run(scenario)


def test_unmasked_frames_of_a_client_are_forbidden(loop: Loop) -> None:
    async def scenario() -> None:
        echo = Echo()
        async with served(echo.accepting()) as at, raw_connection(at.address) as peer:
            peer.writer.write(upgrade_lines(at.address, "/") + raw_frame(TEXT, b"naked"))
            await peer.read_head()
            assert (await peer.receive_close())[0] == 1002
            assert echo.heard == []

    loop.run(scenario)


def test_a_peer_that_ends_its_side_without_a_close_is_gone(loop: Loop) -> None:
    async def scenario() -> None:
        echo = Echo()
        async with served(echo.accepting()) as at, raw_connection(at.address) as peer:
            peer.writer.write(upgrade_lines(at.address, "/"))
            await peer.read_head()
            peer.send(TEXT, b"last")
            peer.writer.write_eof()
            assert (await echo.closed).code == websocket.ABNORMAL
            assert echo.heard == [b"last"]

    loop.run(scenario)


def test_after_our_close_nothing_more_is_heard(loop: Loop) -> None:
    async def scenario() -> None:
        echo = Echo()
        async with served(echo.accepting()) as at:
            socket = await dial_socket(at.address, "/")
            socket.send_text("before")
            assert await socket.receive() == Received(b"before", True)
            echo.upgrade.close(4502, "BAD_MESSAGE")
            socket.send_text("after")
            assert await socket.closed() == Closed(4502, "BAD_MESSAGE")
            assert echo.heard == [b"before"]

    loop.run(scenario)


# --- peers that vanish ------------------------------------------------------------------------------------------


def test_a_peer_that_vanishes_is_noticed_by_tcp_keepalive(loop: Loop) -> None:
    async def scenario() -> None:
        echo = Echo()
        seen: list[int] = []

        async def watching(upgrade: Upgrade) -> None:
            assert upgrade._transport is not None
            under = upgrade._transport.get_extra_info("socket")
            seen.append(under.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            seen.append(under.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
            await echo.accepting()(upgrade)

        async with served(watching) as at, raw_connection(at.address) as peer:
            peer.writer.write(upgrade_lines(at.address, "/"))
            assert (await peer.read_head())[0].startswith("HTTP/1.1 101")
        assert seen == [1, 30]

    loop.run(scenario)
