"""The shell around the device end: one Chrome socket a channel, whatever happens while it is dialed."""

import asyncio
from typing import Literal

import pytest
import structlog

from browsergo.agent.browser import Answer, Browser
from browsergo.agent.config import Compression
from browsergo.agent.device import Device, Registered
from browsergo.agent.websocket import ClientConnection
from browsergo.core.channel import payloads
from browsergo.core.channel.frames import CHUNK_BYTES, Frame, Kind, Priority, decode_link_message

CHANNEL = b"c" * 16
CLIENT_EDGE = 7


class SlowBrowser(Browser):
    """A browser that does not answer until it is told to; counts who still waits."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 9)
        self.dials = 0
        self.called_off = 0
        self.dialing = asyncio.Event()

    async def dial(self, endpoint: str) -> ClientConnection:
        """Never answers."""
        self.dials += 1
        self.dialing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.called_off += 1
            raise
        raise AssertionError("nobody sets it")


class Library(Browser):
    """A browser with one long document."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 9)

    async def fetch(self, method: str, target: str) -> Answer:
        """The document."""
        return Answer(200, bytes(2 * CHUNK_BYTES + 1))


class WiredLink:
    """A link connection that keeps what was sent."""

    peer_is_this_machine = True

    def __init__(self) -> None:
        self.closed = False
        self.sent: list[Frame] = []
        self.written = asyncio.Event()

    def listen(self, listener: object) -> None:
        """Nothing comes by itself."""

    def close(self, code: int, reason: str) -> None:
        """Remember it."""
        self.closed = True

    def keep_alive(self, idle_s: float, dead_s: float) -> None:
        """No timers."""

    def limit_unsent(self, kernel_bytes: int) -> None:
        pass

    def send_binary(self, message: bytes) -> None:
        """Keep it."""
        self.sent += decode_link_message(message)
        if self.sent[-1].kind == Kind.FETCHED:
            self.written.set()


def opening(claim: str) -> Frame:
    body = payloads.Open("d", claim, "/devtools/browser", "edge-1")
    return Frame(Kind.OPEN, source=CLIENT_EDGE, channel=CHANNEL, payload=payloads.encode_open(body))


def test_a_channel_closed_while_it_is_dialed_calls_the_dial_off() -> None:
    async def scenario() -> tuple[int, int, int]:
        browser = SlowBrowser()
        device = Device("d", "boot", browser, structlog.get_logger())
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link = device.add_link(WiredLink(), lost, Registered(1, 1))  # type: ignore[arg-type]  # all that a link uses of it
        from_edge = link._on_frames
        from_edge(link, [opening("one")])
        await browser.dialing.wait()
        from_edge(link, [Frame(Kind.CLOSE, source=CLIENT_EDGE, channel=CHANNEL, payload=payloads.encode_claim("one"))])
        browser.dialing.clear()
        from_edge(link, [opening("two")])
        await browser.dialing.wait()
        counts = browser.dials, browser.called_off, device.channels
        device.cancel_work()
        await asyncio.sleep(0)
        return counts

    assert asyncio.run(scenario()) == (2, 1, 1)


def test_channels_move_to_the_first_link_of_a_newer_registration_and_the_older_links_stay_open() -> None:
    async def scenario() -> None:
        device = Device("d", "boot", Library(), structlog.get_logger())
        wired = [WiredLink() for _ in range(3)]
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        first = device.registered(1, trace=False)
        links = [device.add_link(each, lost, first) for each in wired[:2]]  # type: ignore[arg-type]  # all that a link uses of it
        links[0]._on_frames(links[0], [Frame(Kind.PATH_LOST, source=CLIENT_EDGE), opening("one")])
        second = device.registered(2, trace=False)
        assert (device.has_link(first), device.has_link(second)) == (True, False)
        links.append(device.add_link(wired[2], lost, second))  # type: ignore[arg-type]  # all that a link uses of it
        for link in links:
            link.flush_now()
        assert {frame.at.epoch for each in wired[:2] for frame in each.sent} == {1}, "no edge gets a foreign epoch"
        assert {frame.at.epoch for frame in wired[2].sent} == {2}
        assert CLIENT_EDGE in [frame.edge for frame in wired[2].sent if frame.kind == Kind.HELLO]
        assert [each.closed for each in wired] == [False, False, False]
        device.cancel_work()

    asyncio.run(scenario())


def test_a_document_is_of_the_lowest_class() -> None:
    async def scenario() -> list[Frame]:
        device = Device("d", "boot", Library(), structlog.get_logger())
        wired = WiredLink()
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link = device.add_link(wired, lost, Registered(1, 1))  # type: ignore[arg-type]  # all that a link uses of it
        asked = b'{"device":"d","method":"GET","path":"/devtools/inspector.js"}'
        link._on_frames(link, [Frame(Kind.FETCH, source=CLIENT_EDGE, channel=CHANNEL, payload=asked)])
        await wired.written.wait()
        link.flush_now()
        return [frame for frame in wired.sent if frame.kind == Kind.FETCHED]

    pieces = asyncio.run(scenario())
    assert len(pieces) == 3
    assert {piece.priority for piece in pieces} == {Priority.LOW}


@pytest.mark.parametrize(
    ("mode", "is_near", "compresses"),
    [("auto", True, False), ("auto", False, True), ("on", True, True), ("off", False, False)],
)
def test_large_messages_are_compressed_for_an_edge_that_is_far(
    mode: Literal["auto", "on", "off"], is_near: bool, compresses: bool
) -> None:
    async def scenario() -> None:
        device = Device("d", "boot", Library(), structlog.get_logger(), Compression(mode, 1000))
        wired = WiredLink()
        wired.peer_is_this_machine = is_near
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        device.add_link(wired, lost, Registered(1, 1))  # type: ignore[arg-type]  # all that a link uses of it
        assert [device.compresses(size) for size in (1000, 1001)] == [False, compresses]

    asyncio.run(scenario())
