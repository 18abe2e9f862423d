"""A child process that behaves as told.

`python -m tests.fakes.child BEHAVIOUR NAME JOURNAL NAMES [words of the real one]`
serves HTTP on the socket of `--fd`, where there is one, and writes what happens to it into JOURNAL, a line each.
As the real edge, it is ready when all others (NAMES, with commas) are: when the journal says that they serve.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NoReturn

SECRET = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLW9mLWNhbmFyeQ"
EXIT_CRASH = 7


class Journal:
    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def write(self, event: str, pid: int | None = None) -> None:
        with self._path.open("a") as file:
            file.write(f"{self._name} {event} {pid or os.getpid()}\n")

    def holds(self, event: str, name: str | None = None) -> bool:
        return any(line.startswith(f"{name or self._name} {event} ") for line in self._path.read_text().splitlines())


class Answering(BaseHTTPRequestHandler):
    missing: Callable[[], list[str]]

    def do_GET(self) -> None:
        missing = type(self).missing()
        body = json.dumps({"status": "unready", **dict.fromkeys(missing, "no answer")}).encode()
        self.send_response(503 if missing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


def serve(words: list[str], stop: Callable[[], NoReturn]) -> NoReturn:
    if "--fd" not in words:
        # Not signal.pause(): a signal just before it would be waited for in vain.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.sigwait({signal.SIGTERM})
        stop()
    listener = socket.socket(fileno=int(words[words.index("--fd") + 1]))
    server = HTTPServer(listener.getsockname()[:2], Answering, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()
    raise AssertionError("serve_forever returned")


def log(level: str, event: str, **details: str) -> None:
    print(json.dumps({"event": event, "level": level, "time": "2026-01-01T00:00:00Z", **details}), flush=True)


def missing(journal: Journal, names: list[str]) -> list[str]:
    return [name for name in names if not journal.holds("serving", name)]


def leave_grandchild(journal: Journal, own_session: bool) -> None:
    program = [sys.executable, "-c", "import signal; signal.signal(15, 1)\nwhile True: signal.pause()"]
    process = subprocess.Popen(program, start_new_session=own_session)
    journal.write("grandchild", process.pid)


def main() -> None:
    behaviour, name, path, names, *words = sys.argv[1:]
    journal = Journal(Path(path), name)

    def stop() -> NoReturn:
        journal.write("stopped")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else lambda *_: stop())
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    journal.write("started")
    if behaviour == "refuse":
        print("first line\nregistry: the store is locked by another registry", file=sys.stderr)
        raise SystemExit(2)
    if behaviour == "crash-once" and not journal.holds("crashed"):
        journal.write("crashed")
        print("out of luck")
        raise SystemExit(EXIT_CRASH)
    if behaviour == "warn":
        log("info", "ready")
        log("warning", "lease is late", token=SECRET, late_s="3")
    if "--state-dir" in words:
        Path(words[words.index("--state-dir") + 1], f"chrome-{os.getpid()}").mkdir()
    if behaviour in {"litter", "litter-apart", "stubborn"}:
        leave_grandchild(journal, own_session=behaviour == "litter-apart")
    journal.write("serving")
    Answering.missing = lambda: ["registry"] if behaviour == "unready" else missing(journal, names.split(","))
    serve(words, stop)


if __name__ == "__main__":
    main()
