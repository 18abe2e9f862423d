"""A Chrome of the test's own, spoken to directly: what the relay's results are compared with."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
STARTED = "DevTools listening on "
START_TIMEOUT_S = 30.0


def chrome_path() -> str:
    """The Chrome that tests use: BROWSERGO_AGENT_CHROME, else the first name on PATH; without one the test fails."""
    named = os.environ.get("BROWSERGO_AGENT_CHROME")
    found = named or next((path for path in map(shutil.which, NAMES) if path), None)
    assert found, f"no Chrome: none of {', '.join(NAMES)} is on PATH; install one or set BROWSERGO_AGENT_CHROME"
    return found


class DirectChrome:
    """A headless Chrome with a fresh profile. `client_ws` is its browser endpoint, `address` its host:port."""

    def __init__(self) -> None:
        self._profile = Path(tempfile.mkdtemp(prefix="direct-chrome-"))
        self._listening = threading.Event()
        self.client_ws = ""

    @property
    def address(self) -> str:
        return urlsplit(self.client_ws).netloc

    def __enter__(self) -> Self:
        # Chromium refuses to run as root inside its sandbox; anybody else keeps the sandbox.
        as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        self._process = subprocess.Popen(
            [chrome_path(), *FLAGS, *as_root, f"--user-data-dir={self._profile}", "about:blank"],
            env=os.environ | {"TMPDIR": str(self._profile)},  # killed, it leaves what it put there
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_stderr)
        self._reader.start()
        if not self._listening.wait(START_TIMEOUT_S) or not self.client_ws:
            self.__exit__()
            raise AssertionError(f"{chrome_path()} did not start")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                if line.startswith(STARTED):
                    self.client_ws = line.removeprefix(STARTED).strip()
                    self._listening.set()
        self._listening.set()
