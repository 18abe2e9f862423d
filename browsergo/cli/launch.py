"""How one of our programs is started: by name, with this interpreter, never by import."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import browsergo

_ROOT = Path(browsergo.__file__).absolute().parents[1]


def module_argv(module: str, *arguments: str) -> list[str]:
    """The command line of `python -m module`.

    With -P, so that a folder `edge` or `services` in the user's working directory is not taken for ours.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def module_environ(environ: Mapping[str, str], root: Path = _ROOT) -> dict[str, str]:
    """`environ`, by which a module of ours is found although the working directory is not searched.

    What is installed is found anyway; a source tree is put on PYTHONPATH.
    """
    result = dict(environ)
    if root.name not in {"site-packages", "dist-packages"}:
        others = [part for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(root)]
        result["PYTHONPATH"] = os.pathsep.join([str(root), *others])
    return result
