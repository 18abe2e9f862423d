"""The relays that are measured: each a context that starts its processes and says who and where they are."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.dialects import Place
from tests.e2e.node_program import node_path
from tests.fakes.stack import ROOT, Stack, free_port, mint

PEERS = Path(__file__).parent / "peers"
STARTED_WITHIN_S = 20.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.02


class NotHere(Exception):
    """What a row needs is not installed; the text says what."""


class Relay(NamedTuple):
    """A running relay: how one speaks to it, and its processes by the part they play."""

    dialect: str
    place: Place
    pids: Mapping[str, list[int]]


Start = Callable[[Path], AbstractContextManager[Relay]]


class Row(NamedTuple):
    """`start(folder)` runs it; `what` is a line for the reader of the figures."""

    what: str
    start: Start


# --- processes of others ------------------------------------------------------------------------------------


@contextmanager
def process(argv: list[str], port: int, log: Path) -> Iterator[int]:
    """A process that listens at `port`; its pid."""
    with log.open("wb") as output:
        running = subprocess.Popen(argv, cwd=PEERS, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_listening(port, running, log)
        yield running.pid
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _wait_listening(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    """Poll: somebody else's program has no event for us."""
    deadline = time.monotonic() + STARTED_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if running.poll() is not None or time.monotonic() > deadline:
                raise NotHere(f"it does not listen: {log.read_text(errors='replace')[-500:]}") from None
            time.sleep(POLL_S)
        else:
            return


def _below(pid: int) -> list[int]:
    """A process and what it has started."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += _below(int(child))
    return found


@contextmanager
def direct(_: Path) -> Iterator[Relay]:
    """No relay at all."""
    port = free_port()
    yield Relay("server", Place(port, port), {})


@contextmanager
def nginx(folder: Path) -> Iterator[Relay]:
    """A reverse proxy that knows nothing of CDP."""
    program = shutil.which("nginx")
    if program is None:
        raise NotHere("nginx is not installed")
    place = Place(free_port(), free_port())
    config = folder / "nginx.conf"
    config.write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{place.port}; location / {{\n"
        f"  proxy_pass http://127.0.0.1:{place.device_port}; proxy_http_version 1.1; proxy_read_timeout 1h;\n"
        '  proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }}}\n'
    )
    argv = [program, "-p", str(folder), "-c", str(config)]
    with process(argv, place.port, folder / "nginx.log") as pid:
        yield Relay("server", place, {"nginx": _below(pid)})


def node(dialect: str, *words: str) -> Start:
    """A relay on Node.js; `PORT` among its words stands for the port."""

    @contextmanager
    def start(folder: Path) -> Iterator[Relay]:
        if not (PEERS / "node_modules").is_dir():
            raise NotHere("the packages of tests/bench/peers are not installed (deploy/setup.sh bench)")
        port = free_port()
        argv = [node_path(), *(str(port) if word == "PORT" else word for word in words)]
        with process(argv, port, folder / "node.log") as pid:
            yield Relay(dialect, Place(port, port), {"node": _below(pid)})

    return start


# --- this project -------------------------------------------------------------------------------------------


def browsergo(*flags: str, traced: bool) -> Start:
    """`browsergo up` without a browser of its own: clients at edge-1, devices at the last edge."""

    @contextmanager
    def start(folder: Path) -> Iterator[Relay]:
        with ExitStack() as running:
            environment = {}
            if traced:
                environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = running.enter_context(collector())
            stack = running.enter_context(Stack(folder, environment, ("--no-device", *flags)))
            last = "edge-1" if "--embedded" in flags else "edge-2"
            yield Relay("browsergo", _place(stack, last), _roles(stack))

    return start


def _place(stack: Stack, device_edge: str) -> Place:
    port = int(stack.edge_url(device_edge).rpartition(":")[2])
    return Place(stack.port, port, mint(stack.signing_key, "cdp:*:full"), mint(stack.signing_key, "device:*"))


def _roles(stack: Stack) -> dict[str, list[int]]:
    """Processes by the module they run, edges as one."""
    found: dict[str, list[int]] = {}
    for child, line in stack.children().items():
        words = line.split()
        found.setdefault(words[words.index("-m") + 1].rpartition(".")[2], []).append(child.pid)
    return found


@contextmanager
def collector() -> Iterator[str]:
    """An OTLP collector in a process of its own; where it listens."""
    argv = [sys.executable, "-m", "tests.bench.collector"]
    running = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        yield running.stdout.readline().strip()
    finally:
        running.communicate(timeout=STOP_TIMEOUT_S)  # its stdin ends, and so does it


ROWS: dict[str, Row] = {
    "direct": Row("no relay", direct),
    "nginx": Row("reverse proxy", nginx),
    "pass-through": Row(
        "the least a relay on Node.js `ws` can do: a bound, not a product", node("raw", "pass_through.cjs", "PORT")
    ),
    "chii": Row("chii 1.15", node("chii", "node_modules/chii/bin/chii.js", "start", "-h", "127.0.0.1", "-p", "PORT")),
    "react-native": Row("@react-native/dev-middleware 0.88", node("react-native", "react_native.cjs", "PORT")),
    "browsergo": Row("this project: two edges and a router", browsergo(traced=False)),
    "browsergo-traced": Row("the same, every message traced to a collector", browsergo(traced=True)),
    "browsergo-embedded": Row(
        "`browsergo up --embedded`: edge and router in one process", browsergo("--embedded", traced=False)
    ),
}
