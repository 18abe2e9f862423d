import asyncio
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from browsergo.core.errors import Overloaded, ServiceUnavailable
from services.registry.store import sqlite
from services.registry.store.port import StoreError
from services.registry.store.sqlite import SCHEMA_VERSION, connect, opened
from tests.fakes.stack import ROOT, clean_environment


def value(connection: sqlite3.Connection, pragma: str) -> object:
    return connection.execute(f"PRAGMA {pragma}").fetchone()[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "registry.sqlite"


def test_epochs_start_at_one_and_grow_by_one_for_each_device(path: Path) -> None:
    async def scenario() -> list[int]:
        async with opened(path) as store:
            return [await store.next_epoch(device) for device in ("a", "a", "b", "a")]

    assert asyncio.run(scenario()) == [1, 2, 1, 3]


def test_epochs_go_on_after_a_restart(path: Path) -> None:
    async def one() -> int:
        async with opened(path) as store:
            return await store.next_epoch("a")

    assert [asyncio.run(one()) for _ in range(3)] == [1, 2, 3]


def test_newest_epochs_names_only_devices_that_were_registered(path: Path) -> None:
    async def scenario() -> dict[str, int]:
        async with opened(path) as store:
            for device in ("a", "b", "a"):
                await store.next_epoch(device)
            return dict(await store.newest_epochs(["a", "b", "never"]))

    assert asyncio.run(scenario()) == {"a": 2, "b": 1}


def test_registrations_that_wait_at_the_same_moment_share_one_transaction(path: Path) -> None:
    async def scenario() -> tuple[list[int], int]:
        async with opened(path) as store:
            epochs = await asyncio.gather(*(store.next_epoch(f"device-{number % 50}") for number in range(100)))
            return epochs, store.commits

    epochs, commits = asyncio.run(scenario())
    assert epochs == [1] * 50 + [2] * 50
    assert commits == 1


def test_an_epoch_whose_caller_went_away_while_it_was_written_is_spent(path: Path) -> None:
    async def scenario() -> int:
        async with opened(path) as store:
            asking = asyncio.create_task(store.next_epoch("a"))
            await asyncio.sleep(0)  # it waits
            await asyncio.sleep(0)  # the writer handed it to its thread
            asking.cancel()
            await asyncio.wait([asking])
            return await store.next_epoch("a")

    assert asyncio.run(scenario()) == 2


def test_a_caller_that_went_away_before_it_was_written_costs_nothing(path: Path) -> None:
    async def scenario() -> tuple[int, int]:
        async with opened(path) as store:
            asking = asyncio.create_task(store.next_epoch("a"))
            await asyncio.sleep(0)
            asking.cancel()
            return await store.next_epoch("a"), store.commits

    assert asyncio.run(scenario()) == (1, 1)


def test_more_registrations_than_may_wait_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_WAITING", 3)

    async def scenario() -> list[object]:
        async with opened(path) as store:
            return await asyncio.gather(*(store.next_epoch("a") for _ in range(5)), return_exceptions=True)

    outcomes = asyncio.run(scenario())
    assert outcomes[:3] == [1, 2, 3]
    assert [type(outcome) for outcome in outcomes[3:]] == [Overloaded, Overloaded]


def test_what_cannot_be_written_is_an_error_and_the_next_one_is_tried_again(path: Path) -> None:
    async def scenario() -> tuple[BaseException | int, int]:
        connection = connect(path)
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON device BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        store = sqlite.SqliteEpochStore(connection)
        writer = asyncio.create_task(store.write())
        (first,) = await asyncio.gather(store.next_epoch("a"), return_exceptions=True)
        connection.execute("DROP TRIGGER full")
        second = await store.next_epoch("a")
        writer.cancel()
        await asyncio.wait([writer])
        store.close()
        return first, second

    first, second = asyncio.run(scenario())
    assert isinstance(first, ServiceUnavailable)
    assert first.message == "the registry's store cannot be written: disk is full"
    assert second == 1


def test_those_who_still_wait_when_the_store_closes_are_told(path: Path) -> None:
    async def scenario() -> object:
        async with opened(path) as store:
            asking = asyncio.create_task(store.next_epoch("a"))
            await asyncio.sleep(0)  # it waits now; the writer has not run yet
        (outcome,) = await asyncio.gather(asking, return_exceptions=True)
        return outcome

    outcome = asyncio.run(scenario())
    assert isinstance(outcome, ServiceUnavailable)
    assert outcome.message == "the registry is stopping"


def test_every_commit_reaches_the_disk_before_it_counts(path: Path) -> None:
    connection = connect(path)
    full = 2
    assert value(connection, "journal_mode") == "wal"
    assert value(connection, "synchronous") == full
    assert value(connection, "locking_mode") == "exclusive"
    assert value(connection, "user_version") == SCHEMA_VERSION
    connection.close()


def test_the_database_and_its_folder_are_for_their_owner_only(path: Path) -> None:
    connect(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_database_that_is_open_cannot_be_opened_again(path: Path) -> None:
    first = connect(path)
    with pytest.raises(StoreError, match="is in use by another registry"):
        connect(path)
    # That attempt must not loosen the lock against other processes: POSIX drops all locks of a file on any close.
    assert "is in use by another registry" in opening_elsewhere(path)
    first.close()
    assert opening_elsewhere(path) == ""


def opening_elsewhere(path: Path) -> str:
    """What another process says that opens the database; nothing if it could."""
    program = (
        "import pathlib, sys; from services.registry.store import sqlite; sqlite.connect(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    connection = connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match=rf"newer version of Browser-Go \(schema {SCHEMA_VERSION + 1}, this one knows"):
        connect(path)
    with sqlite3.connect(path) as untouched:
        assert value(untouched, "user_version") == SCHEMA_VERSION + 1
    untouched.close()


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipe (name TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="database of something else"):
        connect(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        connect(path)


def test_a_path_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        connect(tmp_path / "file" / "registry.sqlite")


def test_no_epoch_is_given_twice_by_writers_that_are_killed(path: Path) -> None:
    given: dict[str, list[int]] = {}
    for _round in range(3):
        for device, epoch in epochs_until_killed(path, lines=200):
            given.setdefault(device, []).append(epoch)
    assert given
    for epochs in given.values():
        assert epochs == sorted(set(epochs))


def epochs_until_killed(path: Path, lines: int) -> list[tuple[str, int]]:
    """What a writer was given that was killed in the middle of its work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.epoch_writer", str(path)],
        cwd=ROOT,
        env=clean_environment({}),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout as output:
        printed = [output.readline() for _ in range(lines)]
        process.kill()
        printed += output.readlines()
    process.wait()
    whole = [line.split() for line in printed if line.endswith(b"\n")]
    return [(device.decode(), int(epoch)) for device, epoch in whole]
