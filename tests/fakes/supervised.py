"""A real supervisor, in a process of its own, over fake children; and how to wait for processes without guessing."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browsergo.cli.processes import ProcessIdentity, is_running
from browsergo.cli.stack import DataDir, StackRecord

PATIENCE_S = 15.0
ALL = ("registry", "router-1", "control", "edge-1", "edge-2", "agent")
NO_BROWSER_THERE = ("--cdp", "http://127.0.0.1:9")


class Supervised:
    """`browsergo up` in `data_dir`. `said` is all that it printed, stdout and stderr together."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        behaviours: Mapping[str, str] | None = None,
        times: Mapping[str, float] | None = None,
        restarts: Mapping[str, float] | None = None,
        stdout: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.where = DataDir(data_dir)
        self.journal_path = data_dir.parent / f"{data_dir.name}.journal"
        self.said = ""
        script = {
            "journal": str(self.journal_path),
            "behaviours": dict(behaviours or {}),
            "times": dict(times or {}),
            "restarts": dict(restarts or {}),
        }
        words = (*(() if "--no-device" in arguments else NO_BROWSER_THERE), *arguments)
        if "--port" not in words:
            words = ("--port", "0", *words)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.up", json.dumps(script), "--data-dir", str(data_dir), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )

    def until(self, text: str) -> None:
        """Read on until it said `text`."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.said:
            if not self._read(deadline):
                raise AssertionError(f"never said {text!r}, but:\n{self.said}")

    def ready(self) -> StackRecord:
        """Wait until it serves and has said all of it."""
        self.until("\nlogs: ")
        return self.record()

    def record(self) -> StackRecord:
        return StackRecord.from_json(self.where.record.read_text())

    def children(self) -> list[ProcessIdentity]:
        return list(self.record().children.values())

    def journal(self) -> list[tuple[str, str, int]]:
        """What the children wrote: name, event, pid."""
        lines = self.journal_path.read_text().splitlines() if self.journal_path.exists() else []
        return [(name, event, int(pid)) for name, event, pid in (line.split() for line in lines)]

    def events(self, event: str) -> list[str]:
        """The names of the children that wrote `event`, in that order."""
        return [name for name, what, _ in self.journal() if what == event]

    def pids(self, event: str) -> list[int]:
        return [pid for _, what, pid in self.journal() if what == event]

    def ends(self) -> int:
        """Wait for its end, and read the rest; the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE_S)

    def stops(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ends()

    def left_in_run(self) -> list[str]:
        return sorted(entry.name for entry in self.where.run.iterdir())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self, deadline: float) -> bool:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise AssertionError(f"silent for too long after:\n{self.said}")
        received = os.read(self.process.stdout.fileno(), 65_536)
        self.said += received.decode()
        return bool(received)


@contextmanager
def supervised(data_dir: Path, *arguments: str, **options: Any) -> Iterator[Supervised]:
    """A Supervised that is ended in any case."""
    stack = Supervised(data_dir, *arguments, **options)
    try:
        yield stack
    finally:
        stack.close()


def wait_gone(identity: ProcessIdentity) -> None:
    """Return when that process has ended; an AssertionError when it takes too long."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if is_running(identity):
            ended, _, _ = select.select([descriptor], [], [], PATIENCE_S)
            assert ended, f"pid {identity.pid} still runs"
    finally:
        os.close(descriptor)


def read_children_output(name: str, where: DataDir) -> str:
    """The log of one child."""
    return (where.logs / f"{name}.log").read_text()
