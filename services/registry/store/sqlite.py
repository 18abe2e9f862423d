"""Epochs in SQLite: write-ahead log, synchronous=FULL, one writer, group commit.

The database is locked for as long as it is open (locking_mode=EXCLUSIVE), so two registries cannot
hand out the same epoch; the kernel lets go of the lock when the process dies, however it dies.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from browsergo.core.errors import Overloaded, ServiceUnavailable
from services.registry.store.port import StoreError

# One entry a version: what leads there from the version before. Never changed once released.
MIGRATIONS = (
    "CREATE TABLE device (device_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL CHECK (epoch > 0)) WITHOUT ROWID",
)
SCHEMA_VERSION = len(MIGRATIONS)

# The lock of a predecessor that is just ending is waited for so long.
BUSY_TIMEOUT_S = 0.5
MAX_WAITING = 10_000
MAX_BATCH = 1_000

_NEXT_EPOCH = (
    "INSERT INTO device (device_id, epoch) VALUES (?, 1) "
    "ON CONFLICT (device_id) DO UPDATE SET epoch = epoch + 1 RETURNING epoch"
)
_NEWEST_EPOCHS = "SELECT device_id, epoch FROM device WHERE device_id IN (SELECT value FROM json_each(?))"


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the database, lock it and bring its schema up to date. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(_explain(path, error)) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Make the file readable for its owner only. One that exists is not opened: closing it would drop its locks."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # Before anything else is read: only then the lock is taken with the first access and kept.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    with _transaction(connection):
        version = _checked_version(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    with _transaction(connection):
        for migration in MIGRATIONS[version:]:
            connection.execute(migration)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer version of Browser-Go "
            f"(schema {version}, this one knows {SCHEMA_VERSION}); start that version"
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise StoreError(f"{path} is a database of something else; name another file")
    return version


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _explain(path: Path, error: sqlite3.Error) -> str:
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path} is in use by another registry; stop that one or name another file"
    return f"{path} cannot be used: {error}"


class SqliteEpochStore:
    """An EpochStore. Made by `opened`; one thread owns the connection, one task feeds it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.epochs = 0
        self.commits = 0
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="registry-store")
        self._waiting: list[tuple[str, asyncio.Future[int]]] = []
        self._wake = asyncio.Event()

    async def next_epoch(self, device_id: str) -> int:
        """See EpochStore. Those that wait at the same moment share one transaction."""
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded("too many registrations are waiting for the disk")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((device_id, future))
        self._wake.set()
        return await future

    async def newest_epochs(self, device_ids: Sequence[str]) -> Mapping[str, int]:
        """See EpochStore."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, device_ids)
        except sqlite3.Error as error:
            raise ServiceUnavailable(f"the registry's store cannot be read: {error}") from error

    async def write(self) -> None:
        """Commit what waits, batch after batch, until cancelled."""
        while True:
            await self._wake.wait()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if not self._waiting:
                self._wake.clear()
            await self._write_batch(batch)

    async def _write_batch(self, batch: Sequence[tuple[str, "asyncio.Future[int]"]]) -> None:
        ids = [device_id for device_id, future in batch if not future.done()]
        futures = [future for _device_id, future in batch if not future.done()]
        if not ids:
            return
        try:
            epochs = await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, ids)
        except asyncio.CancelledError:
            _refuse(futures, "the registry is stopping")
            raise
        except sqlite3.Error as error:
            _refuse(futures, f"the registry's store cannot be written: {error}")
            return
        for future, epoch in zip(futures, epochs, strict=True):
            if not future.done():
                future.set_result(epoch)

    def close(self) -> None:
        """Refuse what still waits, and close the database after what is being written."""
        _refuse([future for _device_id, future in self._waiting], "the registry is stopping")
        self._waiting.clear()
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _commit(self, device_ids: Sequence[str]) -> list[int]:
        with _transaction(self._connection):
            rows = [self._connection.execute(_NEXT_EPOCH, (device_id,)).fetchone() for device_id in device_ids]
        epochs = [int(epoch) for (epoch,) in rows]
        self.epochs += len(epochs)
        self.commits += 1
        return epochs

    def _read(self, device_ids: Sequence[str]) -> dict[str, int]:
        return dict(self._connection.execute(_NEWEST_EPOCHS, (json.dumps(device_ids),)))


def _refuse(futures: Iterable["asyncio.Future[int]"], why: str) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(ServiceUnavailable(why))


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteEpochStore]:
    """The store while the block runs. Raises StoreError."""
    store = SqliteEpochStore(connect(path))
    writer = asyncio.create_task(store.write())
    try:
        yield store
    finally:
        writer.cancel()
        await asyncio.wait([writer])
        store.close()
