"""Reading /proc, and telling a process from its pid's next owner."""

import os
import subprocess
import sys

import pytest

from browsergo.cli.processes import ProcessIdentity, command_line_of, identity_of, is_running, parse_stat, stat_of

FIELDS = "S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1"


@pytest.mark.parametrize("name", ["python", "two words", ") S 1 (", "a)b"])
def test_a_command_name_cannot_forge_the_fields(name: str) -> None:
    stat = parse_stat(f"31 ({name}) {FIELDS}")
    assert stat == (31, "S", 7, 42, 987654)


@pytest.mark.parametrize("line", ["", "31", "31 (python) S 7", "x (python) " + FIELDS])
def test_what_is_no_stat_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_stat(line)


def test_a_process_runs_until_it_ends_even_while_its_exit_code_waits() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()", "a word"], stdin=subprocess.PIPE)
    identity = identity_of(child.pid)
    try:
        assert is_running(identity)
        stat = stat_of(child.pid)
        assert stat is not None
        assert stat.parent == os.getpid()
    finally:
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(identity), "a zombie does not run"
    assert command_line_of(child.pid) == []
    child.wait()
    assert child.stdin is not None
    child.stdin.close()
    assert not is_running(identity)


def test_a_stranger_with_the_same_pid_is_not_it() -> None:
    me = identity_of(os.getpid())
    assert is_running(me)
    assert not is_running(ProcessIdentity(me.pid, (me.start_ticks or 0) + 1))
    assert not is_running(ProcessIdentity(me.pid, None))
