"""`python -m tests.bench`, or `make bench`: this project beside its peers (docs/performance.md)."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import measure
from tests.bench.modes import MODES
from tests.bench.report import table
from tests.bench.rows import ROWS


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure this relay and its peers in one run.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; none: all of them")
    parser.add_argument("--modes", default=",".join(MODES), help="of %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="of each mode; their median counts (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much is done in a round (%(default)s)")
    parser.add_argument("--peer", default="pass-through", choices=list(ROWS), help="the row of the ratios")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    given = parser.parse_args()
    unknown = {*given.rows} - {*ROWS} | {*given.modes.split(",")} - {*MODES}
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: rows are {', '.join(ROWS)}, modes are {', '.join(MODES)}")
    if given.rounds < 1 or given.scale <= 0:
        parser.error("--rounds and --scale are more than 0")
    return given


def main() -> int:
    """Measure and print. 0: every row was measured in every mode."""
    given = arguments()
    rows, labels = given.rows or list(ROWS), given.modes.split(",")
    modes = {label: MODES[label].sized(given.scale) for label in labels}
    with tempfile.TemporaryDirectory(prefix="browsergo-bench-") as folder:
        results = measure(
            rows, modes, given.rounds, Path(folder), lambda line: print(line, file=sys.stderr, flush=True)
        )
    if given.json is not None:
        given.json.write_text(json.dumps(results))
    print("\n".join(f"- {name}: {ROWS[name].what}" for name in rows), end="\n\n")
    print(table(results, {label: mode.what for label, mode in modes.items()}, given.peer))
    return 0 if all(results.get(row, {}).get(label) for row in rows for label in labels) else 1


if __name__ == "__main__":
    raise SystemExit(main())
