"""The relay's processes one by one, each with its own environment: for tests that break or silence one of them."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

from browsergo.core import tokens
from tests.fakes.stack import ROOT, Stack, clean_environment, mint

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05

Environment = Mapping[str, str]


class Part:
    """One process. `log` is what it wrote; ready once it logged its `ready` line."""

    def __init__(self, name: str, argv: list[str], environment: Environment, pass_fds: tuple[int, ...] = ()) -> None:
        self.name = name
        self.log: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", *argv],
            cwd=ROOT,
            env=clean_environment(environment),
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        return "".join(self.log)

    def wait_ready(self) -> None:
        """Wait for its `ready` line. Raises AssertionError with its log if it ends first or takes too long."""
        ready = self._ready.wait(READY_TIMEOUT_S)
        assert ready, f"{self.name} is not ready after {READY_TIMEOUT_S} s:\n{self.text}"
        assert self._process.poll() is None, f"{self.name} ended before it was ready:\n{self.text}"

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, without waiting."""
        self.send(signal.SIGKILL)

    def ended(self) -> int:
        """Wait for its end, which somebody else has seen to: its exit code."""
        self._process.wait(STOP_TIMEOUT_S)
        return self.end()

    def end(self) -> int:
        """SIGTERM and wait: its exit code. SIGKILL if it takes too long."""
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_TIMEOUT_S)
        return self._process.returncode

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.log.append(line)
                if _is_ready_line(line):
                    self._ready.set()
        self._ready.set()


