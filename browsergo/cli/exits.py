"""How the `browsergo` command ends (docs/operations/exit-codes.md)."""

OK = 0
FAILED = 1
USAGE = 2
NOT_RUNNING = 3
INTERRUPTED = 130


class CliError(Exception):
    """The command cannot do what was asked; the text is one line that says what to do next."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
