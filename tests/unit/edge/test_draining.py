"""How fast clients are sent away that stayed to the end of a drain."""

import pytest

from edge.core.draining import NO_HERD_S, gap_s


@pytest.mark.parametrize("clients", [1, 2, 10, 100, 1200, 1201, 50_000])
def test_they_are_spread_evenly_over_the_time_there_is_and_few_are_not_waited_for(clients: int) -> None:
    gap = gap_s(clients, 120.0)
    assert gap * clients <= 120.0 * 1.000001
    assert gap <= NO_HERD_S
    assert gap * clients == pytest.approx(120.0) or gap == NO_HERD_S


def test_without_time_they_go_at_once() -> None:
    assert gap_s(7, 0.0) == 0.0
