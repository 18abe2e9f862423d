"""Small commands beside large answers: what one client fetches is not what another one waits for.

The aim is a p99 of at most five times that of small commands alone. It is printed, and not asserted: ten processes
that all have work wait for each other on a machine of two cores, whatever the relay does. Asserted is that nobody waits
for a large answer to be over, as everybody did while frames left in the order in which they came.
"""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.figures import say
from tests.e2e.raw_cdp import RawClient
from tests.e2e.round_trips import Samples
from tests.e2e.small_beside_large import beside
from tests.fakes.stack import Stack

MEGABYTE = 1_000_000
LARGE_BYTES = (1 * MEGABYTE, 16 * MEGABYTE, 64 * MEGABYTE)
WARM_UP, SAMPLES, ROUNDS = 200, 600, 3


@pytest.mark.slow
def test_small_commands_hardly_notice_the_large_answers_of_others(tmp_path: Path) -> None:
    with ExitStack() as opened:
        browser = opened.enter_context(beside("browser"))
        stack = opened.enter_context(Stack(tmp_path, flags=("--cdp", browser.started())))
        client = opened.enter_context(RawClient(stack.urls.client_ws))
        Samples(client).take(WARM_UP)
        alone = Samples(client)
        alone.take(SAMPLES)
        larges = [opened.enter_context(beside("large", stack.urls.client_ws, str(size))) for size in LARGE_BYTES]
        for large in larges:
            large.started()
        counted = [large.lines for large in larges]
        began_s = time.perf_counter()
        during = Samples(client)
        during.take(
            SAMPLES, lambda: all(large.lines >= before + ROUNDS for large, before in zip(larges, counted, strict=True))
        )
        answers = [large.lines - before for large, before in zip(larges, counted, strict=True)]
        largest_ms = (time.perf_counter() - began_s) / answers[-1] * 1000
    for name, samples in (("alone", alone), ("beside large ones", during)):
        say(f"small {name}: {samples}")
    say(f"large answers meanwhile: {answers} of {LARGE_BYTES}; {largest_ms:.0f} ms for one of 64 MB")
    assert during.quantile_ms(0.99) < largest_ms / 2
    assert during.quantile_ms(0.5) < largest_ms / 10
