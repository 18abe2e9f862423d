"""The lock files are exact, agree with one another, and say nothing of the machine that made them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("server", "dev", "node")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;]+)(?: ;.*)? \\$")
HASH = re.compile(r"^ {4}--hash=sha256:[0-9a-f]{64}(?: \\)?$")
COMMENT = re.compile(r"^ *#|^$")


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    return {canonicalize_name(found[1]): found[2] for line in lines if (found := PIN.match(line))}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_with_hashes_and_nothing_else(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    strange = [line for line in text.splitlines() if not any(form.match(line) for form in (PIN, HASH, COMMENT))]
    assert strange == []
    assert "://" not in text
    assert not re.search(r"file:/|\s/[a-z]", text), "a path of a machine"


def test_tests_run_what_users_run() -> None:
    assert pins("server").items() <= pins("dev").items()


@pytest.mark.parametrize(("lock", "extras"), [("server", ["server"]), ("dev", ["server", "dev"])])
def test_a_lock_satisfies_pyproject(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    needs = [*project["dependencies"], *(line for name in extras for line in optional[name])]
    wanted = [Requirement(need) for need in needs]
    locked = pins(lock)
    unmet = [str(need) for need in wanted if not need.specifier.contains(locked.get(canonicalize_name(need.name), "0"))]
    assert unmet == []
