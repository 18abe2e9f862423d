"""Which process is which: a pid alone is reused, a pid with its start time is not.

Source: proc(5), /proc/PID/stat. Where there is no /proc (macOS), start times are unknown.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_ZOMBIE = "Z"
_DEAD = "X"


class ProcessStat(NamedTuple):
    """What /proc says of one process; `start_ticks` counts clock ticks since the machine's start."""

    pid: int
    state: str
    parent: int
    session: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, told from every later one with the same pid. `start_ticks` is None where it cannot be known."""

    pid: int
    start_ticks: int | None


def parse_stat(line: str) -> ProcessStat:
    """The fields of a /proc/PID/stat line. Raises ValueError for anything else.

    The command's name stands in parentheses and may hold spaces and parentheses itself, so the last one counts.
    """
    head, closing, tail = line.rpartition(")")
    fields = tail.split()
    if not closing or len(fields) < 20:
        raise ValueError("not a line of /proc/PID/stat")
    return ProcessStat(
        pid=int(head.split(" ", 1)[0]),
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
    )


def stat_of(pid: int) -> ProcessStat | None:
    """What /proc says of `pid`; None: there is no such process, or no /proc."""
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_text(errors="replace"))
    except (OSError, ValueError):
        return None


def all_stats() -> list[ProcessStat]:
    """Every process of this machine; empty where there is no /proc."""
    if not _PROC.is_dir():
        return []
    found = (stat_of(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [stat for stat in found if stat is not None]


def command_line_of(pid: int) -> list[str]:
    """The arguments `pid` was started with; empty when it is gone or not ours to read."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0") if word]


def identity_of(pid: int) -> ProcessIdentity:
    """Who `pid` is now."""
    stat = stat_of(pid)
    return ProcessIdentity(pid, stat.start_ticks if stat else None)


def is_running(identity: ProcessIdentity) -> bool:
    """Whether that very process still runs. A zombie does not; a stranger with its pid is not it."""
    if _PROC.is_dir():
        stat = stat_of(identity.pid)
        return stat is not None and stat.state not in {_ZOMBIE, _DEAD} and stat.start_ticks == identity.start_ticks
    try:
        os.kill(identity.pid, 0)
    except OSError:
        return False
    return True
