"""Why `browsergo up` does not start: one line each, which says what to do."""


class Refused(Exception):
    """The stack cannot be started as configured (exit code 2)."""