def _is_ready_line(line: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and record.get("event") == "ready"


def agent_argv(folder: Path, device_id: str, token: str, urls: list[str], cdp: str | None) -> list[str]:
    """The words of an agent that keeps its token and its state in `folder`. `cdp` None: it starts a browser."""
    token_path = folder / f"{device_id}.token"
    token_path.write_text(token)
    token_path.chmod(0o600)
    argv = ["browsergo.agent", "--device-id", device_id, "--token-file", str(token_path)]
    argv += ["--state-dir", str(folder / f"agent-{device_id}"), *(("--cdp", cdp) if cdp else ())]
    for url in urls:
        argv += ["--edges", url]
    return argv


def agent_beside(
    stack: Stack, folder: Path, device_id: str, urls: list[str], cdp: str, environment: Environment | None = None
) -> Part:
    """An agent of one more device of a stack, which is not the stack's child; returns as soon as it runs."""
    token = mint(stack.signing_key, f"device:{device_id}")
    return Part(f"agent-{device_id}", agent_argv(folder, device_id, token, urls, cdp), environment or {})


class Parts:
    """A relay put together by hand in `folder`. Leaving the context ends every part, last started first."""

    def __init__(self, folder: Path, environment: Environment | None = None) -> None:
        self._folder = folder
        self._environment = dict(environment or {})
        self._parts: list[Part] = []
        self._sockets: dict[str, socket.socket] = {}
        self._routers: list[str] = []
        self._stopped = False
        self._key_path = folder / "signing.pem"
        self._key_path.write_bytes(tokens.new_key_pem())
        self._key_path.chmod(0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def registry(self, environment: Environment | None = None) -> Part:
        """The registry, on a socket in the folder."""
        argv = ["--listen", self._address("registry"), "--database", str(self._folder / "registry.sqlite")]
        return self._start("registry", ["services.registry", *argv], environment)

    def router(
        self,
        router_id: str = "router-1",
        environment: Environment | None = None,
        also_listen: tuple[str, ...] = (),
        joins: bool = False,
    ) -> Part:
        """One more router; edges and control started later know it, those that are here if it `joins` the registry.

        It listens at `also_listen` (host:port), too.
        """
        if self._address(router_id) not in self._routers:
            self._routers.append(self._address(router_id))
        argv = ["--instance-id", router_id, *(("--registry", self._address("registry")) if joins else ())]
        for address in (self._address(router_id), *also_listen):
            argv += ["--listen", address]
        return self._start(router_id, ["services.router", *argv], environment)

    def control(self, environment: Environment | None = None) -> Part:
        """The control service."""
        argv = ["--listen", self._address("control"), "--registry", self._address("registry"), *self._router_flags()]
        return self._start("control", ["services.control", *argv], environment)

    def edge(
        self, edge_id: str, environment: Environment | None = None, routers: tuple[str, ...] | None = None
    ) -> Part:
        """An edge on a loopback port of its own (`edge_url`); it knows the routers at these addresses, None: all."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._sockets[edge_id] = listening
        argv = ["--edge-id", edge_id, "--fd", str(listening.fileno()), "--registry", self._address("registry")]
        argv += [*self._router_flags(routers), "--control", self._address("control")]
        argv += ["--signing-key", str(self._key_path)]
        argv += ["--drain-s", "1", "--drain-spread-s", "0"]
        return self._start(edge_id, ["edge", *argv], environment, (listening.fileno(),))

    def agent(
        self,
        device_id: str,
        edges: list[str],
        cdp: str | None,
        environment: Environment | None = None,
        dial: list[str] | None = None,
    ) -> Part:
        """An agent beside the browser at `cdp` (http://host:port; None: it starts one), dialling edges in this order.

        `dial` are URLs that lead there by another way (a proxy). Returns when the first of its edges can answer for
        the device.
        """
        part = self.start_agent(device_id, dial or [self.edge_url(edge_id) for edge_id in edges], cdp, environment)
        self.wait_for_device(edges[0], device_id)
        return part

    def start_agent(
        self, device_id: str, urls: list[str], cdp: str | None, environment: Environment | None = None
    ) -> Part:
        """The same, dialling these URLs; returns as soon as it runs."""
        token = self.token(f"device:{device_id}")
        argv = agent_argv(self._folder, device_id, token, urls, cdp)
        return self._start(f"agent-{device_id}", argv, environment)

    def kill(self, part: Part) -> None:
        """SIGKILL it; the same may be started again."""
        part.kill()
        assert part.ended() == -signal.SIGKILL
        self._parts.remove(part)

    def edge_url(self, edge_id: str) -> str:
        """Where an edge listens: ws://host:port."""
        host, port = self._sockets[edge_id].getsockname()
        return f"ws://{host}:{port}"

    def token(self, *scopes: str, ttl_s: int = 3600) -> str:
        """A token of this relay with these scopes."""
        return mint(self._key_path.read_bytes(), *scopes, ttl_s=ttl_s)

    def client_ws(self, edge_id: str, device_id: str) -> str:
        """The URL that a client of this device takes, at this edge."""
        return f"{self.edge_url(edge_id)}/v2/cdp/{device_id}?token={self.token(f'cdp:{device_id}:full')}"

    def logs(self) -> str:
        """What all parts wrote so far."""
        return "\n".join(f"--- {part.name}\n{part.text}" for part in self._parts)

    def stop(self) -> None:
        """End all parts, last started first; each must exit 0. A second call does nothing; `logs` stay."""
        if self._stopped:
            return
        self._stopped = True
        codes = {part.name: part.end() for part in reversed(self._parts)}
        for listening in self._sockets.values():
            listening.close()
        assert set(codes.values()) <= {0}, f"exit codes {codes}\n{self.logs()}"

    def _start(
        self, name: str, argv: list[str], environment: Environment | None, pass_fds: tuple[int, ...] = ()
    ) -> Part:
        part = Part(name, argv, self._environment | dict(environment or {}), pass_fds)
        self._parts.append(part)
        part.wait_ready()
        return part

    def _address(self, name: str) -> str:
        return f"unix:{self._folder / name}.sock"

    def router_address(self, router_id: str) -> str:
        """Where a router listens, or will."""
        return self._address(router_id)

    def _router_flags(self, addresses: tuple[str, ...] | None = None) -> list[str]:
        return [word for address in addresses or self._routers for word in ("--routers", address)]

    def wait_for_device(self, edge_id: str, device_id: str) -> None:
        """Wait until an edge can answer for a device."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while (status := self._discovery_status(edge_id, device_id)) != 200:
            assert time.monotonic() < deadline, f"{device_id} is not there (HTTP {status}):\n{self.logs()}"
            time.sleep(POLL_S)  # the edge has no event for this; discovery is what a client would ask

    def _discovery_status(self, edge_id: str, device_id: str) -> int:
        host, port = self._sockets[edge_id].getsockname()
        connection = HTTPConnection(host, port, timeout=10)
        try:
            bearer = {"Authorization": f"Bearer {self.token(f'cdp:{device_id}:full')}"}
            connection.request("GET", f"/v2/cdp/{device_id}/json/version", headers=bearer)
            return connection.getresponse().status
        finally:
            connection.close()
