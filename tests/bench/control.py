"""How the bench steers its load processes: JSON lines on their stdin, answers on their stdout."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

LINE_BYTES = 1 << 20


def say(**answer: Any) -> None:
    """Answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def orders() -> AsyncIterator[dict[str, Any]]:
    """What the bench asks for, until it closes our stdin."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)
