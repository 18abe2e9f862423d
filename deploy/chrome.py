"""The browser that `browsergo up` starts. Imports nothing that is not there before the set-up (deploy/setup.py)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from browsergo.agent import chrome
from deploy.refusals import Refused


def find_chrome(chosen: Path | None, environ: Mapping[str, str], home: Path) -> Path:
    """The browser to start: `chosen`, $BROWSERGO_AGENT_CHROME, one on PATH, or one that Playwright installed.

    Raises Refused when there is none.
    """
    if chosen is not None:
        return _named(chosen, "--chrome", environ)
    if named := environ.get("BROWSERGO_AGENT_CHROME"):
        return _named(Path(named), "BROWSERGO_AGENT_CHROME", environ)
    found = chrome.find_chrome(environ, home)
    if found is None:
        raise Refused(
            "no Chrome or Chromium found: install one (for example `apt install chromium`), or name one with --chrome"
            " PATH, or use a running one with --cdp http://127.0.0.1:9222, or start without a browser: --no-device"
        )
    return found


def _named(program: Path, setting: str, environ: Mapping[str, str]) -> Path:
    """A path, or the name of a program on PATH."""
    on_path = shutil.which(program.name, path=environ.get("PATH")) if program.name == str(program) else None
    found = Path(on_path) if on_path else program.expanduser().absolute()
    if not chrome.is_program(found):
        raise Refused(f"{setting} {program}: not a program that can be started; name the Chrome or Chromium itself")
    return found
