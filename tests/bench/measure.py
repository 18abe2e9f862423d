"""Measures rows in turn, round by round, in one run: what disturbs the machine disturbs all of them alike."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.bench.modes import TIMEOUT_S, Mode
from tests.bench.report import Measurement
from tests.bench.rows import ROWS, NotHere, Relay
from tests.fakes.stack import ROOT

END_TIMEOUT_S = 10.0

Say = Callable[[str], None]


class LoadFailed(Exception):
    """A load process could not do what it was asked."""


class Load:
    """A load process (control.py)."""

    def __init__(self, module: str, words: Sequence[str], log: Path) -> None:
        self._log = log
        self._output = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            text=True,
        )

    def __enter__(self) -> Self:
        try:
            self.answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._output.close()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Give an order and take its answer. Raises LoadFailed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer. Raises LoadFailed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailed(f"a load process ended: {self._log.read_text()[-1000:]}")
        found: dict[str, Any] = json.loads(line)
        if "failed" in found:
            raise LoadFailed(str(found["failed"]))
        return found


class Running:
    """One row that runs: its relay, its devices and its clients."""

    def __init__(self, name: str, devices: int, folder: Path) -> None:
        self._name, self._devices, self._folder = name, devices, folder
        self._relay: Relay
        self._clients: Load
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._relay = opening.enter_context(ROWS[self._name].start(self._folder))
            words = [self._relay.dialect, json.dumps(self._relay.place._asdict())]
            devices = Load("tests.bench.device_load", [*words, str(self._devices)], self._folder / "devices.log")
            opening.enter_context(devices)
            clients = Load("tests.bench.client_load", words, self._folder / "clients.log")
            self._clients = opening.enter_context(clients)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def prepare(self, mode: Mode) -> None:
        """Connect the clients, and let everything have happened once. Raises LoadFailed."""
        self._clients.ask(connect=mode.clients)
        self.measure(mode._replace(commands=mode.warm_up, events=min(mode.events, 2000)))

    def measure(self, mode: Mode) -> Measurement:
        """One round. Raises LoadFailed: for wrong answers, too, which make a row invalid."""
        run = {
            "kind": mode.kind,
            "commands": mode.commands,
            "window": mode.window,
            "events": mode.events,
            "timeout_s": TIMEOUT_S,
            "pids": dict(self._relay.pids),
        }
        found = self._clients.ask(run=run)
        if found["errors"]:
            raise LoadFailed(f"{found['errors']} of {found['units']} units were lost, doubled or from another browser")
        return found


def measure(
    rows: Sequence[str], modes: Mapping[str, Mode], rounds: int, folder: Path, say: Say
) -> dict[str, dict[str, list[Measurement]]]:
    """All rounds of all modes. A row that cannot start, or fails in a mode, is told of and left out there."""
    results: dict[str, dict[str, list[Measurement]]] = {}
    devices = max(mode.clients for mode in modes.values())
    with ExitStack() as open_rows:
        running: dict[str, Running] = {}
        for name in rows:
            place = folder / name
            place.mkdir()
            try:
                running[name] = open_rows.enter_context(Running(name, devices, place))
            except (NotHere, LoadFailed) as error:
                say(f"{name}: left out: {error}")
        for label, mode in modes.items():
            for name, measured in _rounds(running, label, mode, rounds, say).items():
                results.setdefault(name, {})[label] = measured
    return results


def _rounds(
    running: Mapping[str, Running], label: str, mode: Mode, rounds: int, say: Say
) -> dict[str, list[Measurement]]:
    """Every other round backwards, so that nobody always follows the same one."""
    found: dict[str, list[Measurement]] = {}
    failed: set[str] = set()
    for number in range(-1, rounds):
        order = list(running.items())
        for name, row in order if number % 2 else order[::-1]:
            if name in failed:
                continue
            try:
                if number < 0:
                    row.prepare(mode)
                else:
                    found.setdefault(name, []).append(row.measure(mode))
            except LoadFailed as error:
                say(f"{name} {label}: left out: {error}")
                failed.add(name)
                found.pop(name, None)
        say(f"{label}: {'warmed up' if number < 0 else f'round {number + 1} of {rounds}'}")
    return found
