"""A real relay, started and stopped as a user would: `browsergo up`, SIGTERM, and nothing may be left."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from browsergo.cli.stack import DataDir, StackRecord
from browsergo.core import tokens
from tests.fakes import processes
from tests.fakes.processes import ProcessId

ROOT = Path(__file__).resolve().parents[2]
MARK_VARIABLE = "E2E_STACK_MARK"
READY_TIMEOUT_S = 70.0  # the supervisor itself gives up after 60
STOP_TIMEOUT_S = 30.0


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would steer a stack from outside, plus `extra`."""
    steering = ("BROWSERGO_", "OTEL_", "GRPC_")
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(steering) or key == "BROWSERGO_AGENT_CHROME"
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra)


def mint(signing_key: bytes, *scopes: str, ttl_s: int = 3600) -> str:
    """A token of the relay whose key (PEM) this is, with these scopes."""
    key = tokens.load_key(signing_key)
    return tokens.mint(
        key, subject="test", scopes=scopes, now_unix_s=int(time.time()), ttl_s=ttl_s, token_id=uuid.uuid4().hex
    )


def leftovers(mark: str, data_dir: Path, scratch: Path) -> list[str]:
    """What should be gone after a stack ended: processes that carry its mark, and files of run/ and of its TMPDIR."""
    living = [f"{process.pid}: {line}" for process, line in processes.marked_with(mark).items()]
    # The empty lock file is how the next start is kept from racing with this one's end.
    run = [str(path) for path in (data_dir / "run").rglob("*") if path.name != "lock"]
    return [*living, *run, *map(str, scratch.rglob("*"))]


@dataclass(frozen=True)
class Urls:
    """What `browsergo urls --json` prints; the field names are its keys."""

    device: str
    client_ws: str
    client_http: str
    control_ws: str
    device_ws: str
    registry_grpc: str
    router_grpc: str
    control_grpc: str
    tokens: dict[str, str]


class Stack:
    """`browsergo up` with a data directory of its own below `folder`; `program` is the module that takes its words.

    Leaving the context sends SIGTERM to its pid and asserts that it exits 0 and leaves no process, no socket, no
    profile and no temporary file.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        flags: tuple[str, ...] = (),
        program: str = "browsergo.cli.main",
    ) -> None:
        self.port = free_port()
        self.data_dir = folder / "data"
        self.output: list[str] = []
        self._scratch = folder / "scratch"
        self._scratch.mkdir(parents=True)
        self._mark = uuid.uuid4().hex
        self._environment = clean_environment(
            {MARK_VARIABLE: self._mark, "TMPDIR": str(self._scratch)} | dict(environment or {})
        )
        self._flags = ("--port", str(self.port), "--data-dir", str(self.data_dir), *flags)
        self._program = program
        self._ended = False
        self._printed = False
        self._printed_or_ended = threading.Event()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._program, "up", *self._flags],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_output)
        self._reader.start()
        try:
            assert self._printed_or_ended.wait(READY_TIMEOUT_S), f"not ready in {READY_TIMEOUT_S} s\n{self.story()}"
            assert self._printed, f"ended before it was ready\n{self.story()}"
            self.urls = self._ask_urls()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self._process.pid

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def signing_key(self) -> bytes:
        """The key that this stack's tokens are signed with, PEM."""
        return (self.data_dir / "keys" / "signing.pem").read_bytes()

    def edge_url(self, edge_id: str) -> str:
        """Where an edge listens: ws://host:port."""
        record = StackRecord.from_json(DataDir(self.data_dir).record.read_text())
        return f"ws://{record.host}:{record.edges[edge_id]}"

    def client_ws(self, edge_id: str, device_id: str) -> str:
        """The URL that a client of this device takes, at this edge."""
        return f"{self.edge_url(edge_id)}/v2/cdp/{device_id}?token={mint(self.signing_key, f'cdp:{device_id}:full')}"

    def children(self) -> dict[ProcessId, str]:
        """The processes of the stack and their command lines."""
        return processes.children(self.pid)

    def logs(self) -> dict[str, str]:
        """Every log file's text by its name."""
        folder = self.data_dir / "logs"
        return {path.name: path.read_text(errors="replace") for path in sorted(folder.glob("*"))}

    def story(self) -> str:
        """What the stack said, for a failure's message: its output and the ends of its logs, tokens cut out."""
        ends = [f"--- {name}\n{text[-2000:]}" for name, text in self.logs().items()]
        return re.sub(r"eyJ[\w.-]+", "TOKEN", "".join(self.output) + "\n".join(ends))

    def stop(self) -> None:
        """SIGTERM, wait, and assert a clean end. After `kill`, and a second time, it does nothing."""
        if self._ended:
            return
        family = processes.descendants(self.pid)
        self._process.terminate()
        exit_code = self._end()
        assert exit_code == 0, f"exit code {exit_code} after SIGTERM\n{self.story()}"
        left = leftovers(self._mark, self.data_dir, self._scratch)
        left += [processes.command_line(process.pid) for process in family if processes.is_alive(process)]
        assert not left, f"left behind: {left}"

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the supervisor the hard way; `stop` then has nothing to do."""
        self._process.send_signal(number)
        self._end()

    def _end(self) -> int:
        self._ended = True
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_TIMEOUT_S)
        return self._process.returncode

    def _ask_urls(self) -> Urls:
        asked = subprocess.run(
            [sys.executable, "-m", "browsergo.cli.main", "urls", "--json", "--data-dir", str(self.data_dir)],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert asked.returncode == 0, f"urls: {asked.stderr}\n{self.story()}"
        return Urls(**json.loads(asked.stdout))

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.output.append(line)
                if f"ws://127.0.0.1:{self.port}/v2/cdp/local" in line:
                    self._printed = True
                    self._printed_or_ended.set()
        self._printed_or_ended.set()
