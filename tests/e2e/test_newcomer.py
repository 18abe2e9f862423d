"""Somebody with a fresh copy of the sources types `make up`, pastes what it prints, and presses Ctrl-C."""

import shutil
import subprocess
from pathlib import Path
from time import monotonic

import pytest

from tests.e2e.terminal import CTRL_C, Terminal
from tests.e2e.test_playwright import run_scenario
from tests.fakes.site import Site
from tests.fakes.stack import MARK_VARIABLE, ROOT, clean_environment, free_port, leftovers

pytestmark = [pytest.mark.slow, pytest.mark.chrome, pytest.mark.timeout(900)]

SET_UP_TIMEOUT_S = 600.0
SECOND_START_S = 10.0
END_TIMEOUT_S = 30.0
PASTE_PLAYWRIGHT = r'connect_over_cdp\("(ws://127\.0\.0\.1:\d+/v2/cdp/local\?token=[\w.-]+)"\)'
MARK = "newcomer-2d1c7c"


def copy_sources(to: Path) -> None:
    """What a fresh clone would hold: every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # a deleted file is still listed until it is committed
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def test_make_up_then_paste_then_ctrl_c_leaves_nothing(tmp_path: Path, site: Site) -> None:
    checkout, data_dir, scratch = tmp_path / "checkout", tmp_path / "data", tmp_path / "scratch"
    copy_sources(checkout)
    scratch.mkdir()
    environment = clean_environment({MARK_VARIABLE: MARK, "TMPDIR": str(scratch), "TERM": "xterm-256color"})
    environment.pop("VIRTUAL_ENV", None)
    command = ["make", "up", f'ARGS=--port {free_port()} --data-dir "{data_dir}"']

    with Terminal(command, checkout, environment) as terminal:
        url = terminal.wait_for(PASTE_PLAYWRIGHT, SET_UP_TIMEOUT_S)[1]
        assert run_scenario(url, site)["form"]["after"] == "Hello, Ada Lovelace ✓!"
        end_by_ctrl_c(terminal)
    assert not leftovers(MARK, data_dir, scratch)

    began = monotonic()
    with Terminal(command, checkout, environment) as terminal:
        terminal.wait_for(PASTE_PLAYWRIGHT, SET_UP_TIMEOUT_S)
        assert monotonic() - began < SECOND_START_S
        assert run_scenario(url, site)["tabs"]["kept"] == [0, 1, 2], "the first run's URL holds in the second"
        end_by_ctrl_c(terminal)
    assert not leftovers(MARK, data_dir, scratch)
    shutil.rmtree(checkout)  # an environment is large, and pytest keeps the folders of its last runs


def end_by_ctrl_c(terminal: Terminal) -> None:
    """Ctrl-C, once: it ends, and quietly."""
    terminal.press(CTRL_C)
    terminal.wait_ended(END_TIMEOUT_S)
    assert "Traceback" not in terminal.text, terminal.text
