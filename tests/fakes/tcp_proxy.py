"""A TCP proxy that breaks what goes through it as a network does: resets, silence both ways or one way, delay."""

import asyncio
import threading
import time
from typing import Self

CHUNK_BYTES = 1 << 16


TO_TARGET, FROM_TARGET = 0, 1


class TcpProxy:
    """Listens on `port` and carries bytes to `target` (host, port) until the context ends."""

    def __init__(self, target: tuple[str, int], listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.port = 0
        self.carried = 0  # connections so far
        self.carried_bytes = 0  # both ways
        self.waiting = 0  # connections that are held now
        self.refused: list[float] = []  # when (monotonic) each connection came that was reset at once
        self.bytes_of: list[int] = []  # both ways, by the order in which connections came
        self._target, self._listen = target, listen
        self._open: dict[asyncio.StreamWriter, int] = {}
        self._refusing = False
        self._carrying: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._passage: asyncio.Event
        self._flows: tuple[asyncio.Event, asyncio.Event]
        self._delay_s = 0.0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def cut(self) -> int:
        """Reset every connection now; how many there were."""

        async def cut() -> int:
            return self._abort_all() // 2  # each has two sides

        return asyncio.run_coroutine_threadsafe(cut(), self._loop).result(10)

    def cut_one(self, number: int) -> None:
        """Reset one connection, by its place in `bytes_of`."""

        def cut() -> None:
            for writer, its in self._open.items():
                if its == number:
                    writer.transport.abort()

        self._loop.call_soon_threadsafe(cut)

    def refuse(self, refusing: bool) -> None:
        """From now on, reset connections that come at once, or let them through again."""
        self._refusing = refusing

    def hold(self) -> None:
        """Let connections that come from now on wait, unanswered."""
        self._loop.call_soon_threadsafe(self._passage.clear)

    def release(self) -> None:
        """Let all that wait through at once."""
        self._loop.call_soon_threadsafe(self._passage.set)

    def stall(self, *directions: int) -> None:
        """From now on nothing passes in these directions (none named: in both), and nobody is told, not even of an end.

        Connections that come wait. With one direction named, they are half open.
        """

        def stall() -> None:
            self._passage.clear()
            for direction in directions or (TO_TARGET, FROM_TARGET):
                self._flows[direction].clear()

        self._loop.call_soon_threadsafe(stall)

    def flow(self) -> None:
        """Let through what was stalled, and all that wait."""

        def flow() -> None:
            for passage in (*self._flows, self._passage):
                passage.set()

        self._loop.call_soon_threadsafe(flow)

    def delay(self, delay_s: float) -> None:
        """Whatever is read from now on is so late, each time."""
        self._delay_s = delay_s

    async def _run(self) -> None:
        self._loop, self._stop, self._passage = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._flows = (asyncio.Event(), asyncio.Event())
        for passage in (*self._flows, self._passage):
            passage.set()
        server = await self._serve()
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        self._abort_all()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, *self._listen)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._target)

    def _abort_all(self) -> int:
        count = len(self._open)
        for writer in self._open:
            writer.transport.abort()
        return count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.refused.append(time.monotonic())
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        self.waiting += 1
        try:
            await self._passage.wait()
            far_reader, far_writer = await self._dial()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        finally:
            self.waiting -= 1
            self._carrying.discard(task)
        number, self.carried = self.carried, self.carried + 1
        self.bytes_of.append(0)
        both = {
            self._start(number, reader, far_writer, TO_TARGET),
            self._start(number, far_reader, writer, FROM_TARGET),
        }
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for side in (writer, far_writer):
            side.transport.abort()

    def _start(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: int
    ) -> "asyncio.Task[None]":
        self._open[writer] = number
        task = asyncio.create_task(self._carry(number, reader, writer, self._flows[direction]))
        self._carrying.add(task)

        def ended(task: "asyncio.Task[None]") -> None:
            self._open.pop(writer, None)
            self._carrying.discard(task)

        task.add_done_callback(ended)
        return task

    async def _carry(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event
    ) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                self.carried_bytes += len(chunk)
                self.bytes_of[number] += len(chunk)
                await asyncio.sleep(self._delay_s)
                await flow.wait()
                writer.write(chunk)
                await writer.drain()
            await flow.wait()  # of an end, too, nobody is told before
        except OSError:
            pass  # one side is gone: the other goes too
