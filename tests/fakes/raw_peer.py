"""The other side of a WebSocket, byte by byte, as server or as client: what no library would send."""

import asyncio
import base64
import contextlib
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from browsergo.agent.websocket import ClientConnection, dial

TIMEOUT_S = 10.0
LIMIT_BYTES = 1 << 20  # of messages that our client takes here
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MASK = b"mask"

Address = tuple[str, int]


class Raw(NamedTuple):
    """One WebSocket frame."""

    opcode: int
    payload: bytes
    fin: bool


def raw_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = False) -> bytes:
    """A frame as it stands on the wire; clients mask theirs."""
    length, bit = len(payload), 0x80 if masked else 0
    if length < 126:
        head = struct.pack(">BB", opcode | (0x80 if fin else 0), bit | length)
    elif length < 1 << 16:
        head = struct.pack(">BBH", opcode | (0x80 if fin else 0), bit | 126, length)
    else:
        head = struct.pack(">BBQ", opcode | (0x80 if fin else 0), bit | 127, length)
    return head + (_MASK + _masked(payload) if masked else payload)


def close_frame(code: int, reason: str = "", *, masked: bool = False) -> bytes:
    """A close frame."""
    return raw_frame(CLOSE, struct.pack(">H", code) + reason.encode(), masked=masked)


def _masked(payload: bytes, key: bytes = _MASK) -> bytes:
    whole = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(whole)).to_bytes(len(payload))


class RawPeer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool) -> None:
        self.reader = reader
        self.writer = writer
        self._is_client = is_client

    # --- handshakes ----------------------------------------------------------------------------------

    async def read_head(self) -> tuple[str, list[tuple[str, str]]]:
        """The first line of a head and its header lines; names in lower case."""
        async with asyncio.timeout(TIMEOUT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return first, [(name.lower(), value.strip()) for name, _, value in pairs]

    async def accepting(self) -> bytes:
        """Read an upgrade request; the 101 that accepts it."""
        _, lines = await self.read_head()
        key = dict(lines)["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    async def accept(self) -> None:
        """Read an upgrade request and accept it."""
        self.writer.write(await self.accepting())

    # --- frames --------------------------------------------------------------------------------------

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        self.writer.write(raw_frame(opcode, payload, fin=fin, masked=self._is_client))

    def send_close(self, code: int, reason: str = "") -> None:
        self.writer.write(close_frame(code, reason, masked=self._is_client))

    async def receive(self) -> Raw:
        """The next frame, unmasked."""
        async with asyncio.timeout(TIMEOUT_S):
            first, second = await self.reader.readexactly(2)
            length = second & 0x7F
            if length >= 126:
                size = 2 if length == 126 else 8
                length = int.from_bytes(await self.reader.readexactly(size))
            key = await self.reader.readexactly(4) if second & 0x80 else bytes(4)
            payload = await self.reader.readexactly(length)
        return Raw(first & 0x0F, _masked(payload, key), bool(first & 0x80))

    async def receive_close(self) -> tuple[int, str]:
        """The code and reason of the next close frame; frames before it are dropped."""
        while (found := await self.receive()).opcode != CLOSE:
            pass
        return int.from_bytes(found.payload[:2]), found.payload[2:].decode()

    # --- ends ----------------------------------------------------------------------------------------

    async def is_ended(self) -> bool:
        """Whether the other side ends the TCP connection in time; what it still sends is dropped."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while await self.reader.read(1 << 16):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def reset(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()


Behaviour = Callable[[RawPeer], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(behave: Behaviour) -> AsyncIterator[Address]:
    """A server that behaves so towards each connection, and then closes it. What fails in it fails the test."""
    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(RawPeer(reader, writer, is_client=False))
        except ConnectionError:
            pass  # whoever dialed has left
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.get_running_loop().create_task(serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*served)
    finally:
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        server.close()


@contextlib.asynccontextmanager
async def dialed(behave: Behaviour, **options: Any) -> AsyncIterator[ClientConnection]:
    """Our client's connection to a server that behaves so; cut at the end if it still lives."""
    settings: dict[str, Any] = {"max_size_bytes": LIMIT_BYTES, "timeout_s": 5.0}
    async with raw_server(behave) as address:
        connection = await dial(*address, "/path?query=1", **settings | options)
        try:
            yield connection
        finally:
            connection.abort()


async def until_gone(peer: RawPeer) -> None:
    """Behaviour: wait for the other side to end it."""
    assert await peer.is_ended()


def upgrade_lines(address: Address, path: str, **header: str) -> bytes:
    """The head of an upgrade; a header line is named with underscores, `Host=""` leaves it out."""
    lines = {
        "Host": f"{address[0]}:{address[1]}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    } | {name.replace("_", "-"): value for name, value in header.items()}
    head = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items() if value), "", ""]
    return "\r\n".join(head).encode()


@contextlib.asynccontextmanager
async def raw_connection(address: Address) -> AsyncIterator[RawPeer]:
    """A client's TCP connection, reset at the end."""
    reader, writer = await asyncio.open_connection(*address)
    peer = RawPeer(reader, writer, is_client=True)
    try:
        yield peer
    finally:
        peer.reset()
