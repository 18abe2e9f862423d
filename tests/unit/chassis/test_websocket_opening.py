"""The WebSocket shell dials: what it sends, what it makes of answers, and what comes before anybody listens."""

import asyncio

import pytest

from browsergo.agent.websocket import dial
from browsergo.chassis.websocket import ABNORMAL
from browsergo.core.errors import HandshakeRefused, ServiceUnavailable
from tests.fakes.loops import ON_BOTH_LOOPS, Loop
from tests.fakes.raw_peer import TEXT, Behaviour, RawPeer, close_frame, dialed, raw_frame, raw_server, until_gone
from tests.fakes.websocket_client import Closed, Received, Socket

pytestmark = ON_BOTH_LOOPS

FALSE_ACCEPTANCE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
)


def test_the_request_is_what_chrome_wants_and_offers_no_compression(loop: Loop) -> None:
    heads: list[tuple[str, list[tuple[str, str]]]] = []

    async def behave(peer: RawPeer) -> None:
        heads.append(await peer.read_head())

    async def scenario() -> None:
        headers = {"Host": "localhost", "Authorization": "Bearer t"}
        with pytest.raises(ServiceUnavailable):
            async with dialed(behave, headers=headers, subprotocols=["a.b", "c"]):
                pass

    loop.run(scenario)
    [(first, lines)] = heads
    assert first == "GET /path?query=1 HTTP/1.1"
    names = [name for name, _ in lines]
    assert names.count("host") == 1
    assert {"host": "localhost", "authorization": "Bearer t", "sec-websocket-protocol": "a.b, c"}.items() <= dict(
        lines
    ).items()
    assert not {"origin", "sec-websocket-extensions"} & set(names)


def refusing(answer: bytes) -> Behaviour:
    async def behave(peer: RawPeer) -> None:
        await peer.read_head()
        peer.writer.write(answer)

    return behave


def test_a_refused_handshake_carries_the_status_and_what_the_body_says(loop: Loop) -> None:
    body = b"UNAUTHENTICATED: get a fresh token\n"
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def scenario() -> None:
        with pytest.raises(HandshakeRefused) as refused:
            async with dialed(refusing(answer)):
                pass
        assert (refused.value.status, refused.value.body) == (401, body.decode())
        assert refused.value.message == "HTTP 401: UNAUTHENTICATED: get a fresh token"

    loop.run(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 101 Switching",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        FALSE_ACCEPTANCE,
    ],
    ids=["nothing", "another protocol", "half an answer", "no key", "wrong key"],
)
def test_what_is_no_websocket_server_is_a_service_that_is_unavailable(loop: Loop, answer: bytes) -> None:
    async def scenario() -> None:
        with pytest.raises(ServiceUnavailable):
            async with dialed(refusing(answer)):
                pass

    loop.run(scenario)


def test_a_server_that_never_answers_is_given_up_and_let_go(loop: Loop) -> None:
    async def scenario() -> None:
        with pytest.raises(ServiceUnavailable, match=r"no answer within 0\.05 s"):
            async with dialed(until_gone, timeout_s=0.05):
                pass

    loop.run(scenario)


def test_nobody_listening_is_a_service_that_is_unavailable(loop: Loop) -> None:
    async def scenario() -> None:
        async with raw_server(until_gone) as address:
            pass
        with pytest.raises(ServiceUnavailable, match="cannot connect"):
            await dial(*address, "/", max_size_bytes=1, timeout_s=5)

    loop.run(scenario)


def test_a_caller_that_gives_up_leaves_no_connection_behind(loop: Loop) -> None:
    async def scenario() -> None:
        arrived = asyncio.Event()

        async def behave(peer: RawPeer) -> None:
            await peer.read_head()
            arrived.set()
            assert await peer.is_ended()

        async with raw_server(behave) as address:
            dialing = asyncio.create_task(dial(*address, "/", max_size_bytes=1, timeout_s=5))
            await arrived.wait()
            dialing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialing

    loop.run(scenario)


def test_what_comes_in_the_segment_of_the_handshake_waits_for_the_listener(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        peer.writer.write(await peer.accepting() + raw_frame(TEXT, b"first") + raw_frame(TEXT, b"second"))
        await peer.writer.drain()
        peer.send(TEXT, b"third")
        await until_gone(peer)

    async def scenario() -> None:
        async with dialed(behave) as connection:
            await asyncio.sleep(0.02)  # whatever else comes is not read before somebody listens
            socket = Socket(connection)
            assert [(await socket.receive()).payload for _ in range(3)] == [b"first", b"second", b"third"]

    loop.run(scenario)


def test_a_goodbye_in_the_segment_of_the_handshake_is_heard_behind_its_message(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        peer.writer.write(await peer.accepting() + raw_frame(TEXT, b"why") + close_frame(4510, "TAKEN_OVER"))
        assert await peer.receive_close() == (4510, "TAKEN_OVER")

    async def scenario() -> None:
        async with dialed(behave) as connection:
            await asyncio.sleep(0.02)
            socket = Socket(connection)
            assert await socket.receive() == Received(b"why", True)
            assert await socket.closed() == Closed(4510, "TAKEN_OVER")

    loop.run(scenario)


def test_a_connection_that_ended_before_anybody_listened_says_all_it_had_to_say(loop: Loop) -> None:
    async def behave(peer: RawPeer) -> None:
        peer.writer.write(await peer.accepting() + raw_frame(TEXT, b"last words"))
        await until_gone(peer)

    async def scenario() -> None:
        async with dialed(behave) as connection:
            connection.abort()
            await asyncio.sleep(0.02)
            socket = Socket(connection)
            assert await socket.receive() == Received(b"last words", True)
            assert await socket.closed() == Closed(ABNORMAL, "")

    loop.run(scenario)
