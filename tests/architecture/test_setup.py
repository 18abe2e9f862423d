"""Set-up does what is missing and only that, and what it cannot do it says in one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import setup

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of set-up's own, with an empty environment; returns its root."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    for lock in ("server", "dev", "node"):
        (tmp_path / "requirements" / f"{lock}.txt").write_text(f"# {lock}\n")
    venv = tmp_path / ".venv"
    venv.mkdir()
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "VENV", venv)
    monkeypatch.setattr(setup, "VENV_PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(setup, "STAMPS", venv / "stamps")
    monkeypatch.setattr(setup, "LOG", venv / "setup.log")
    monkeypatch.setattr(setup, "CLIENTS_VENV", venv / "clients")
    return tmp_path


class RecordedStep:
    """A step that is done once it was made."""

    def __init__(self, *, done: bool) -> None:
        self.done = done
        self.made = 0

    def make(self) -> None:
        self.made += 1
        self.done = True

    def as_step(self) -> setup.Step:
        return setup.Step(lambda: self.done, self.make)


def run_setup(*arguments: str, python: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHON": python}
    return subprocess.run(
        [str(ROOT / "deploy" / "setup.sh"), *arguments], env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("checkout")
def test_only_missing_steps_are_made() -> None:
    there, missing = RecordedStep(done=True), RecordedStep(done=False)
    setup.carry_out([there.as_step(), missing.as_step()])
    setup.carry_out([there.as_step(), missing.as_step()])
    assert (there.made, missing.made) == (0, 1)


@pytest.mark.usefixtures("checkout")
def test_what_another_set_up_made_meanwhile_is_not_made_again() -> None:
    second = RecordedStep(done=False)

    def made_by_both() -> None:
        second.done = True

    setup.carry_out([setup.Step(lambda: False, made_by_both), second.as_step()])
    assert second.made == 0


def test_packages_count_as_installed_until_a_lock_changes(checkout: Path) -> None:
    assert not setup.are_packages_installed("server")
    setup.write_stamp("server", setup.digest_of_lock("server"))
    assert setup.are_packages_installed("server")
    (checkout / "requirements" / "server.txt").write_text("# other\n")
    assert not setup.are_packages_installed("server")


def test_packages_for_tests_are_enough_to_run_but_not_the_reverse(checkout: Path) -> None:
    setup.write_stamp("server", setup.digest_of_lock("server"))
    assert not setup.are_packages_installed("dev")
    (checkout / ".venv" / "stamps" / "server").unlink()
    setup.write_stamp("dev", setup.digest_of_lock("dev"))
    assert setup.are_packages_installed("server")


def test_an_environment_that_was_copied_from_elsewhere_is_not_used(checkout: Path) -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    config = checkout / ".venv" / "pyvenv.cfg"
    setup.VENV_PYTHON.parent.mkdir()
    setup.VENV_PYTHON.symlink_to(sys.executable)
    config.write_text(f"version = {version}\ncommand = python -m venv {checkout / '.venv'}\n")
    assert setup.is_venv_usable()
    config.write_text(f"version = {version}\ncommand = python -m venv /elsewhere/.venv\n")
    assert not setup.is_venv_usable()


def test_an_environment_whose_python_went_away_is_not_used(checkout: Path) -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    (checkout / ".venv" / "pyvenv.cfg").write_text(
        f"version = {version}\ncommand = python -m venv {checkout / '.venv'}\n"
    )
    assert not setup.is_venv_usable()


def test_node_packages_are_needed_only_where_there_is_a_lock(checkout: Path) -> None:
    project = setup.NodeProject(checkout / "tests" / "node")
    assert project.is_installed()
    project.folder.mkdir(parents=True)
    (project.folder / "package-lock.json").write_text("{}")
    assert not project.is_installed()
    setup.write_stamp("node", project.digest())
    assert not project.is_installed(), "node_modules was removed"
    (project.folder / "node_modules").mkdir()
    assert project.is_installed()


@pytest.mark.parametrize(("user_id", "programs", "is_there"), [(1000, [], True), (0, [], False), (0, ["ip"], True)])
def test_only_root_needs_the_program_ip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_id: int, programs: list[str], is_there: bool
) -> None:
    for program in programs:
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: user_id)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert setup.is_ip_there_if_root() is is_there


def test_root_without_ip_and_apt_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(setup.SetupError, match="install iproute2"):
        setup.install_ip()


def test_clients_count_as_installed_until_their_lock_changes_or_their_environment_goes(checkout: Path) -> None:
    assert setup.are_clients_installed(), "there is no lock"
    lock = checkout / "requirements" / "clients.txt"
    lock.write_text("# clients\n")
    setup.write_stamp("clients", setup.digest_of_clients_lock())
    assert not setup.are_clients_installed(), "there is no environment"
    python = checkout / ".venv" / "clients" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert setup.are_clients_installed()
    lock.write_text("# other\n")
    assert not setup.are_clients_installed()


def test_a_missing_chromedriver_is_installed_or_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, str] = {}
    monkeypatch.setattr(shutil, "which", found.get)
    monkeypatch.setattr(setup, "can_use_apt", lambda: False)
    assert not setup.is_chromedriver_found()
    with pytest.raises(setup.SetupError, match="no chromedriver is on PATH; install the one that belongs to"):
        setup.install_chromedriver()
    asked: list[str] = []

    def install(package: str) -> None:
        asked.append(package)
        found["chromedriver"] = "/usr/bin/chromedriver"

    monkeypatch.setattr(setup, "can_use_apt", lambda: True)
    monkeypatch.setattr(setup, "apt_install", install)
    setup.install_chromedriver()
    assert asked == ["chromium-driver"]
    assert setup.is_chromedriver_found()


def test_only_tests_need_a_chromedriver_and_clients() -> None:
    for_run, for_tests = ({step.make for step in setup.steps_for(purpose)} for purpose in ("run", "test"))
    needed = {setup.install_chromedriver, setup.NODE_TESTS.install, setup.install_clients}
    assert needed <= for_tests
    assert not needed & for_run


def test_a_bench_needs_its_peers_and_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {step.make for step in setup.steps_for("bench")}
    assert {setup.BENCH_PEERS.install, setup.install_nginx} <= made
    assert not made & {setup.install_chrome, setup.NODE_TESTS.install}
    monkeypatch.setattr(shutil, "which", {}.get)
    for may_install in (False, True):
        monkeypatch.setattr(setup, "can_use_apt", lambda may_install=may_install: may_install)
        assert setup.is_nginx_found() is not may_install, "without nginx the bench leaves a row out"


@pytest.mark.parametrize("flags", [["--cdp", "http://127.0.0.1:9222"], ["--chrome=/some/chrome"], ["--no-device"]])
def test_no_browser_is_installed_for_a_start_that_needs_none(flags: list[str]) -> None:
    assert len(setup.steps_for("run", *flags)) == len(setup.steps_for("run", "--port", "3100")) - 1


@pytest.mark.usefixtures("checkout")
def test_a_failed_command_says_where_its_words_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(setup.SetupError, match=r"ended with code 3; all it said is in .*setup\.log"):
        setup.run(["/bin/sh", "-c", "echo out of disk; exit 3"])
    assert "out of disk" in capsys.readouterr().err


def test_an_old_python_is_refused_in_one_line(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = run_setup("run", python=str(old))
    assert result.returncode == 2
    assert result.stderr == (
        f"setup: Python 3.11 or newer is needed, but PYTHON={old} is not one; "
        "install one or name it: PYTHON=/path/to/python3\n"
    )


def test_a_machine_without_python_is_told_so_in_one_line(tmp_path: Path) -> None:
    sources, programs = tmp_path / "checkout", tmp_path / "bin"
    (sources / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "setup.sh", sources / "deploy")
    programs.mkdir()
    (programs / "dirname").symlink_to(shutil.which("dirname") or "dirname")
    result = subprocess.run(
        ["/bin/sh", str(sources / "deploy" / "setup.sh"), "run"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("setup: Python 3.11 or newer is needed, but none is on PATH; ")
    assert result.stderr.count("\n") == 1


def test_an_unknown_purpose_is_a_usage_error() -> None:
    result = run_setup("everything", python=sys.executable)
    assert (result.returncode, result.stderr) == (2, "usage: deploy/setup.sh run [FLAG...] | test | bench\n")
