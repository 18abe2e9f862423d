"""One Chrome socket: what is compressed keeps its place among what is not, and the end comes last."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable

import pytest

from browsergo.agent import chrome_socket
from browsergo.agent.chrome_socket import ChromeSocket
from browsergo.core.channel.pieces import Payload

CHANNEL = b"c" * 16
ABOVE_BYTES = 1000
LARGE = json.dumps({"id": 1, "result": "x" * 400_000}).encode()
SMALL = b'{"method":"A.b"}'


class Wire:
    """All of a connection that a Chrome socket uses."""

    def __init__(self) -> None:
        self.reading = True
        self.closed = False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self, code: int) -> None:
        self.closed = code == 1000


class Heard:
    """The device: what it was told, in order; `compressed` of the same length says how."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []
        self.compressed: list[bool] = []
        self._more = asyncio.Event()

    def compresses(self, size: int) -> bool:
        return size > ABOVE_BYTES

    def from_chrome(self, channel: bytes, payload: Payload, deflated: Payload | None) -> None:
        assert channel == CHANNEL
        assert deflated is None or zlib.decompress(bytes(deflated)) == payload
        self._add(bytes(payload), deflated is not None)

    def chrome_closed(self, channel: bytes, socket: ChromeSocket, reason: str) -> None:
        self._add(reason, False)

    def _add(self, what: bytes | str, compressed: bool) -> None:
        self.told.append(what)
        self.compressed.append(compressed)
        self._more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.told) < count:
                self._more.clear()
                await self._more.wait()


def run(scenario: Callable[[ChromeSocket, Heard, Wire], Awaitable[None]]) -> None:
    async def main() -> None:
        heard, wire = Heard(), Wire()
        await scenario(ChromeSocket(heard, CHANNEL, wire), heard, wire)  # type: ignore[arg-type]  # see Wire

    asyncio.run(main())


def test_messages_keep_their_order_around_those_that_are_compressed() -> None:
    async def scenario(socket: ChromeSocket, heard: Heard, wire: Wire) -> None:
        sent = [SMALL, LARGE, b"1", b"2", LARGE, b"3"]
        for payload in sent:
            socket.on_message(payload, True)
        socket.on_closed(1001, "gone")
        await heard.until(len(sent) + 1)
        assert heard.told == [*sent, "gone"]
        assert heard.compressed == [payload == LARGE for payload in [*sent, b""]]
        assert wire.reading

    run(scenario)


def test_what_is_not_to_be_compressed_goes_on_in_the_same_tick() -> None:
    async def scenario(socket: ChromeSocket, heard: Heard, wire: Wire) -> None:
        for payload in (SMALL, b"1"):
            socket.on_message(payload, True)
        socket.on_closed(1001, "gone")
        assert heard.told == [SMALL, b"1", "gone"]
        assert not wire.closed

    run(scenario)


def test_the_browser_is_not_read_while_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chrome_socket, "WAITING_BYTES", 2 * len(LARGE))

    async def scenario(socket: ChromeSocket, heard: Heard, wire: Wire) -> None:
        reading = []
        for _ in range(2):
            socket.on_message(LARGE, True)
            reading.append(wire.reading)
        await heard.until(2)
        assert [*reading, wire.reading] == [True, False, True]

    run(scenario)


def test_a_full_device_end_is_told_nothing_until_there_is_room() -> None:
    async def scenario(socket: ChromeSocket, heard: Heard, wire: Wire) -> None:
        socket.pause(True)
        socket.on_message(LARGE, True)
        for _ in range(10):
            await asyncio.sleep(0)
        assert (heard.told, wire.reading) == ([], False)
        socket.pause(False)
        await heard.until(1)
        assert (heard.told, wire.reading) == ([LARGE], True)

    run(scenario)


def test_what_waits_is_forgotten_with_the_channel() -> None:
    async def scenario(socket: ChromeSocket, heard: Heard, wire: Wire) -> None:
        socket.on_message(LARGE, True)
        await asyncio.sleep(0)
        socket.hang_up()
        socket.on_closed(1000, "")
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)
        assert heard.told == []
        assert wire.closed

    run(scenario)
