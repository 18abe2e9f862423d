"""WebSockets of the bench's own processes, on picows: the load must cost less than what it measures."""

import asyncio
from collections.abc import Callable, Mapping

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

MAX_FRAME_BYTES = 1 << 27


class Socket(WSListener):
    """One connection: text messages whole, however they were split."""

    def __init__(self, on_text: Callable[["Socket", bytes], None]) -> None:
        self.transport: WSTransport
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_text = on_text
        self._parts: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.disconnect()
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            if frame.fin and not self._parts:
                self._on_text(self, frame.get_payload_as_bytes())
                return
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                whole, self._parts = b"".join(self._parts), []
                self._on_text(self, whole)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def send(self, text: bytes) -> None:
        """One text message."""
        self.transport.send(WSMsgType.TEXT, text)

    async def writable(self) -> None:
        """Wait while the peer takes nothing."""
        await self._writable.wait()


async def dial(url: str, on_text: Callable[[Socket, bytes], None], headers: Mapping[str, str]) -> Socket:
    """Open a connection."""
    _, socket = await ws_connect(
        lambda: Socket(on_text), url, extra_headers=dict(headers), max_frame_size=MAX_FRAME_BYTES
    )
    assert isinstance(socket, Socket)
    return socket
