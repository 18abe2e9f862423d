"""Where the figures of memory come from."""

import os
from pathlib import Path

import pytest

from edge.memory import available_bytes, give_back, resident_bytes

PHYSICAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, PHYSICAL),
        ({"proc/self/cgroup": "0::/a/b\n"}, PHYSICAL),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"}, 1_000_000),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "2000\n"}, 2000),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
          "sys/fs/cgroup/a/memory.max": "3000\n"}, 3000),
        ({"proc/self/cgroup": "0::/unseen\n", "sys/fs/cgroup/memory.max": "4000\n"}, 4000),
        ({"proc/self/cgroup": "5:cpu,memory:/c\n0::/\n",
          "sys/fs/cgroup/memory/c/memory.limit_in_bytes": "5000\n"}, 5000),
        ({"proc/self/cgroup": "4:memory:/\n",
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, PHYSICAL),
    ],
    ids=["none", "no files", "v2 container", "v2", "v2 outer", "v2 hidden path", "v1", "v1 unlimited"],
)  # fmt: skip
def test_the_least_of_machine_and_cgroups_is_what_there_is(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    assert available_bytes(machine(tmp_path, files)) == limit


def test_the_resident_set_grows_with_what_is_kept_and_falls_when_it_is_given_back() -> None:
    """Pieces too small for mappings of their own: glibc keeps them unless it is told to give them back."""
    pieces = [os.urandom(60_000) for _ in range(1000)]
    full = resident_bytes()
    del pieces
    give_back()
    assert full - resident_bytes() > 40_000_000


def test_without_proc_the_figure_is_unknown(tmp_path: Path) -> None:
    assert resident_bytes(tmp_path / "statm") == 0
    (tmp_path / "statm").write_text("nonsense")
    assert resident_bytes(tmp_path / "statm") == 0
