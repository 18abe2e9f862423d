"""Figures of a run: what a test asserts of many measurements, and says for the report (pytest -rP, -s)."""

from collections.abc import Sequence
from math import ceil


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed (nearest rank)."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def say(text: str) -> None:
    """For the report of a run."""
    print(text, flush=True)


def pauses_ms(values_s: Sequence[float]) -> str:
    """Pauses in words."""
    shares = " ".join(f"p{share * 100:.0f} {percentile(values_s, share) * 1000:.0f}" for share in (0.5, 0.99))
    return f"{len(values_s)} pauses, ms: {shares} max {max(values_s) * 1000:.0f}"
