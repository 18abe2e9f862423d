"""A user's script in a process of its own that prints `round N` as it goes and a JSON object at its end."""

import json
import re
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from tests.e2e.node_program import FOLDER, node_path

PATIENCE_S = 60.0
PLAYWRIGHT = [sys.executable, str(Path(__file__).with_name("steady_playwright.py"))]


def puppeteer() -> list[str]:
    """The words that start the Puppeteer script."""
    return [node_path(), str(FOLDER / "steady_puppeteer.mjs")]


class Script:
    """One run. Leaving the context waits for its end, which must be clean: exit code 0 and nothing on stderr."""

    def __init__(self, words: list[str], *arguments: str) -> None:
        self.result: dict[str, Any] = {}
        self._words = [*words, *arguments]
        self._times: list[float] = []
        self._progress = threading.Condition()
        self._ended = False
        self._errors = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._words, cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for reader in self._readers:
            reader.join()
        assert (code, self._errors) == (0, "")

    def until(self, rounds: int) -> None:
        """Wait until it has begun so many rounds."""
        with self._progress:
            self._progress.wait_for(lambda: len(self._times) >= rounds or self._ended, PATIENCE_S)
            assert len(self._times) >= rounds, f"in round {len(self._times)}, ended {self._ended}: {self.result}"

    def end(self) -> None:
        """Wait for its end."""
        with self._progress:
            assert self._progress.wait_for(lambda: self._ended, PATIENCE_S), f"still in round {len(self._times)}"

    def rounds_s(self) -> list[float]:
        """How long each round took but the last."""
        return [later - earlier for earlier, later in pairwise(self._times)]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._progress:
                    if re.fullmatch(r"round \d+\n", line):
                        self._times.append(time.monotonic())
                    else:
                        self.result = json.loads(line)
                    self._progress.notify_all()
        with self._progress:
            self._ended = True
            self._progress.notify_all()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            self._errors = lines.read()
