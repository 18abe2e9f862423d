"""Processes beside a test, for measuring: `python -m tests.e2e.small_beside_large PROGRAM ARGUMENTS...`.

browser            a FakeBrowser; prints its URL and lives until its stdin ends
large URL BYTES [TIMES]
                   a client that asks for answers of so many bytes, one after another, and prints a line for each
flood URL BYTES    a client that takes events of so many bytes, as fast as they come; a line for each megabyte

Each of them has a process of its own: in one Python process the parts of a test would wait for each other, and the test
would measure itself.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.e2e.raw_cdp import RawClient
from tests.fakes.browser import FakeBrowser
from tests.fakes.stack import ROOT

STOP_TIMEOUT_S = 30.0
MEGABYTE = 1_000_000
FLOOD_EVENTS = 1_000_000  # far more than anybody waits for


class Beside:
    """One of the programs, running; `lines` is how many it has printed."""

    def __init__(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "tests.e2e.small_beside_large", *arguments]
        self._process = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.first_line = ""
        self.lines = 0
        self._printed = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.first_line = self.first_line or line.strip()
            self.lines += 1
            self._printed.set()
        self._printed.set()

    def started(self) -> str:
        """Wait for its first line."""
        assert self._printed.wait(STOP_TIMEOUT_S), "it said nothing"
        assert self.first_line, self._ended()
        return self.first_line

    def stop(self) -> None:
        """End it, and see that all went well."""
        said = self._ended()
        assert self._process.returncode == 0, said

    def _ended(self) -> str:
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        said = self._process.stderr.read()
        self._reader.join()
        self._process.stderr.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return said


@contextmanager
def beside(*arguments: str) -> Iterator[Beside]:
    """One of the programs, as long as the context lasts."""
    program = Beside(*arguments)
    try:
        yield program
    finally:
        program.stop()


def _browser() -> None:
    with FakeBrowser() as browser:
        print(browser.url, flush=True)
        sys.stdin.read()


def _until_the_end() -> threading.Event:
    """Set once stdin has ended."""
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    return over


def _large(url: str, size: str, times: str = "1000000") -> None:
    over = _until_the_end()
    with RawClient(url) as client:
        number = 0
        while number < int(times) and not over.is_set():
            number += 1
            client.send(number, "Fake.large", {"bytes": int(size)})
            answer = client.socket.recv(timeout=STOP_TIMEOUT_S, decode=False)
            head, tail = b'{"id":%d,"result":{"filler":"' % number, b'"}}'
            assert answer.startswith(head), answer[:100]
            assert len(answer) == len(head) + int(size) + len(tail), len(answer)
            print(number, flush=True)


def _flood(url: str, size: str) -> None:
    over, each = _until_the_end(), max(1, MEGABYTE // int(size))
    with RawClient(url) as client:
        client.send(1, "Fake.flood", {"count": FLOOD_EVENTS, "bytes": int(size)})
        for number in range(FLOOD_EVENTS):
            if over.is_set():
                return
            assert client.socket.recv(timeout=STOP_TIMEOUT_S, decode=False).startswith(b'{"method":"Fake.flooded"')
            if number % each == 0:
                print(number, flush=True)


PROGRAMS: dict[str, Callable[..., None]] = {"browser": _browser, "large": _large, "flood": _flood}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
