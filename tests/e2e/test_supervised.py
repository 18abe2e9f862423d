"""What `browsergo up` starts is supervised: a process that dies comes back, and all end with their supervisor."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from websockets.exceptions import WebSocketException

from tests.e2e.raw_cdp import RawClient
from tests.fakes import processes
from tests.fakes.processes import ProcessId
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

BACK_TIMEOUT_S = 30.0
GONE_TIMEOUT_S = 15.0
POLL_S = 0.1


def child(stack: Stack, words: str) -> ProcessId | None:
    """The process of the stack whose command line holds `words`."""
    return next((process for process, line in stack.children().items() if words in line), None)


def until(is_so: Callable[[], bool], timeout_s: float) -> bool:
    """Poll: what happens between other people's processes gives this one no event."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def can_be_driven(stack: Stack) -> bool:
    """Whether a fresh client gets a page of the local browser to compute."""
    try:
        with RawClient(stack.urls.client_ws) as client:
            return bool(client.evaluate("6 * 7", client.open_page()) == 42)
    except (OSError, TimeoutError, WebSocketException):
        return False


@pytest.mark.parametrize("words", ["-m browsergo.agent", "-m services.router", "--edge-id edge-1", "--edge-id edge-2"])
def test_a_process_that_is_killed_comes_back_and_new_clients_are_served(fresh_relay: Stack, words: str) -> None:
    before = child(fresh_relay, words)
    assert before is not None, fresh_relay.children()
    os.kill(before.pid, signal.SIGKILL)
    assert until(lambda: child(fresh_relay, words) not in {None, before}, BACK_TIMEOUT_S), fresh_relay.story()
    assert until(lambda: can_be_driven(fresh_relay), BACK_TIMEOUT_S), fresh_relay.story()


def test_nothing_outlives_a_killed_supervisor(fresh_relay: Stack) -> None:
    family = processes.descendants(fresh_relay.pid)
    assert len(family) > len(fresh_relay.children()), "the browser is a process below the agent"
    fresh_relay.kill()
    assert until(lambda: not any(map(processes.is_alive, family)), GONE_TIMEOUT_S), [
        processes.command_line(process.pid) for process in family if processes.is_alive(process)
    ]
