"""The WebSocket shell: peers that are silent, and peers that are slow."""

import asyncio
import contextlib
import fcntl
import struct
import sys
from collections import Counter

import pytest

from browsergo.chassis import websocket
from browsergo.chassis.websocket import ABNORMAL
from tests.fakes.edge_world import until
from tests.fakes.loops import ON_BOTH_LOOPS, Loop
from tests.fakes.raw_peer import BINARY, LIMIT_BYTES, PING, PONG, TEXT, RawPeer, dialed, until_gone
from tests.fakes.websocket_client import Closed, Received, Socket

pytestmark = ON_BOTH_LOOPS


def test_an_idle_peer_is_pinged_and_lives_as_long_as_it_answers(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        for _ in range(3):
            ping = await peer.receive()
            assert ping.opcode == PING
            peer.send(PONG, ping.payload)
        peer.send_close(1000)
        assert await peer.receive_close() == (1000, "")

    async def scenario() -> None:
        async with dialed(behave) as connection:
            socket = Socket(connection)
            connection.keep_alive(0.05, 0.3)
            assert await socket.closed() == Closed(1000, "")

    loop.run(scenario)


def test_silence_in_the_closing_handshake_does_not_hide_why_it_began(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        peer.send_close(4004, "DRAINING")
        await until_gone(peer)  # and never closes its end of the TCP connection

    async def scenario() -> None:
        async with dialed(behave) as connection:
            socket = Socket(connection)
            connection.keep_alive(0.02, 0.06)
            assert await socket.closed() == Closed(4004, "DRAINING")

    loop.run(scenario)


def test_a_peer_that_vanished_is_pinged_and_cut(loop: Loop) -> None:
    pings = 0

    async def behave(peer: RawPeer) -> None:
        nonlocal pings
        await peer.accept()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while (await peer.receive()).opcode == PING:
                pings += 1

    async def scenario() -> None:
        async with dialed(behave) as connection:
            socket = Socket(connection)
            connection.keep_alive(0.05, 0.15)
            assert await socket.closed() == Closed(ABNORMAL, "the peer is silent")

    loop.run(scenario)
    assert pings >= 1


def test_a_peer_that_we_do_not_read_is_not_taken_for_a_silent_one(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        peer.send(TEXT, b"I am here")
        await until_gone(peer)

    async def scenario() -> None:
        async with dialed(behave) as connection:
            connection.keep_alive(0.02, 0.06)
            await asyncio.sleep(0.2)  # nobody listens yet: reading is paused
            socket = Socket(connection)
            assert await socket.receive() == Received(b"I am here", True)
            connection.pause_reading()
            await asyncio.sleep(0.2)
            assert connection.is_open
            connection.resume_reading()
            assert (await socket.closed()).reason == "the peer is silent"  # now it really is

    loop.run(scenario)


FLOOD_MESSAGES = 24


def test_a_peer_that_does_not_read_makes_us_stop_writing_until_it_does(loop: Loop) -> None:
    go_on: list[asyncio.Event] = []

    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        await go_on[0].wait()
        for _ in range(FLOOD_MESSAGES):
            assert len((await peer.receive()).payload) == LIMIT_BYTES
        await until_gone(peer)

    async def scenario() -> None:
        go_on.append(asyncio.Event())
        async with dialed(behave) as connection:
            socket = Socket(connection)
            for _ in range(FLOOD_MESSAGES):
                connection.send_binary(bytes(LIMIT_BYTES))
            await asyncio.sleep(0.05)
            assert socket.writable == [False]
            assert connection.unsent_bytes > websocket.WRITE_HIGH_BYTES
            go_on[0].set()
            await until(lambda: socket.writable == [False, True] and not connection.unsent_bytes, "all is written")

    loop.run(scenario)


SIOCOUTQNSD = 0x894B  # linux/sockios.h: what a TCP socket has not sent yet
KERNEL_BYTES, MESSAGE_BYTES = 64 << 10, 16 << 10


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is unsent")
def test_what_has_no_turns_any_more_is_little_when_the_peer_is_slow(loop: Loop) -> None:
    go_on: list[asyncio.Event] = []

    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        await go_on[0].wait()
        await until_gone(peer)

    async def scenario() -> None:
        go_on.append(asyncio.Event())
        async with dialed(behave) as connection:
            connection.limit_unsent(KERNEL_BYTES)
            socket = Socket(connection)
            while not socket.writable:
                connection.send_binary(bytes(MESSAGE_BYTES))
                await asyncio.sleep(0)
            assert 0 < connection.unsent_bytes <= MESSAGE_BYTES + 16
            assert connection._transport is not None
            peer = connection._transport.get_extra_info("socket")
            unsent = struct.unpack("i", fcntl.ioctl(peer.fileno(), SIOCOUTQNSD, bytes(4)))[0]
            assert unsent <= 2 * KERNEL_BYTES
            go_on[0].set()
            await until(lambda: socket.writable == [False, True] and not connection.unsent_bytes, "all is written")

    loop.run(scenario)


def test_while_we_do_not_read_the_peer_cannot_write_and_nothing_is_lost(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        for number in range(FLOOD_MESSAGES):
            peer.send(BINARY, bytes([number]) * LIMIT_BYTES)
        await peer.writer.drain()
        sent.set()
        await until_gone(peer)

    sent = asyncio.Event()

    async def scenario() -> None:
        async with dialed(behave) as connection:
            socket = Socket(connection)
            connection.pause_reading()
            await asyncio.sleep(0.1)
            assert not sent.is_set()
            assert len(socket.pending()) <= 2
            connection.resume_reading()

    loop.run(scenario)


def test_writes_of_one_tick_leave_as_one(loop: Loop) -> None:
    reads: list[int] = []

    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        reads.append(len(await peer.reader.read(1 << 16)))
        await until_gone(peer)

    async def scenario() -> None:
        async with dialed(behave) as connection:
            Socket(connection)
            for _ in range(100):
                connection.send_text(b"x" * 10)
            await asyncio.sleep(0.05)

    loop.run(scenario)
    assert reads == [100 * (10 + 2 + 4)]


def test_a_connection_that_has_much_to_say_leaves_turns_to_others(loop: Loop) -> None:
    """Between two parts of what is read, whatever else is due in the loop runs."""
    count, size = 64, 1 << 19

    async def behave(peer: RawPeer) -> None:
        await peer.accept()
        for _ in range(count):
            peer.send(BINARY, bytes(size))
        await peer.writer.drain()
        await peer.receive_close()

    async def scenario() -> None:
        async with dialed(behave) as connection:
            read: Counter[int] = Counter()
            ticks = 0
            taken = connection.data_received

            def counted(data: bytes) -> None:
                read[ticks] += len(data)
                taken(data)

            def tick() -> None:
                nonlocal ticks
                ticks += 1
                asyncio.get_running_loop().call_soon(tick)

            connection.data_received = counted  # type: ignore[method-assign]
            connection._transport.set_protocol(connection)  # type: ignore[union-attr]  # uvloop remembers the method
            tick()
            socket = Socket(connection)
            for _ in range(count):
                assert len((await socket.receive()).payload) == size
            assert max(read.values()) < 2 * websocket.READ_AT_ONCE_BYTES
            await socket.close()

    loop.run(scenario)
