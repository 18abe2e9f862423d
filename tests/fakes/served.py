"""The edge's server without uvicorn's main loop, which sleeps a tenth of a second twice: up and down at once."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

from edge.server import EdgeServer

CLOSE_S = 3.0


async def start(server: EdgeServer, listener: socket.socket) -> None:
    """Serve on `listener`."""
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[listener])


async def stop(server: EdgeServer) -> None:
    """Close everything, as uvicorn does: every connection is asked to end, and given some time."""
    server.stop_accepting()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    deadline = time.monotonic() + CLOSE_S
    while server.server_state.connections and time.monotonic() < deadline:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.002)
    for task in list(server.server_state.tasks):
        task.cancel()


@contextlib.asynccontextmanager
async def serving_quickly(server: EdgeServer, listener: socket.socket) -> AsyncIterator[None]:
    """Serve as long as the block runs."""
    await start(server, listener)
    try:
        yield
    finally:
        await stop(server)
