"""What keeps children from outliving their supervisor, and finds what a dead child left behind.

Source: prctl(2), PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER. On systems without them, children are still
stopped in order, but a kill -9 of the supervisor leaves them to notice for themselves.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable

from browsergo.cli.processes import ProcessStat, all_stats

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_IS_LINUX = sys.platform == "linux"
# Loaded before any fork: between fork and exec nothing may be imported.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl if _IS_LINUX else None


def adopt_orphans() -> None:
    """Make this process the new parent of whatever its children leave behind, so that it can be found and ended."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> Callable[[], None]:
    """What a child does between fork and exec: ask for SIGTERM when `parent` is gone, even by kill -9."""

    def ask() -> None:
        if _PRCTL is None:
            return
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


def reap_orphans(own: Collection[int]) -> None:
    """Collect the exit codes of adopted processes; those of children in `own` are left to whoever waits for them."""
    if _PRCTL is None:
        return
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, 0)


def leftovers(table: Iterable[ProcessStat], supervisor: int, live: Collection[int]) -> list[int]:
    """The pids below `supervisor` that belong to no child in `live`. Pure.

    A process belongs to a child if it descends from it, or if its session is one in which a descendant of that
    child lives (Chrome's crash handler is an orphan on purpose, in the session of its browser).
    """
    stats = list(table)
    kept = descendants(stats, live)
    kept_pids = {stat.pid for stat in kept} | set(live)
    kept_sessions = {stat.session for stat in kept} | set(live)
    return [
        stat.pid
        for stat in descendants(stats, {supervisor})
        if stat.pid not in kept_pids and stat.session not in kept_sessions
    ]


def descendants(table: Iterable[ProcessStat], roots: Collection[int]) -> list[ProcessStat]:
    """Every process that stems from one in `roots`, without these. Pure."""
    children: dict[int, list[ProcessStat]] = {}
    for stat in table:
        children.setdefault(stat.parent, []).append(stat)
    found: dict[int, ProcessStat] = {}
    waiting = list(roots)
    while waiting:
        for stat in children.get(waiting.pop(), []):
            if stat.pid not in found:
                found[stat.pid] = stat
                waiting.append(stat.pid)
    return [stat for pid, stat in found.items() if pid not in roots]


def kill_leftovers(live: Collection[int]) -> int:
    """SIGKILL to everything below this process that belongs to no child in `live`; how many there were."""
    pids = leftovers(all_stats(), os.getpid(), live)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(pids)
