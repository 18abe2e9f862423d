"""`python -m tests.simulation`, or `make simulation`: very many courses, on all cores; 1 if any of them is wrong."""

import argparse
import sys
import time

from tests.simulation.cores import outcomes
from tests.simulation.seeds import MODES, PART_SEEDS, parts, played

SEEDS = 100_000
TOLD_EVERY_S = 60.0


def main() -> int:
    """Play, and say how it goes."""
    parser = argparse.ArgumentParser(prog="make simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="courses in all, %(default)s; as many of each mode")
    parser.add_argument("--first", type=int, default=0, help="the first seed of each mode (%(default)s)")
    given = parser.parse_args()
    each = -(-given.seeds // len(MODES) // PART_SEEDS) * PART_SEEDS
    began_s = told_s = time.monotonic()
    done, failed = 0, 0
    for words in outcomes(played, parts(given.first, each)):
        done += PART_SEEDS
        if words:
            failed += 1
            print(words, flush=True)
        if time.monotonic() - told_s > TOLD_EVERY_S:
            told_s = time.monotonic()
            print(f"{done} of {each * len(MODES)}, {failed} parts failed", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - began_s) / 60
    print(f"{done} courses of {', '.join(MODES)} from seed {given.first}: {failed} violations, {minutes:.0f} min")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
