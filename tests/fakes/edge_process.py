"""An edge that is a process of its own, in a world that is in this one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from tests.fakes.edge_world import World
from tests.fakes.http_client import request
from tests.fakes.parts import Part
from tests.fakes.raw_peer import Address


class EdgeProcess(NamedTuple):
    """The process, and where it listens."""

    part: Part
    address: Address

    async def end(self) -> int:
        """Its exit code, without a signal from here."""
        return await asyncio.to_thread(self.part.ended)

    async def until_failing(self, *parts: str) -> dict[str, str]:
        """Wait until /readyz names just these parts, none: it is ready; with why."""
        async with asyncio.timeout(10):
            while True:
                failing: dict[str, str] = (await request(self.address, "/readyz")).json()["failing"]
                if set(failing) == set(parts):
                    return failing
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def edge_process(world: World, folder: Path, *settings: str) -> AsyncIterator[EdgeProcess]:
    """One that listens; `settings` are further flags."""
    argv = ["edge", "--edge-id", "edge-p", "--port", "0", "--registry", f"unix:{folder / 'registry.sock'}"]
    argv += ["--control", f"unix:{folder / 'control.sock'}", "--signing-key", str(world.key_path)]
    argv += ["--routers", world.router.address, *settings]
    part = Part("edge-p", argv, {})
    try:
        await asyncio.to_thread(part.wait_ready)
        ready = next(line for line in map(json.loads, part.log) if line["event"] == "ready")
        yield EdgeProcess(part, tuple(ready["address"]))
    finally:
        await asyncio.to_thread(part.end)
