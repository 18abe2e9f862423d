"""Stopping the stack of a data directory: a signal to its supervisor, which drains the rest."""

import os
import signal
import time

from browsergo.cli.exits import FAILED, CliError
from browsergo.cli.processes import ProcessIdentity, is_running
from browsergo.cli.stack import DataDir, running_record

# Five kinds of processes get five seconds each, and then some.
PATIENCE_S = 40.0
_LOOK_EVERY_S = 0.05


def stop_stack(where: DataDir, patience_s: float = PATIENCE_S) -> int:
    """Ask the stack in `where` to end, wait until it is gone, and return its supervisor's pid.

    Raises CliError: exit code 3 when none runs, 1 when it is not ours or does not end.
    """
    supervisor = running_record(where).supervisor
    try:
        os.kill(supervisor.pid, signal.SIGTERM)
    except ProcessLookupError:
        return supervisor.pid
    except PermissionError:
        raise CliError(FAILED, f"the stack in {where.root} belongs to another user; pid {supervisor.pid}") from None
    if not _wait_until_gone(supervisor, patience_s):
        raise CliError(FAILED, f"pid {supervisor.pid} still runs after {patience_s:.0f} s; see {where.logs}")
    return supervisor.pid


def _wait_until_gone(identity: ProcessIdentity, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while is_running(identity):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
