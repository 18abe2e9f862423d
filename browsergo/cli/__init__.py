"""The `browsergo` command, and what `browsergo up` shares with it.

Read by whatever Python the user has, before anything newer is: this package, and with it every program that stands
on it, refuses an interpreter that is too old in one clear line instead of a traceback.
"""

from __future__ import annotations

import sys

OLDEST_PYTHON = (3, 11)


def too_old(version: tuple[int, int]) -> str | None:
    """Why that Python cannot be used; None: it can."""
    if version >= OLDEST_PYTHON:
        return None
    return f"browsergo: Python {version[0]}.{version[1]} is too old; run it with 3.11 or later"


if why := too_old(sys.version_info[:2]):
    print(why, file=sys.stderr)
    raise SystemExit(2)
