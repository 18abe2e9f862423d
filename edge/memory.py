"""What this process holds of the machine's memory, and how much of it there is. Linux; elsewhere little is known."""

import contextlib
import ctypes
import os
from pathlib import Path

_STATM = Path("/proc/self/statm")
_CGROUP_V2, _CGROUP_V1 = "memory.max", "memory.limit_in_bytes"


def resident_bytes(statm: Path = _STATM) -> int:
    """The resident set of this process; 0 where there is no /proc.

    All that the standard library knows elsewhere is the peak, which never falls: nobody would leave a rung again.
    """
    try:
        pages = int(statm.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def available_bytes(root: Path = Path("/")) -> int:
    """The memory this process may have: that of the machine, or of a cgroup around it if that is less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_cgroup_limits(root)])


def _cgroup_limits(root: Path) -> list[int]:
    """The limits of this process's memory cgroup and of those around it; a container may see only its own, at the top.

    https://docs.kernel.org/admin-guide/cgroup-v2.html, "memory.max"; cgroup-v1/memory.html, "limit_in_bytes".
    """
    found = []
    for folder, own, name in _cgroups(root):
        for at in (own, *own.parents):
            with contextlib.suppress(OSError, ValueError):  # the top of v2 has no such file; "max" is no limit
                found.append(int((folder / at / name).read_text()))
    return found


def _cgroups(root: Path) -> list[tuple[Path, Path, str]]:
    """(where the hierarchy is mounted, the cgroup in it, its file): lines `number:controllers:path`."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        own = Path(path.lstrip("/"))
        if not controllers:
            found.append((root / "sys/fs/cgroup", own, _CGROUP_V2))
        elif "memory" in controllers.split(","):
            found.append((root / "sys/fs/cgroup/memory", own, _CGROUP_V1))
    return found


def give_back() -> None:
    """Have the allocator return what is free. glibc keeps it otherwise, and the figure of this process never falls.

    Elsewhere than on glibc nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
