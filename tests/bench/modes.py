"""What is asked of every row, and how much of it."""

from typing import NamedTuple

TIMEOUT_S = 60.0


class Mode(NamedTuple):
    """`clients` each on a device of its own, `window` commands in flight each; `warm_up` of them are not counted."""

    what: str
    clients: int
    kind: str
    commands: int
    warm_up: int
    window: int = 1
    events: int = 0

    def sized(self, scale: float) -> "Mode":
        """The same with less, or more, to do."""
        return self._replace(commands=max(1, round(self.commands * scale)), events=round(self.events * scale))


MODES: dict[str, Mode] = {
    "seq": Mode("one command in flight", 1, "evaluate", 1500, 300),
    "pipe64": Mode("64 commands in flight on one client", 1, "evaluate", 8000, 2000, window=64),
    "50x50": Mode("50 clients of 50 devices, 8 in flight each", 50, "evaluate", 10_000, 2000, window=8),
    "flood": Mode("a device sends 15,000 events; a unit is an event", 1, "flood", 1, 1, events=15_000),
    "big": Mode("answers of 1 MiB, two in flight", 1, "screenshot", 30, 4, window=2),
}
