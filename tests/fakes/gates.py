"""The edge's server under gates of the test's own, without anything behind them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.applications import Starlette

from browsergo.core.errors import BrowserGoError
from edge.server import EdgeServer, http_protocol, listening_socket, make_server
from edge.upgrade import Gate, Upgrade
from tests.fakes.raw_peer import TIMEOUT_S, Address, RawPeer, raw_connection, upgrade_lines
from tests.fakes.served import serving_quickly
from tests.fakes.websocket_client import Closed

LIMIT_BYTES = 1 << 20  # of messages


class Answer(NamedTuple):
    """A response."""

    status: int
    header: dict[str, str]
    body: str


class Echo:
    """Says everything again, and notes what happened."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self.upgrade: Upgrade

    def accepting(self, subprotocol: str | None = None) -> Gate:
        async def gate(upgrade: Upgrade) -> None:
            self.upgrade = upgrade
            upgrade.accept(self, subprotocol)

        return gate

    def on_message(self, payload: bytes, is_text: bool) -> None:
        self.heard.append(payload)
        self.upgrade.send_text(payload) if is_text else self.upgrade.send_binary(payload)

    def on_writable(self, writable: bool) -> None:
        """Nothing here is large."""

    def on_closed(self, code: int, reason: str) -> None:
        self.closed.set_result(Closed(code, reason))


class Served(NamedTuple):
    """A server and where it is."""

    address: Address
    server: EdgeServer


@contextlib.asynccontextmanager
async def served(gate: Gate) -> AsyncIterator[Served]:
    """The edge's server with this gate and no HTTP."""
    listener = listening_socket("127.0.0.1", 0, None)
    server = make_server(Starlette(), http_protocol(gate, LIMIT_BYTES))
    async with serving_quickly(server, listener):
        yield Served(listener.getsockname()[:2], server)


@contextlib.asynccontextmanager
async def served_by_uvicorn(gate: Gate) -> AsyncIterator[Served]:
    """The same, run as the process runs it; `should_exit` ends it."""
    listener = listening_socket("127.0.0.1", 0, None)
    server = make_server(Starlette(), http_protocol(gate, LIMIT_BYTES))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield Served(listener.getsockname()[:2], server)
    finally:
        server.should_exit = True
        await running


async def read_answer(peer: RawPeer) -> Answer:
    """A response that is not 101, and then the end of the connection."""
    first, lines = await peer.read_head()
    header = dict(lines)
    async with asyncio.timeout(TIMEOUT_S):
        body = await peer.reader.readexactly(int(header["content-length"]))
        assert await peer.reader.read() == b""
    return Answer(int(first.split()[1]), header, body.decode())


async def refused(address: Address, behind: bytes = b"", **header: str) -> Answer:
    async with raw_connection(address) as peer:
        peer.writer.write(upgrade_lines(address, "/", **header) + behind)
        return await read_answer(peer)


def refusing(error: BrowserGoError) -> Gate:
    async def gate(_: Upgrade) -> None:
        raise error

    return gate
