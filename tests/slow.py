"""`python -m tests.slow [PYTEST FLAG...]`, or `make test-slow`: the slow tests, in two runs at once.

What needs real processes mostly waits; what computes (the simulation, the scanner's million) takes what is left of the
cores meanwhile, at the lowest priority, so that it disturbs no measured time. Its output comes at the end.

Linux shares the cores between sessions first, where it groups by them (sched(7), "autogroup"), and a stack under test
has several of its own: a low priority counts only if it is that of a session, so what computes has one, too.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPUTING = ("tests/unit", "tests/simulation")  # in this order: the second takes all cores
NO_TESTS = 5  # pytest's exit code when flags leave none
LOWEST = 19
AUTOGROUP = Path("/proc/self/autogroup")


def pytest_argv(flags: Sequence[str], *, computing: bool) -> list[str]:
    """The command line of one of the two runs."""
    where = COMPUTING if computing else tuple(f"--ignore={folder}" for folder in COMPUTING)
    cache = ("-o", "cache_dir=.pytest_cache/computing") if computing else ()
    return [sys.executable, "-m", "pytest", "-m", "slow", *cache, *where, *flags]


def _stand_back() -> None:
    """In the child: a session of the lowest priority."""
    os.setsid()
    os.nice(LOWEST)
    with contextlib.suppress(OSError):  # not every kernel groups
        AUTOGROUP.write_text(str(LOWEST))


def verdict(codes: Sequence[int]) -> int:
    """The exit code of both: a failure of either, or that no test was found at all."""
    bad = [code for code in codes if code not in (0, NO_TESTS)]
    if bad:
        return bad[0]
    return NO_TESTS if all(code == NO_TESTS for code in codes) else 0


def main(flags: Sequence[str]) -> int:
    """Run both to their ends, or end both when interrupted."""
    began_s = time.monotonic()
    with tempfile.TemporaryFile() as output:
        computing = subprocess.Popen(
            pytest_argv(flags, computing=True),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_stand_back,  # noqa: PLW1509 - no threads here
        )
        try:
            waiting = subprocess.run(pytest_argv(flags, computing=False), cwd=ROOT, check=False).returncode
            print("\n--- the tests that compute", flush=True)
            computed = computing.wait()
        except KeyboardInterrupt:
            os.killpg(computing.pid, signal.SIGINT)
            computing.wait()
            return 130
        output.seek(0)
        print(output.read().decode(errors="replace"), flush=True)
    print(f"--- slow tests: {(time.monotonic() - began_s) / 60:.1f} min in all", flush=True)
    return verdict([waiting, computed])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
