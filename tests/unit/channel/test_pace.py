"""How much a line is given at once: about as much as it takes in 10 ms, and as much as ever when it takes all."""

import pytest

from browsergo.core.channel.frames import BATCH_BYTES
from browsergo.core.channel.pace import LEAST_BYTES, LINE_S, MOST_UNSENT_BYTES, Pace


def after(size: int, seconds: float) -> Pace:
    """A connection that was full of so many bytes and needed so long for them."""
    pace = Pace()
    pace.handing(size, 100.0)
    pace.emptied(100.0 + seconds)
    return pace


def test_a_new_connection_is_given_whole_batches() -> None:
    assert (Pace().batch_bytes, Pace().unsent_bytes) == (BATCH_BYTES, MOST_UNSENT_BYTES)


@pytest.mark.parametrize("bytes_per_s", [3e6, 5e6, 10e6, 20e6])
def test_a_line_is_given_what_it_takes_in_a_moment(bytes_per_s: float) -> None:
    pace = after(BATCH_BYTES, BATCH_BYTES / bytes_per_s)
    assert pace.batch_bytes == pytest.approx(bytes_per_s * LINE_S, abs=1)
    assert pace.batch_bytes / 4 < pace.unsent_bytes <= pace.batch_bytes / 2
    pace.handing(pace.batch_bytes, 200.0)
    assert pace.batch_bytes == pytest.approx(bytes_per_s * LINE_S, abs=1)


@pytest.mark.parametrize(
    ("size", "seconds", "batch"),
    [
        (BATCH_BYTES, 3600.0, LEAST_BYTES),
        (1, 1.0, LEAST_BYTES),
        (BATCH_BYTES, 0.0, BATCH_BYTES),
        (4 << 20, 0.001, BATCH_BYTES),
    ],
)
def test_neither_ends_in_nothing_nor_in_more_than_a_batch(size: int, seconds: float, batch: int) -> None:
    pace = after(size, seconds)
    assert pace.batch_bytes == batch
    assert pace.unsent_bytes == {LEAST_BYTES: LEAST_BYTES // 2, BATCH_BYTES: MOST_UNSENT_BYTES}[batch]


def test_a_line_that_takes_all_at_once_is_given_more_each_time() -> None:
    pace = after(BATCH_BYTES, 1.0)
    given = []
    for number in range(7):
        pace.handing(LEAST_BYTES, 200.0 + number)
        given.append(pace.batch_bytes)
    assert given[:3] == [LEAST_BYTES, 2 * LEAST_BYTES, 4 * LEAST_BYTES]
    assert given[-1] == BATCH_BYTES


def test_an_idle_line_has_not_become_thin() -> None:
    pace = Pace()
    pace.handing(1000, 100.0)  # taken at once; nobody says that the connection is empty, it was never full
    pace.handing(BATCH_BYTES, 200.0)
    pace.emptied(200.001)
    assert pace.batch_bytes == BATCH_BYTES
