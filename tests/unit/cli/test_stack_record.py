"""The record of a running stack, and where its data directory is."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from browsergo.cli.exits import NOT_RUNNING, CliError
from browsergo.cli.processes import ProcessIdentity, identity_of
from browsergo.cli.stack import DataDir, StackRecord, data_dir_of, read_record, ready_record, running_record


def a_record(supervisor: ProcessIdentity, *, ready: bool = True) -> StackRecord:
    return StackRecord(
        version="2.0.0",
        supervisor=supervisor,
        host="127.0.0.1",
        port=3000,
        edges={"edge-1": 3000, "edge-2": 40_000},
        registry_grpc="unix:/d/run/registry.sock",
        router_grpc="unix:/d/run/router-1.sock",
        control_grpc="unix:/d/run/control.sock",
        sockets="/d/run",
        device="local",
        insecure_no_auth=False,
        ready=ready,
        children={"registry": ProcessIdentity(12, 345)},
    )


def put(where: DataDir, record: StackRecord) -> None:
    where.run.mkdir(parents=True)
    where.record.write_text(record.to_json())


def test_a_record_is_read_as_it_was_written() -> None:
    record = a_record(ProcessIdentity(1, 2))
    assert StackRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"supervisor": 1, "children": {}}', '{"version": "2"}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        StackRecord.from_json(text)


def test_a_key_of_another_version_is_refused() -> None:
    fields = json.loads(a_record(ProcessIdentity(1, 2)).to_json())
    with pytest.raises(ValueError, match="novel"):
        StackRecord.from_json(json.dumps({**fields, "novel": 1}))


def test_a_missing_or_broken_record_is_none(tmp_path: Path) -> None:
    where = DataDir(tmp_path)
    assert read_record(where) is None
    where.run.mkdir()
    where.record.write_text("{")
    assert read_record(where) is None


def test_a_record_of_a_living_supervisor_is_found(tmp_path: Path) -> None:
    where, record = DataDir(tmp_path), a_record(identity_of(os.getpid()))
    put(where, record)
    assert running_record(where) == ready_record(where) == record


def test_a_recycled_pid_does_not_run(tmp_path: Path) -> None:
    me = identity_of(os.getpid())
    put(DataDir(tmp_path), a_record(dataclasses.replace(me, start_ticks=(me.start_ticks or 0) - 1)))
    with pytest.raises(CliError, match="no stack runs in") as refused:
        running_record(DataDir(tmp_path))
    assert refused.value.exit_code == NOT_RUNNING


def test_a_stack_that_starts_is_not_ready(tmp_path: Path) -> None:
    put(DataDir(tmp_path), a_record(identity_of(os.getpid()), ready=False))
    with pytest.raises(CliError, match="still starting") as refused:
        ready_record(DataDir(tmp_path))
    assert refused.value.exit_code == NOT_RUNNING


@pytest.mark.parametrize(
    ("flag", "environ", "expected"),
    [
        (Path("/flag"), {"BROWSERGO_DATA_DIR": "/env"}, "/flag"),
        (None, {"BROWSERGO_DATA_DIR": "/env", "XDG_DATA_HOME": "/xdg"}, "/env"),
        (None, {"BROWSERGO_DATA_DIR": "", "XDG_DATA_HOME": "/xdg"}, "/xdg/browsergo"),
        (None, {"XDG_DATA_HOME": "relative"}, "/home/ada/.local/share/browsergo"),
        (None, {}, "/home/ada/.local/share/browsergo"),
    ],
)
def test_the_data_directory_is_the_first_that_is_named(
    flag: Path | None, environ: dict[str, str], expected: str
) -> None:
    assert data_dir_of(flag, environ, Path("/home/ada")).root == Path(expected)


def test_a_relative_data_directory_stays_where_it_was_named() -> None:
    assert data_dir_of(Path("here"), {}, Path("/home/ada")).root == Path.cwd() / "here"
