"""The shell around the device end: one Chrome socket a channel, whatever happens while it is dialed."""

import asyncio

import structlog

from browsergo.agent.browser import Browser
from browsergo.agent.device import Device
from browsergo.chassis.websocket import ClientConnection
from browsergo.core.channel import payloads
from browsergo.core.channel.frames import Frame, Kind, decode_link_message

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


class WiredLink:
    """A link connection that keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []

    def listen(self, listener: object) -> None:
        """Nothing comes by itself."""

    def keep_alive(self, idle_s: float, dead_s: float) -> None:
        """No timers."""

    def send_binary(self, message: bytes) -> None:
        """Keep it."""
        self.sent += decode_link_message(message)


def opening(claim: str) -> Frame:
    body = payloads.Open("d", claim, "/devtools/browser", "edge-1")
    return Frame(Kind.OPEN, source=CLIENT_EDGE, channel=CHANNEL, payload=payloads.encode_open(body))


def test_a_channel_closed_while_it_is_dialed_calls_the_dial_off() -> None:
    async def scenario() -> tuple[int, int, int]:
        browser = SlowBrowser()
        device = Device("d", "boot", browser, structlog.get_logger())
        device.registered(1, trace=False)
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link = device.add_link(WiredLink(), lost)  # type: ignore[arg-type]  # all of a connection that a link uses
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
