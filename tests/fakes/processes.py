"""What runs on this machine, read from /proc: to prove that a stopped stack left nothing behind."""

from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class ProcessId(NamedTuple):
    """A process and when it started (clock ticks since boot): together never reused."""

    pid: int
    started_ticks: int


class _Stat(NamedTuple):
    parent: int
    state: str
    started_ticks: int


def _stat(pid: int) -> _Stat | None:
    try:
        # The second field is the program's name in brackets and may itself contain spaces and brackets.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return _Stat(int(fields[1]), fields[0], int(fields[19]))


def _all_stats() -> dict[int, _Stat]:
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return {pid: stat for pid in pids if (stat := _stat(pid)) is not None}


def children(pid: int) -> dict[ProcessId, str]:
    """The living direct children of `pid`, with their command lines."""
    return {
        ProcessId(child, stat.started_ticks): command_line(child)
        for child, stat in _all_stats().items()
        if stat.parent == pid and stat.state != "Z"
    }


def descendants(pid: int) -> set[ProcessId]:
    """Every process below `pid` now, in whatever session it is."""
    stats, found, wave = _all_stats(), set[ProcessId](), {pid}
    while wave:
        wave = {child for child, stat in stats.items() if stat.parent in wave}
        found |= {ProcessId(child, stats[child].started_ticks) for child in wave}
    return found


def is_alive(process: ProcessId) -> bool:
    """Whether exactly this process still runs (a zombie does not)."""
    stat = _stat(process.pid)
    return stat is not None and stat.started_ticks == process.started_ticks and stat.state != "Z"


def command_line(pid: int) -> str:
    """The words of a process's command line, joined by spaces; "" if it is gone."""
    return _read(pid, "cmdline").replace("\0", " ").strip()


def marked_with(mark: str) -> dict[ProcessId, str]:
    """Every living process that has `mark` in its environment or command line."""
    return {
        ProcessId(pid, stat.started_ticks): command_line(pid)
        for pid, stat in _all_stats().items()
        if stat.state != "Z" and mark in _read(pid, "environ") + _read(pid, "cmdline")
    }


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_bytes().decode(errors="replace")
    except OSError:  # gone meanwhile, or another user's
        return ""
