"""How tests break a stack: who is who among its processes, how to kill one, and how to see that all is well again."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from tests.e2e.raw_control import RawOperator
from tests.fakes.processes import PROC, ProcessId, command_line, descendants
from tests.fakes.stack import Stack, mint

PATIENCE_S = 25.0
POLL_S = 0.05

REGISTRY = "-m services.registry"
ROUTER = "-m services.router"
CONTROL = "-m services.control"
AGENT = "-m browsergo.agent"
LOCAL = "local"


def until(is_so: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> float:
    """Poll (what happens between other processes gives this one no event); how long it took, in seconds."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < timeout_s, f"not within {timeout_s} s: {what}"
        time.sleep(POLL_S)
    return time.monotonic() - began


def process(stack: Stack, words: str) -> ProcessId:
    """The process of the stack whose command line holds `words`; waits while it is being started again."""
    return _appearing(stack.children, lambda line: words in line, words)


def browser_process(stack: Stack) -> ProcessId:
    """The main process of the local browser."""
    return browser_below(process(stack, AGENT).pid)


def browser_below(agent_pid: int) -> ProcessId:
    """The main process of the browser that an agent started; waits while it is being started."""

    def below() -> dict[ProcessId, str]:
        return {child: command_line(child.pid) for child in descendants(agent_pid)}

    return _appearing(below, lambda line: "--user-data-dir=" in line and "--type=" not in line, "a browser")


def _appearing(lines: Callable[[], dict[ProcessId, str]], fits: Callable[[str], bool], what: str) -> ProcessId:
    found: list[ProcessId] = []

    def appeared() -> bool:
        found[:] = [process for process, line in lines().items() if fits(line)]
        return bool(found)

    until(appeared, what)
    return found[0]


def kill(victim: ProcessId) -> None:
    """SIGKILL, and wait for its end."""
    _end(victim, signal.SIGKILL)


def drain(victim: ProcessId) -> None:
    """SIGTERM, and wait for its end."""
    _end(victim, signal.SIGTERM)


def _end(victim: ProcessId, number: signal.Signals) -> None:
    descriptor = os.pidfd_open(victim.pid)
    try:
        os.kill(victim.pid, number)
        ended, _, _ = select.select([descriptor], [], [], 10)
        assert ended, f"pid {victim.pid} survives {number.name}"
    finally:
        os.close(descriptor)


@contextmanager
def stopped(victim: ProcessId) -> Iterator[None]:
    """SIGSTOP for as long as the context lasts: it is there and says nothing."""
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(victim.pid, signal.SIGCONT)


def _answers(stack: Stack, path: str, device_id: str) -> bool:
    """Whether a GET at the public edge, by who may drive this device, is answered with 200."""
    connection = HTTPConnection(*stack.address, timeout=5)
    try:
        bearer = {"Authorization": f"Bearer {mint(stack.signing_key, f'cdp:{device_id}:full')}"}
        connection.request("GET", path, headers=bearer)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def device_seen(stack: Stack, device_id: str = LOCAL) -> dict[str, Any] | None:
    """A device as an operator sees it; None while it is away, or the registry is."""
    with RawOperator.with_token(stack.urls.control_ws, stack.urls.tokens["control"]) as operator:
        answer = operator.command("listDevices")["data"]
    return next((device for device in answer.get("result", []) if device["deviceId"] == device_id), None)


def wait_whole(stack: Stack, device_id: str = LOCAL) -> dict[str, Any]:
    """Wait until everything serves and the device is there and answers: the device."""
    found: list[dict[str, Any]] = []

    def whole() -> bool:
        well = all(_answers(stack, path, device_id) for path in ("/readyz", f"/v2/cdp/{device_id}/json/version"))
        device = device_seen(stack, device_id) if well else None
        found[:] = [device] if device is not None and device["state"] == "ACTIVE" else []
        return bool(found)

    until(whole, "the stack is whole again")
    return found[0]


def bring_device_to(stack: Stack, edge_id: str) -> dict[str, Any]:
    """Have the local device on this edge: an agent that is let go of dials the next one of its edges."""
    while (device := wait_whole(stack))["edge"] != edge_id:
        with RawOperator.with_token(stack.urls.control_ws, stack.urls.tokens["control"]) as operator:
            operator.command("disconnectDevice", {"deviceId": "local"})
        until(lambda before=device: _newer(stack, before["epoch"]), "the device registers again")  # type: ignore[misc]
    return device


def _newer(stack: Stack, epoch: int) -> bool:
    device = device_seen(stack)
    return device is not None and device["epoch"] > epoch


def resident_mib(pid: int) -> float:
    """The resident memory of a process."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"pid {pid} says nothing of its memory")
