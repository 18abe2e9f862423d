"""What a child prints: split into lines, and the few that people should see at once. Pure.

The lines are the JSON of browsergo/chassis/logs; whatever else a child prints goes to its log only.
"""

import json
from dataclasses import dataclass, field

MAX_LINE_BYTES = 64 * 1024
SHOWN_CHARS = 240
_SHOWN_LEVELS = frozenset({"warning", "error", "critical", "exception"})
_LEFT_OUT = frozenset({"level", "time", "event", "service", "instance", "exception"})
_CUT = " […]"


@dataclass(slots=True)
class LineSplitter:
    """Bytes in, whole lines out. A line longer than `limit_bytes` comes in pieces, so that memory is bounded."""

    limit_bytes: int = MAX_LINE_BYTES
    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, received: bytes) -> list[str]:
        """The lines that `received` completes."""
        self._rest += received
        *whole, last = self._rest.split(b"\n")
        self._rest = last
        while len(self._rest) > self.limit_bytes:
            whole.append(self._rest[: self.limit_bytes])
            self._rest = self._rest[self.limit_bytes :]
        return [piece.decode(errors="replace").rstrip("\r") for line in whole for piece in self._pieces(line)]

    def close(self) -> list[str]:
        """What was left without an end of line."""
        rest, self._rest = self._rest, bytearray()
        return [rest.decode(errors="replace")] if rest else []

    def _pieces(self, line: bytearray) -> list[bytearray]:
        return [line[start : start + self.limit_bytes] for start in range(0, max(1, len(line)), self.limit_bytes)]


def urgent_text(line: str) -> str | None:
    """A warning or an error of a child's log, short, for a terminal; None: anything else."""
    fields = _fields(line)
    if fields is None or fields.get("level") not in _SHOWN_LEVELS:
        return None
    return shortened(f"{fields['level']}: {_said(fields)}")


def plain_text(line: str) -> str:
    """Any line of a child, short, for a terminal: what a JSON line says, or the line itself."""
    fields = _fields(line)
    return shortened(line if fields is None else _said(fields))


def shortened(text: str) -> str:
    """`text` on one line of at most SHOWN_CHARS, without control characters."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat if len(flat) <= SHOWN_CHARS else flat[: SHOWN_CHARS - len(_CUT)] + _CUT


def _fields(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _said(fields: dict[str, object]) -> str:
    details = [f"{key}={value}" for key, value in fields.items() if key not in _LEFT_OUT]
    return " ".join([str(fields.get("event", "")), *details])


@dataclass(slots=True)
class Quota:
    """How many lines of one child a terminal shows in a while; a flood is counted, not shown."""

    lines: int = 10
    period_s: float = 10.0
    _since_s: float = float("-inf")
    _used: int = 0
    _dropped: int = 0

    def take(self, now_s: float) -> tuple[bool, int]:
        """Whether to show one more line, and how many were left out since the last one that was shown."""
        if now_s - self._since_s >= self.period_s:
            self._since_s, self._used = now_s, 0
        if self._used >= self.lines:
            self._dropped += 1
            return False, 0
        self._used += 1
        dropped, self._dropped = self._dropped, 0
        return True, dropped
