"""Registers devices without end, to be killed: `python -m tests.fakes.epoch_writer DATABASE`.

Prints `DEVICE EPOCH` for every epoch it was given, a line each, when it was given.
"""

import asyncio
import sys
from pathlib import Path

from services.registry.store import sqlite
from services.registry.store.sqlite import SqliteEpochStore

DEVICES = 8


async def register_for_ever(store: SqliteEpochStore, device_id: str) -> None:
    while True:
        print(device_id, await store.next_epoch(device_id), flush=True)


async def main(path: Path) -> None:
    async with sqlite.opened(path) as store:
        await asyncio.gather(*(register_for_ever(store, f"device-{number}") for number in range(DEVICES)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
