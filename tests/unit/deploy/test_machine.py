"""Where the supervisor meets the machine: browsers, folders, keys, the terminal, and HTTP."""

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from browsergo.cli.stack import DataDir
from browsergo.core.tokens import load_key
from deploy.child import ChildLog
from deploy.chrome import find_chrome
from deploy.private_files import clear_folder, make_private_folder, write_private
from deploy.readiness import Probe, missing
from deploy.refusals import Refused
from deploy.screen import Screen
from deploy.tenancy import signing_key, take

PROBE = Probe("edge-1", "/readyz", {})


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_named_browser_comes_before_all_others(tmp_path: Path) -> None:
    chosen, named = program(tmp_path / "a" / "chosen"), program(tmp_path / "a" / "named")
    on_path = program(tmp_path / "bin" / "chromium")
    environ = {"BROWSERGO_AGENT_CHROME": str(named), "PATH": str(on_path.parent)}
    assert find_chrome(chosen, environ, tmp_path) == chosen
    assert find_chrome(None, environ, tmp_path) == named
    assert find_chrome(None, {"PATH": str(on_path.parent)}, tmp_path) == on_path
    assert find_chrome(Path("chromium"), {"PATH": str(on_path.parent)}, tmp_path) == on_path


@pytest.mark.parametrize("setting", ["--chrome", "BROWSERGO_AGENT_CHROME"])
def test_a_named_browser_that_is_none_is_refused_by_its_setting(tmp_path: Path, setting: str) -> None:
    wrong = tmp_path / "folder"
    wrong.mkdir()
    chosen = wrong if setting == "--chrome" else None
    with pytest.raises(Refused, match=f"{setting} {wrong}"):
        find_chrome(chosen, {"BROWSERGO_AGENT_CHROME": str(wrong)}, tmp_path)


def test_files_are_written_whole_and_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["token"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(tmp_path / "token", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["token"]


def test_folders_are_private_but_a_users_own_is_not_touched(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path / "data" / "keys")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "keys").stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_clearing_does_not_follow_links(tmp_path: Path) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "kept").write_text("")
    (run / "chrome-1").mkdir(parents=True)
    (run / "link").symlink_to(outside)
    (run / "lock").write_text("")
    clear_folder(run, "chrome-*")
    assert sorted(entry.name for entry in run.iterdir()) == ["link", "lock"]
    clear_folder(run, keep=run / "lock")
    assert [entry.name for entry in run.iterdir()] == ["lock"]
    assert (outside / "kept").exists()


def test_a_key_is_made_once(tmp_path: Path) -> None:
    where = DataDir(tmp_path)
    where.keys.mkdir()
    first, made = signing_key(where)
    again, made_again = signing_key(where)
    assert (made, made_again) == (True, False)
    assert first.private_bytes_raw() == again.private_bytes_raw()
    assert load_key(where.signing_key.read_bytes()).private_bytes_raw() == first.private_bytes_raw()


def test_a_key_that_is_none_is_refused_and_kept(tmp_path: Path) -> None:
    where = DataDir(tmp_path)
    where.keys.mkdir()
    where.signing_key.write_text("not a key")
    with pytest.raises(Refused, match="not an Ed25519 key"):
        signing_key(where)
    assert where.signing_key.read_text() == "not a key"


def test_a_data_directory_has_one_tenant_at_a_time(tmp_path: Path) -> None:
    where = DataDir(tmp_path / "d")
    tenancy = take(where)
    with pytest.raises(Refused, match="in use by another running stack"):
        take(where)
    tenancy.leave()
    take(where).leave()


@pytest.mark.parametrize("name", ["with space", "per%cent", "x" * 100])
def test_sockets_move_where_their_path_would_not_do(tmp_path: Path, name: str) -> None:
    where = DataDir(tmp_path / name)
    tenancy = take(where)
    assert tenancy.sockets != where.run
    tenancy.leave()
    assert not tenancy.sockets.exists()


def test_a_long_tmpdir_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    tenancy = take(DataDir(long / "d"))
    assert len(str(tenancy.sockets / "registry.sock")) <= 107
    tenancy.leave()
    assert not tenancy.sockets.exists()


def test_a_log_is_bounded(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "edge-1.log", limit_bytes=1_000)
    for number in range(200):
        log.write(f"line {number} " + "x" * 40)
    log.close()
    files = sorted(entry.name for entry in tmp_path.iterdir())
    assert files == ["edge-1.log", "edge-1.log.1"]
    assert all((tmp_path / name).stat().st_size <= 1_000 for name in files)
    assert "line 199 " in (tmp_path / "edge-1.log").read_text()


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = ChildLog(tmp_path / "gone" / "edge-1.log")
    log.write("a line")
    log.close()
    assert capsys.readouterr().err == ""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _GoneTerminal(_Terminal):
    def write(self, _text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_shows_progress_and_then_no_trace_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = _Terminal()
    screen = Screen(terminal)
    screen.progress("waiting 1 s for edge-1")
    assert "waiting 1 s for edge-1" in terminal.getvalue()
    screen.child("edge-1", "warning: [late] :smile:")
    screen.end_progress()
    assert terminal.getvalue().endswith("\x1b[2K")
    assert "[late] :smile:" in terminal.getvalue()


def test_what_is_no_terminal_gets_plain_lines_and_no_progress() -> None:
    file = io.StringIO()
    screen = Screen(file)
    screen.progress("waiting")
    screen.say("ws://" + "x" * 300, "bold green")
    screen.child("edge-1", "[red]not markup[/red]")
    assert file.getvalue() == "ws://" + "x" * 300 + "\nedge-1 | [red]not markup[/red]\n"


def test_a_terminal_that_went_away_stops_nobody() -> None:
    screen = Screen(_GoneTerminal())
    screen.progress("waiting")
    screen.say("ready")
    screen.child("edge-1", "warning")
    screen.end_progress()


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(answer: Answer, timeout_s: float) -> str | None:
    async def scenario() -> str | None:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answer(reader, writer)
            writer.close()
            await writer.wait_closed()
            ended.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            said = await missing("127.0.0.1", server.sockets[0].getsockname()[1], [PROBE], timeout_s)
            await ended.wait()
            return said

    return asyncio.run(scenario())


def answering(text: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)

    return answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", None),
        (b'HTTP/1.1 503 X\r\nContent-Length: 20\r\n\r\n{"registry": "lost"}', "edge-1: 503 registry: lost"),
        (b"", "edge-1: RemoteProtocolError"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "edge-1: RemoteProtocolError"),
    ],
)
def test_an_answer_is_read_as_http(text: bytes, said: str | None) -> None:
    assert ask(answering(text), timeout_s=10.0) == said


def test_silence_is_not_readiness() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert ask(silent, timeout_s=0.05) == "edge-1: no answer"


def test_a_closed_port_is_not_readiness() -> None:
    assert asyncio.run(missing("127.0.0.1", 1, [PROBE])) == "edge-1: ConnectionRefusedError"
