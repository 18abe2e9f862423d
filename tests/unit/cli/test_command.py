"""The `browsergo` command as a user meets it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import browsergo
from browsergo.cli import main, too_old
from browsergo.cli.exits import CliError
from browsergo.cli.launch import module_argv, module_environ
from browsergo.cli.tokens import check_scope, parse_duration_s
from browsergo.core.tokens import Verifier, load_key, new_key_pem

ROOT = Path(browsergo.__file__).parents[1]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.run(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def put_key(data_dir: Path) -> bytes:
    pem = new_key_pem()
    (data_dir / "keys").mkdir()
    (data_dir / "keys" / "signing.pem").write_bytes(pem)
    return pem


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Missing command"),
        (["no-such"], 2, "no-such"),
        (["urls", "--no-such"], 2, "--no-such"),
        (["urls", "--device", "a/b"], 2, "--device 'a/b'"),
        (["token", "create"], 2, "--scope"),
        (["token"], 2, "Missing command"),
        (["token", "create", "--scope", "everything"], 2, "--scope 'everything'"),
        (["token", "create", "--scope", "control:read", "--ttl", "soon"], 2, "--ttl 'soon'"),
        (["token", "create", "--scope", "control:read", "--data-dir", "/nonexistent"], 2, "no such key"),
        (["urls", "--data-dir", "/nonexistent"], 3, "no stack runs in /nonexistent"),
        (["down", "--data-dir", "/nonexistent"], 3, "no stack runs in /nonexistent"),
    ],
)
def test_an_error_is_one_line_on_stderr(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    ended, out, err = run(capsys, *words)
    assert ended == code
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("browsergo: ")
    assert said in line


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "version") == (0, f"{browsergo.__version__}\n", "")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("up", "down", "urls", "edge", "registry", "router", "control", "agent", "token", "version"):
        assert f"\n  {command} " in out


def test_a_created_token_holds_what_was_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key = load_key(put_key(tmp_path))
    words = ["--scope", "device:lab-*", "--scope", "cdp:lab-1:observe control:read", "--subject", "ada", "--ttl", "2h"]
    code, out, _ = run(capsys, "token", "create", *words, "--data-dir", str(tmp_path))
    grant = Verifier(key.public_key()).verify(out.strip(), time.time())
    assert code == 0
    assert grant.subject == "ada"
    assert grant.scopes == ("device:lab-*", "cdp:lab-1:observe", "control:read")
    assert 7_100 < grant.expires_unix_s - time.time() <= 7_200


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused_and_not_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    put_key(tmp_path)
    (tmp_path / "keys" / "signing.pem").write_bytes(content)
    code, _, err = run(capsys, "token", "create", "--scope", "control:read", "--data-dir", str(tmp_path))
    assert code == 2
    assert "not an Ed25519 key" in err
    assert "secret" not in err


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800)])
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "5", "h", "-1h", "1.5h", "1h ", "99999d", "1w"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(CliError):
        parse_duration_s(text)


@pytest.mark.parametrize("scope", ["control:debug", "device:a", "device:*", "cdp:lab-[12]:full", "cdp:*:observe"])
def test_known_scopes_pass(scope: str) -> None:
    assert check_scope(scope) == scope


@pytest.mark.parametrize(
    "scope", ["", "admin", "control:", "control:all", "device:", "cdp:a", "cdp:a:root", "cdp::full"]
)
def test_other_scopes_are_refused(scope: str) -> None:
    with pytest.raises(CliError):
        check_scope(scope)


def test_a_program_gets_its_words_as_they_stand() -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "browsergo.cli.main", "registry", "--help"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0
    assert "--database" in asked.stdout


def test_a_folder_in_the_working_directory_is_not_taken_for_a_program(tmp_path: Path) -> None:
    for folder in ("deploy", "edge"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("raise SystemExit('the wrong one')")
    asked = subprocess.run(
        [*module_argv("deploy.local"), "--help"],
        cwd=tmp_path,
        env=module_environ(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0
    assert "--data-dir" in asked.stdout


def test_a_source_tree_comes_first_on_the_path_and_once() -> None:
    environ = {"PYTHONPATH": os.pathsep.join(["/a", "/src"])}
    assert module_environ(environ, Path("/src"))["PYTHONPATH"] == os.pathsep.join(["/src", "/a"])
    assert module_environ({}, Path("/lib/site-packages")) == {}


@pytest.mark.parametrize(("version", "usable"), [((3, 10), False), ((2, 7), False), ((3, 11), True), ((4, 0), True)])
def test_an_old_python_is_refused(version: tuple[int, int], usable: bool) -> None:
    why = too_old(version)
    assert (why is None) == usable
    assert why is None or "3.11 or later" in why


def test_printing_urls_loads_little() -> None:
    """`urls` stays quick: none of the libraries that only servers need."""
    program = (
        "import sys; from browsergo.cli.main import run; run(['urls', '--data-dir', '/nonexistent']);"
        "import browsergo.cli.urls;"
        "heavy = {'grpc', 'google.protobuf', 'opentelemetry', 'pydantic_settings', 'structlog', 'websockets'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    asked = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert asked.stdout == "[]\n"
