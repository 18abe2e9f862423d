"""A WebSocket of a test, over the relay's own client shell: messages in the order they came, and how it ended."""

import asyncio
import json
from typing import Any, NamedTuple

from browsergo.agent.websocket import ClientConnection, dial

TIMEOUT_S = 10.0

Address = tuple[str, int]
Message = dict[str, Any]


class Received(NamedTuple):
    """One message."""

    payload: bytes
    is_text: bool


class Closed(NamedTuple):
    """How a connection ended."""

    code: int
    reason: str


class Socket:
    """One open connection. It is its own listener."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.writable: list[bool] = []
        self._arrived: asyncio.Queue[Received | Closed] = asyncio.Queue()
        self._closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        connection.listen(self)

    def on_message(self, payload: bytes, is_text: bool) -> None:
        self._arrived.put_nowait(Received(payload, is_text))

    def on_writable(self, writable: bool) -> None:
        self.writable.append(writable)

    def on_closed(self, code: int, reason: str) -> None:
        self._arrived.put_nowait(Closed(code, reason))
        self._closed.set_result(Closed(code, reason))

    async def receive(self, timeout_s: float | None = TIMEOUT_S) -> Received:
        """The next message. Fails if the connection ends instead, or nothing comes."""
        async with asyncio.timeout(timeout_s):
            arrived = await self._arrived.get()
        assert isinstance(arrived, Received), f"closed instead: {arrived}"
        return arrived

    async def receive_json(self) -> Message:
        """The next message, which is a JSON object in text."""
        payload, is_text = await self.receive()
        message = json.loads(payload)
        assert is_text
        assert isinstance(message, dict)
        return message

    async def closed(self) -> Closed:
        """How it ended; waits for that."""
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.shield(self._closed)

    def pending(self) -> list[Received | Closed]:
        """What has come and was not taken yet."""
        return [self._arrived.get_nowait() for _ in range(self._arrived.qsize())]

    def send_json(self, message: Message) -> None:
        self.connection.send_text(json.dumps(message).encode())

    def send_text(self, text: str) -> None:
        self.connection.send_text(text.encode())

    async def call(self, number: int, method: str, params: Message | None = None) -> Message:
        """Send a CDP command and take the next message."""
        self.send_json({"id": number, "method": method, "params": params or {}})
        return await self.receive_json()

    async def close(self) -> Closed:
        """Close from this side and wait for the end."""
        self.connection.close(1000)
        return await self.closed()


async def dial_socket(
    address: Address,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    subprotocols: list[str] | None = None,
    max_size_bytes: int = 64 << 20,
) -> Socket:
    """Open a connection. Raises HandshakeRefused."""
    return Socket(
        await dial(
            *address,
            path,
            headers=headers,
            subprotocols=subprotocols,
            max_size_bytes=max_size_bytes,
            timeout_s=TIMEOUT_S,
        )
    )
