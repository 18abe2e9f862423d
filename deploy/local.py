"""`python -m deploy.local`: a whole stack on this machine, supervised; also known as `browsergo up`."""

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

from browsergo.cli.exits import INTERRUPTED, OK, USAGE

# One of each kind of library in the extra `server`: a device's owner may have installed without it.
SERVER_MODULES = ("grpc", "h11", "opentelemetry", "uvicorn")


def _end_quietly(_number: int, _frame: object) -> NoReturn:
    """SIGTERM while nothing runs yet: unwind, and that is all."""
    raise SystemExit(OK)


def not_installed(modules: Iterable[str] = SERVER_MODULES) -> str | None:
    """What to install when one of `modules` is missing; None: all are there."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            return f"browsergo up: {module} is not installed; the relay needs `pip install 'browser-go[server]'`"
    return None


def _up() -> int:
    if why := not_installed():
        print(why, file=sys.stderr)
        return USAGE
    # Half a second of imports, during which Ctrl-C is to be quiet, too.
    from deploy.up import up

    return up(sys.argv[1:], os.environ)


def run(program: Callable[[], int]) -> NoReturn:
    """Exit with what `program` returns; without a traceback when a signal comes before the stack has its own."""
    signal.signal(signal.SIGTERM, _end_quietly)
    try:
        raise SystemExit(program())
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def main() -> None:
    """Run the stack that the command line describes."""
    run(_up)


if __name__ == "__main__":
    main()
