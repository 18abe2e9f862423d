"""`browsergo forward`, started and stopped as a user would."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.fakes.stack import ROOT

STOP_TIMEOUT_S = 10


class Forward:
    """The device `local` of a stack at the root of a free loopback port.

    Leaving the context sends SIGTERM and asserts that it ends with 0 and had nothing to complain about.
    """

    def __init__(self, data_dir: Path) -> None:
        self._argv = [sys.executable, "-m", "browsergo.cli.main", "forward", "local", "--port", "0"]
        self._argv += ["--data-dir", str(data_dir)]
        self.address: tuple[str, int]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        said = re.search(r"http://127\.0\.0\.1:(\d+)", self._process.stdout.readline())
        if said is None:
            self._process.kill()
            raise AssertionError(f"forward did not start: {self._process.communicate()[1]}")
        self.address = ("127.0.0.1", int(said[1]))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            errors = self._process.communicate(timeout=STOP_TIMEOUT_S)[1]
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        assert (self._process.returncode, errors) == (0, "")
