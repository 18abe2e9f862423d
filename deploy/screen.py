"""The terminal that `browsergo up` talks to. Plain lines when it is not a terminal; it may vanish at any time."""

import os
import sys
from contextlib import suppress
from typing import IO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text


class _LastingConsole(Console):
    """rich's console ends the program when nobody reads any more; a supervisor must go on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Screen:
    """Lines for people. Nothing is wrapped, boxed or highlighted: what stands on a line can be copied from it."""

    def __init__(self, file: IO[str] | None = None) -> None:
        self._console = _LastingConsole(file=file or sys.stdout, highlight=False, markup=False, emoji=False)
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def say(self, text: str, style: str = "") -> None:
        """Print `text` as it stands."""
        self._print(Text(text, style))

    def child(self, name: str, text: str, style: str = "yellow") -> None:
        """Print what happened to one child."""
        self._print(Text.assemble((f"{name} | ", "bold"), (text, style)))

    def complain(self, text: str) -> None:
        """Print why it failed, on stderr."""
        self.end_progress()
        with suppress(OSError):
            print(text, file=sys.stderr)

    def progress(self, text: str) -> None:
        """Show `text` on the line that moves; on terminals only."""
        if not self._console.is_terminal or self._console.quiet:
            return
        try:
            if self._live is None:
                # Refreshed by hand: a thread of rich's own would be there when children are forked.
                live = Live(self._spinner, console=self._console, auto_refresh=False, transient=True)
                live.start()
                self._live = live
            self._spinner.update(text=Text(text))
            self._live.refresh()
        except OSError:  # the terminal is gone
            self._live, self._console.quiet = None, True

    def end_progress(self) -> None:
        """Remove the moving line."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError):
                live.stop()

    def close(self) -> None:
        """Leave a stdout behind that the interpreter can close without complaint, also when its reader is gone."""
        self.end_progress()
        try:
            self._console.file.flush()
        except OSError:
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, sys.stdout.fileno())
            os.close(devnull)

    def _print(self, text: Text) -> None:
        try:
            self._console.print(text, soft_wrap=True)
        except OSError:  # the terminal is gone
            self._console.quiet = True
