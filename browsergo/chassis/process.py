"""A process's life: event loop, signals, and an orderly end."""

import asyncio
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


class Stop:
    """Asked to stop: `requested` on the first SIGTERM or SIGINT, `forced` on the second."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.forced = asyncio.Event()
        self._first: list[Callable[[], None]] = []

    def on_request(self, callback: Callable[[], None]) -> None:
        """Call `callback` at the first signal, before anything else happens (health goes NOT_SERVING here)."""
        self._first.append(callback)

    def signal(self) -> None:
        """One more signal came."""
        if self.requested.is_set():
            self.forced.set()
            return
        for callback in self._first:
            callback()
        self.requested.set()


def run(main: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    """Run `main` under uvloop (asyncio where there is none) until it returns; signals go to its Stop."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_supervised(main))


async def _supervised(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.signal)
    await main(stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no uvloop on this platform
        return None
    return uvloop.new_event_loop


def new_boot() -> int:
    """Names one run of an edge or a router; never 0 or 2**64 - 1, which are no addresses (core.channel.frames)."""
    return random.SystemRandom().randrange(1, 2**64 - 1)


def is_loopback(host: str) -> bool:
    """Whether a bind to `host` is reachable from this machine only."""
    if host == "localhost":
        return True
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, host.strip("[]"))
        except OSError:
            continue
        return packed[0] == 127 if family == socket.AF_INET else packed == bytes(15) + b"\x01"
    return False
