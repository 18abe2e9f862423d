"""Which browser is started, how, and where it may write."""

import os
import tempfile
from pathlib import Path

import pytest

from browsergo.agent import chrome
from browsergo.agent.chrome import chrome_argv, find_chrome


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_the_first_name_on_path_is_found(tmp_path: Path) -> None:
    second = program(tmp_path / "one" / "google-chrome")
    first = program(tmp_path / "two" / "chromium")
    path = f"{second.parent}:{first.parent}"
    assert find_chrome({"PATH": path}, tmp_path) == first
    first.unlink()
    assert find_chrome({"PATH": path}, tmp_path) == second


def test_a_file_that_cannot_be_started_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "chromium", 0o644)
    found = program(tmp_path / "bin" / "chrome")
    assert find_chrome({"PATH": str(tmp_path / "bin")}, tmp_path) == found


@pytest.mark.parametrize(
    "build",
    [
        "chromium-1200/chrome-linux/chrome",
        "chromium-1200/chrome-linux64/chrome",
        "chromium_headless_shell-1200/chrome-linux/headless_shell",
        "chromium_headless_shell-1200/chrome-headless-shell-linux64/chrome-headless-shell",
    ],
)
def test_what_playwright_installed_is_found_after_path(tmp_path: Path, build: str) -> None:
    home, nowhere = tmp_path / "home", {"PATH": str(tmp_path)}
    assert find_chrome(nowhere, home) is None
    installed = program(home / ".cache" / "ms-playwright" / build)
    assert find_chrome(nowhere, home) == installed
    named = program(tmp_path / "named" / build)
    assert find_chrome(nowhere | {"PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "named")}, home) == named


def test_of_several_builds_the_newest_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "ms-playwright"
    for number in ("999", "1001", "1000"):
        program(folder / f"chromium-{number}" / "chrome-linux" / "chrome")
    found = find_chrome({"PATH": ""}, tmp_path)
    assert found == folder / "chromium-1001" / "chrome-linux" / "chrome"


def test_the_command_line_has_its_own_profile_any_free_port_and_no_background_talk(tmp_path: Path) -> None:
    argv = chrome_argv(Path("/opt/chrome"), tmp_path / "p", headless=True, as_root=False)
    assert argv[0] == "/opt/chrome"
    assert argv[-1] == "about:blank"
    assert {
        f"--user-data-dir={tmp_path / 'p'}",
        "--remote-debugging-port=0",
        "--headless",
        "--disable-background-networking",
        "--no-first-run",
    } <= set(argv)
    assert "--no-sandbox" not in argv


def test_only_root_gives_up_the_sandbox_and_only_headless_the_window() -> None:
    root = chrome_argv(Path("chrome"), Path("p"), headless=False, as_root=True)
    assert "--no-sandbox" in root
    assert "--headless" not in root


def test_temporary_files_lie_in_the_profile_where_a_socket_path_fits() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        scratch = chrome._scratch_folder(Path(short))
        assert scratch == Path(short) / "tmp"
        assert scratch.stat().st_mode & 0o777 == 0o700


def test_a_long_profile_path_gets_a_short_private_folder_elsewhere(tmp_path: Path) -> None:
    profile = tmp_path / ("long" * 20)
    profile.mkdir()
    scratch = chrome._scratch_folder(profile)
    try:
        assert len(os.fsencode(scratch)) <= chrome.MAX_TMPDIR_BYTES
        assert not scratch.is_relative_to(profile)
        assert scratch.stat().st_mode & 0o777 == 0o700
    finally:
        scratch.rmdir()


def test_a_long_tmpdir_is_not_used_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    scratch = chrome._scratch_folder(long)
    try:
        assert scratch.parent == Path("/tmp")
    finally:
        scratch.rmdir()


def test_a_browser_sees_none_of_our_settings() -> None:
    seen = chrome._environ({"BROWSERGO_AGENT_TOKEN": "secret", "HOME": "/h", "TMPDIR": "/long"}, Path("/tmp/x"))
    assert seen == {"HOME": "/h", "TMPDIR": "/tmp/x"}
