"""The CPU time of processes, with all their threads."""

from collections.abc import Iterable, Mapping
from pathlib import Path

PROC = Path("/proc")


def cpu_ns(pid: int) -> int:
    """What the living threads of `pid` have used, user and system, in ns (schedstat); 0 when it is gone."""
    total = 0
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            try:
                total += int((thread / "schedstat").read_text().split()[0])
            except OSError:
                continue  # a thread that ended meanwhile
    except OSError:
        return 0
    return total


def used_ns(roles: Mapping[str, Iterable[int]]) -> dict[str, int]:
    """The same for processes by the part they play."""
    return {role: sum(cpu_ns(pid) for pid in pids) for role, pids in roles.items()}
