"""A TCP proxy that is a thin, long line: so many bytes a second each way, each so late, and little in between."""

import asyncio
import socket

from tests.fakes.tcp_proxy import TcpProxy

STEP_BYTES = 8 << 10
OVERSLEPT_S = 0.005  # of a timer: the line itself does not sleep
WINDOW_BYTES = 16 << 10  # what the kernel may take in ahead of us: it would be a queue that nobody can overtake in


class ThinProxy(TcpProxy):
    """`bytes_per_s` and `delay_s` each way, for each connection, as long as the context lasts."""

    def __init__(self, target: tuple[str, int], bytes_per_s: float, delay_s: float) -> None:
        super().__init__(target)
        self._bytes_per_s, self._late_s = bytes_per_s, delay_s

    async def _serve(self) -> asyncio.Server:
        # With its protocol named, or asyncio leaves Nagle on.
        listener = socket.socket(proto=socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)  # before it listens: it sets the window
        listener.bind(self._listen)
        return await asyncio.start_server(self._accept, sock=listener, limit=STEP_BYTES)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        dialed = socket.socket(proto=socket.IPPROTO_TCP)
        dialed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
        dialed.setblocking(False)
        await asyncio.get_running_loop().sock_connect(dialed, self._target)
        return await asyncio.open_connection(sock=dialed, limit=STEP_BYTES)

    async def _carry(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event
    ) -> None:
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        try:
            while chunk := await reader.read(STEP_BYTES):
                self.carried_bytes += len(chunk)
                self.bytes_of[number] += len(chunk)
                free_at = max(free_at, loop.time() - OVERSLEPT_S) + len(chunk) / self._bytes_per_s
                loop.call_at(max(free_at, loop.time()) + self._late_s, writer.write, chunk)
                await asyncio.sleep(free_at - loop.time())
            await asyncio.sleep(self._late_s)
        except OSError:
            pass  # one side is gone: the other goes too
