"""`python -m tests.bench.device_load DIALECT PLACE COUNT`: the browsers of a row, d0 to d(COUNT-1), in one process."""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import structlog
import uvloop
from picows import WSUpgradeRequest, ws_create_server

from browsergo.agent.browser import Browser as DialedBrowser
from browsergo.agent.config import Compression
from browsergo.agent.device import Device
from browsergo.agent.session import EdgeSession
from browsergo.core.device_messages import Registration
from tests.bench import script
from tests.bench.control import orders, say
from tests.bench.dialects import DIALECTS, Dialect, Place, WrapState
from tests.bench.sockets import MAX_FRAME_BYTES, Socket, dial

EVENTS_A_TICK = 50
READY_WITHIN_S = 20.0


class Speaker:
    """One browser at the end of some way of sending; `writable` waits while that takes nothing."""

    def __init__(self, name: str, send: Callable[[bytes], None], writable: Callable[[], Any]) -> None:
        self._browser = script.Browser(name)
        self._send = send
        self._writable = writable
        self._floods: set[asyncio.Task[None]] = set()

    def hear(self, command: bytes) -> None:
        """Answer a command."""
        reply = self._browser.reply(command)
        if reply is None:
            return
        if not reply.events:
            self._send(reply.answer)
            return
        task = asyncio.ensure_future(self._flood(reply))
        self._floods.add(task)
        task.add_done_callback(self._floods.discard)

    async def _flood(self, reply: script.Reply) -> None:
        for number in range(reply.events):
            self._send(script.event(number))
            if number % EVENTS_A_TICK == EVENTS_A_TICK - 1:
                await asyncio.sleep(0)
            await self._writable()
        self._send(reply.answer)


# --- browsers on plain WebSockets ---------------------------------------------------------------------------


def heard_by(dialect: Dialect, device: str) -> Callable[[Socket, bytes], None]:
    """What a socket of this device does with a message."""
    state: WrapState = {}
    speakers: dict[Socket, Speaker] = {}

    def on_text(socket: Socket, message: bytes) -> None:
        command, answers = dialect.unwrap(message, state, device)
        for answer in answers:
            socket.send(answer)
        if command is None:
            return
        speaker = speakers.get(socket)
        if speaker is None:
            speaker = speakers[socket] = Speaker(
                device, lambda text: socket.send(dialect.wrap(text, state)), socket.writable
            )
        speaker.hear(command)

    return on_text


async def listen(dialect: Dialect) -> None:
    """Be a server whose path ends with the device's name."""

    def connected(request: WSUpgradeRequest) -> Socket:
        return Socket(heard_by(dialect, request.path.decode().rpartition("/")[2]))

    await ws_create_server(connected, "127.0.0.1", dialect.place.device_port, max_frame_size=MAX_FRAME_BYTES)


async def dial_in(dialect: Dialect, count: int) -> None:
    """Dial the relay, one device after the other."""
    for name in (f"d{number}" for number in range(count)):
        socket = await dial(dialect.device_url(name), heard_by(dialect, name), {})
        for greeting in dialect.greetings(name):
            socket.send(greeting)


# --- browsers behind an agent's device end ------------------------------------------------------------------


class PageInMemory:
    """What an agent's Chrome socket uses of a connection, with a scripted browser at its other end."""

    def __init__(self, name: str) -> None:
        self._listener: Any = None
        self._readable = asyncio.Event()
        self._readable.set()
        self._speaker = Speaker(name, self._say, self._readable.wait)

    def listen(self, listener: Any) -> None:
        """Who hears the browser."""
        self._listener = listener

    def send_text(self, command: bytes) -> None:
        """A command."""
        self._speaker.hear(command)

    def pause_reading(self) -> None:
        """The agent takes no more for now."""
        self._readable.clear()

    def resume_reading(self) -> None:
        """It does again."""
        self._readable.set()

    def close(self, code: int, reason: str = "") -> None:
        """The channel is over."""

    def _say(self, text: bytes) -> None:
        # As a socket would: not within the agent's own call.
        asyncio.get_running_loop().call_soon(self._listener.on_message, text, True)


class ScriptedBrowser(DialedBrowser):
    """A browser in this process."""

    def __init__(self, name: str) -> None:
        super().__init__("127.0.0.1", 9)
        self._name = name

    async def dial(self, endpoint: str) -> Any:
        """A new page."""
        return PageInMemory(self._name)


async def link_up(dialect: Dialect, count: int) -> list[asyncio.Task[None]]:
    """Register every device and open its links, as an agent does."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    log = structlog.get_logger()
    url = f"ws://127.0.0.1:{dialect.place.device_port}"
    running: list[asyncio.Task[None]] = []
    for name in (f"d{number}" for number in range(count)):
        device = Device(name, f"boot-{name}", ScriptedBrowser(name), log, Compression("off", 1 << 20))
        session = EdgeSession(url, dialect.place.device_token, device, 2, log)
        running.append(asyncio.ensure_future(session.run(Registration(name, f"instance-{name}", f"boot-{name}"))))
        running.append(asyncio.ensure_future(device.keep_time()))
        async with asyncio.timeout(READY_WITHIN_S):
            await session.registered.wait()
    return running


async def main(words: list[str]) -> None:
    """Be ready, then serve until stdin ends."""
    dialect = DIALECTS[words[0]](Place(**json.loads(words[1])))
    count = int(words[2])
    running: list[asyncio.Task[None]] = []
    if dialect.on_link:
        running = await link_up(dialect, count)
    elif dialect.listens:
        await listen(dialect)
    else:
        await dial_in(dialect, count)
    say(ready=True)
    async for _ in orders():
        pass
    for task in running:
        task.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
