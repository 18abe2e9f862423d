"""One supervised child: started in a session of its own, its output kept, its end noticed.

Children are started from the supervisor's only thread (PR_SET_PDEATHSIG counts from the thread that forked), and
`Popen` is used instead of asyncio's subprocesses so that a child is known before any other code runs.
"""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path

from browsergo.chassis.logs import mask_secrets
from browsergo.cli.processes import ProcessIdentity, identity_of
from deploy.child_output import LineSplitter
from deploy.leash import die_with_parent
from deploy.table import ChildSpec

LOG_BYTES = 5 * 1024 * 1024
OLD_LOGS = 1
_OUTPUT_PATIENCE_S = 0.5


class _LogFile(RotatingFileHandler):
    """A full disk costs log lines; it must not cost the relay, nor fill the terminal with tracebacks."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        del record


class ChildLog:
    """logs/NAME.log: two files of at most `limit_bytes` each, secrets masked whatever printed them."""

    def __init__(self, path: Path, limit_bytes: int = LOG_BYTES) -> None:
        self._file = _LogFile(path, maxBytes=limit_bytes, backupCount=OLD_LOGS, delay=True, errors="replace")

    def write(self, line: str) -> None:
        """Add one line."""
        self._file.emit(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Output(asyncio.Protocol):
    """The reading end of a child's stdout and stderr."""

    def __init__(self, take_line: Callable[[str], None]) -> None:
        self._splitter = LineSplitter()
        self._take_line = take_line
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            self._take_line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        for line in self._splitter.close():
            self._take_line(line)
        self.ended.set()


class Child:
    """One running copy of a ChildSpec, from start to its collected exit code."""

    def __init__(self, spec: ChildSpec, process: subprocess.Popen[bytes], log: ChildLog) -> None:
        self.spec = spec
        self.identity: ProcessIdentity = identity_of(process.pid)
        self.exited = asyncio.Event()
        self.last_line = ""
        self._process = process
        self._log = log
        self._output: asyncio.ReadTransport | None = None
        self._ended: asyncio.Event | None = None

    @classmethod
    def spawn(cls, spec: ChildSpec, environ: Mapping[str, str], log: ChildLog) -> "Child":
        """Start it. Raises OSError when that program cannot be started."""
        process = subprocess.Popen(
            spec.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            pass_fds=spec.inherited_fds,
            start_new_session=True,
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - this process has one thread
        )
        return cls(spec, process, log)

    @property
    def pid(self) -> int:
        """Its pid, which is also its session's id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when one ended it."""
        return self._process.returncode

    async def read_output(self, notice: Callable[[str], None]) -> None:
        """Begin to read what it prints: into its log, and to `notice`."""

        def take_line(line: str) -> None:
            masked = mask_secrets(line)
            if masked.strip():
                self.last_line = masked
            self._log.write(masked)
            notice(masked)

        output = _Output(take_line)
        loop = asyncio.get_running_loop()
        self._ended = output.ended
        self._output, _ = await loop.connect_read_pipe(lambda: output, self._process.stdout)

    async def output_ended(self) -> None:
        """Wait for the last of its output; not for long, since a grandchild may hold the pipe."""
        if self._ended is not None:
            try:
                async with asyncio.timeout(_OUTPUT_PATIENCE_S):
                    await self._ended.wait()
            except TimeoutError:
                pass
        if self._output is not None:
            self._output.close()

    def collect(self) -> None:
        """Notice that it ended, if it did."""
        if not self.exited.is_set() and self._process.poll() is not None:
            self.exited.set()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        self.collect()
        if not self.exited.is_set():
            self._process.send_signal(number)

    def kill_session(self) -> None:
        """SIGKILL to it and to everything it started that stayed in its session's first group."""
        self.collect()
        if not self.exited.is_set():
            os.killpg(self.pid, signal.SIGKILL)
