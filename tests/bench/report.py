"""From measurements to figures: medians over the rounds, and ratios to a peer of the same run. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Measurement = Mapping[str, Any]
Results = Mapping[str, Mapping[str, Sequence[Measurement]]]  # row -> mode -> one a round


class Figures(NamedTuple):
    """Medians of one row in one mode. CPU in microseconds for each unit, of all the relay's processes and by part."""

    per_s: float
    p50_us: float
    p99_us: float
    mb_per_s: float
    cpu_us: float
    parts_us: Mapping[str, float]
    spread: float  # of the CPU: largest to smallest round


def figures_of(rounds: Sequence[Measurement]) -> Figures:
    """The medians of the rounds."""

    def median(value: Callable[[Measurement], float]) -> float:
        return statistics.median(value(measured) for measured in rounds)

    costs = [sum(measured["cpu_ns"].values()) / 1000 / float(measured["units"]) for measured in rounds]
    roles = rounds[0]["cpu_ns"]
    return Figures(
        per_s=median(lambda measured: measured["units"] / measured["wall_s"]),
        p50_us=median(lambda measured: measured["p50_us"]),
        p99_us=median(lambda measured: measured["p99_us"]),
        mb_per_s=median(lambda measured: measured["bytes"] / measured["wall_s"] / 1e6),
        cpu_us=statistics.median(costs),
        parts_us={
            role: statistics.median(measured["cpu_ns"][role] / 1000 / measured["units"] for measured in rounds)
            for role in roles
        },
        spread=max(costs) / min(costs) if min(costs) > 0 else 1.0,
    )


def table(results: Results, modes: Mapping[str, str], peer: str) -> str:
    """One Markdown table a mode, under what `modes` says of it; ratios are to the row `peer`, if it was measured."""
    return "\n\n".join(f"**{mode}**: {what}\n\n{_table_of_mode(results, mode, peer)}" for mode, what in modes.items())


def _table_of_mode(results: Results, mode: str, peer: str) -> str:
    rows = {name: figures_of(found[mode]) for name, found in results.items() if found.get(mode)}
    other = rows.get(peer)
    heads = (
        "row",
        "units/s",
        "p50 µs",
        "p99 µs",
        "answers MB/s",
        "CPU µs each",
        "spread",
        f"p50 / {peer}",
        f"CPU / {peer}",
    )
    lines = [f"| {' | '.join(heads)} | by process |", "|---" * (len(heads) + 1) + "|"]
    for name, found in rows.items():
        parts = ", ".join(f"{role} {used:,.1f}" for role, used in found.parts_us.items() if used >= 0.05)
        p50 = f"{found.p50_us / other.p50_us:.1f}" if other else ""
        cpu = f"{found.cpu_us / other.cpu_us:.1f}" if other and other.cpu_us and found.cpu_us else ""
        lines.append(
            f"| {name} | {found.per_s:,.0f} | {found.p50_us:,.0f} | {found.p99_us:,.0f} | {found.mb_per_s:,.1f} "
            f"| {found.cpu_us:,.1f} | {found.spread:.2f} | {p50} | {cpu} | {parts} |"
        )
    return "\n".join(lines)
