"""A terminal with a program in it, and somebody who reads and types."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Self

CTRL_C = b"\x03"
ROWS, COLUMNS = 24, 80
# The new session takes the terminal as its own, so that Ctrl-C becomes SIGINT for all of the job.
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """Runs `argv` on a terminal of its own, 24 x 80, as an interactive shell would."""

    def __init__(self, argv: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._argv, self._folder, self._environment = argv, folder, dict(environment)
        self._changed = threading.Condition()
        self._shown = bytearray()
        self._at_end = False

    def __enter__(self) -> Self:
        self._master, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *self._argv],
            cwd=self._folder,
            env=self._environment,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        os.close(self._master)

    @property
    def text(self) -> str:
        """Everything shown so far, without colours and cursor movements."""
        return _ESCAPES.sub("", self._shown.decode(errors="replace"))

    def wait_for(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """The first match of a regular expression in what is shown. Raises AssertionError with all that was shown."""
        deadline = monotonic() + timeout_s
        with self._changed:
            while (match := re.search(pattern, self.text)) is None:
                left_s = deadline - monotonic()
                assert left_s > 0, f"no {pattern!r} within {timeout_s} s in:\n{self.text}"
                assert not self._at_end, f"ended without {pattern!r}:\n{self.text}"
                self._changed.wait(left_s)
            return match

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    def wait_ended(self, timeout_s: float) -> int:
        """The program's exit code, once it ended."""
        return self.process.wait(timeout_s)

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # Linux says EIO when the last program has left the terminal
                piece = b""
            with self._changed:
                self._shown += piece
                self._at_end = not piece
                self._changed.notify_all()
            if not piece:
                return
