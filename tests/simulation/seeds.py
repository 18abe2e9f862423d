"""Courses of the simulation by their seeds: the same seed always plays the same."""

import random
from collections.abc import Iterator

from browsergo.core.channel import frames
from tests.simulation.cast import CHUNK_BYTES, Mode, Violation
from tests.simulation.play import Play

MODES = {
    "general": Mode(),
    "patient": Mode(patient=True),
    "late_open": Mode(late_open=True),
    "gentle": Mode(gentle=True),
    "torn": Mode(torn=True, big=0.5),
    "hasty": Mode(hasty=True),
    "moving": Mode(gentle=True, moving=True),
}
PART_SEEDS = 25


def parts(first: int, seeds: int) -> Iterator[tuple[str, int]]:
    """So many seeds of each mode from `first` on, in parts of PART_SEEDS."""
    return ((name, begin) for begin in range(first, first + seeds, PART_SEEDS) for name in MODES)


def played(part: tuple[str, int]) -> str:
    """Play a part, in a process of its own; which of its seeds failed first, and why."""
    frames.CHUNK_BYTES = CHUNK_BYTES  # payloads travel in pieces as soon as they are somewhat large
    name, first = part
    for seed in range(first, first + PART_SEEDS):
        try:
            Play(random.Random(seed), MODES[name]).run()
        except Violation as violation:
            return f"mode {name}, seed {seed}: {violation}"
    return ""
