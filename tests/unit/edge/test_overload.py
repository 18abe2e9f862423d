"""The ladder as numbers: where a rung is entered and left, one step a sample, and never in haste down."""

import pytest

from edge.core.overload import LAG_SAMPLES, Change, Ladder, OverloadLimits, Rung

LIMITS = OverloadLimits(memory_bytes=1000, lag_s=0.5, stay_s=10.0)
CALM = 0.01


class Climber:
    """A ladder and the clock of its samples, one a second."""

    def __init__(self, limits: OverloadLimits = LIMITS) -> None:
        self.ladder = Ladder(limits)
        self.now = 100.0

    def at(self, memory: int, *, lag: float = CALM, samples: int = 1) -> list[Change]:
        """The steps of so many samples with these figures."""
        found = []
        for _ in range(samples):
            self.now += 1
            change = self.ladder.sample(memory, lag, self.now)
            found += [change] if change is not None else []
        return found


def climbed_to(rung: Rung) -> Climber:
    climber = Climber()
    climber.at(1000, samples=rung)
    assert climber.ladder.rung is rung
    return climber


ENTERED_AT = [(Rung.SAVING, 700), (Rung.REFUSING, 800), (Rung.CLOSING, 900)]
LEFT_BELOW = [(Rung.SAVING, 600), (Rung.REFUSING, 700), (Rung.CLOSING, 800)]


@pytest.mark.parametrize(("rung", "memory"), ENTERED_AT)
def test_a_rung_is_entered_at_its_threshold_and_not_below(rung: Rung, memory: int) -> None:
    climber = climbed_to(Rung(rung - 1))
    assert climber.at(memory - 1) == []
    assert climber.at(memory) == [Change(Rung(rung - 1), rung)]


@pytest.mark.parametrize(("rung", "memory"), LEFT_BELOW)
def test_a_rung_is_left_below_its_lower_threshold_and_not_at_it(rung: Rung, memory: int) -> None:
    climber = climbed_to(rung)
    assert climber.at(memory, samples=100) == []
    assert climber.at(memory - 1) == [Change(rung, Rung(rung - 1))]


def test_one_step_a_sample_however_much_there_is() -> None:
    climber = Climber()
    assert climber.at(5000, samples=5) == [
        Change(Rung.OK, Rung.SAVING),
        Change(Rung.SAVING, Rung.REFUSING),
        Change(Rung.REFUSING, Rung.CLOSING),
    ]


def test_each_rung_lasts_its_stay_on_the_way_down() -> None:
    climber = climbed_to(Rung.CLOSING)
    for rung in (Rung.CLOSING, Rung.REFUSING, Rung.SAVING):
        assert climber.at(0, samples=9) == []
        assert climber.at(0) == [Change(rung, Rung(rung - 1))]
    assert climber.at(0, samples=100) == []


def test_figures_that_swing_between_the_thresholds_change_nothing() -> None:
    climber = climbed_to(Rung.REFUSING)
    assert [change for memory in [899, 700] * 50 for change in climber.at(memory)] == []


def test_figures_that_swing_across_both_thresholds_change_it_once_a_stay_at_most() -> None:
    climber = climbed_to(Rung.SAVING)
    changes = [change for memory in [0, 799] * 50 for change in climber.at(memory)]
    downward = [change for change in changes if change.now < change.was]
    assert 1 <= len(downward) <= 100 / LIMITS.stay_s


def test_a_harder_rung_is_entered_without_a_wait() -> None:
    climber = climbed_to(Rung.SAVING)
    climber.at(0, samples=10)
    assert climber.ladder.rung is Rung.OK
    assert [change.now for change in climber.at(1000, samples=3)] == [Rung.SAVING, Rung.REFUSING, Rung.CLOSING]


# --- lag ------------------------------------------------------------------------------------------------------


def test_a_lag_counts_once_it_lasts() -> None:
    climber = Climber()
    assert climber.at(0, lag=9.0, samples=LAG_SAMPLES - 1) == []
    assert climber.at(0) == []
    assert climber.at(0, lag=9.0, samples=LAG_SAMPLES) == [Change(Rung.OK, Rung.SAVING)]


def test_lag_saves_then_refuses_and_closes_no_channel() -> None:
    climber = Climber()
    assert [change.now for change in climber.at(0, lag=0.5, samples=50)] == [Rung.SAVING]
    assert [change.now for change in climber.at(0, lag=2.0, samples=50)] == [Rung.REFUSING]
    assert climber.at(0, lag=100.0, samples=50) == []
    assert not climber.ladder.must_close(0)


def test_a_rung_that_lag_made_is_left_below_half_of_it() -> None:
    climber = Climber()
    climber.at(0, lag=0.5, samples=LAG_SAMPLES)
    assert climber.at(0, lag=0.25, samples=50) == []
    assert climber.at(0, lag=0.24) == [Change(Rung.SAVING, Rung.OK)]


def test_either_figure_alone_keeps_a_rung() -> None:
    climber = climbed_to(Rung.REFUSING)
    climber.at(1000, lag=2.0, samples=LAG_SAMPLES)
    while climber.ladder.rung is Rung.CLOSING:
        climber.at(0, lag=2.0)
    assert climber.at(0, lag=2.0, samples=50) == []
    assert climber.at(750, samples=50) == []


# --- closing ---------------------------------------------------------------------------------------------------


def test_a_channel_must_go_only_on_the_last_rung_and_while_the_figure_is_over() -> None:
    climber = climbed_to(Rung.REFUSING)
    climber.at(899)
    assert not climber.ladder.must_close(0)
    climber.at(900)
    assert climber.ladder.must_close(0)
    climber.at(899)
    assert climber.ladder.rung is Rung.CLOSING
    assert not climber.ladder.must_close(0)


def test_what_is_on_its_way_out_already_counts_as_gone() -> None:
    climber = climbed_to(Rung.CLOSING)
    climber.at(950)
    assert climber.ladder.must_close(50)
    assert not climber.ladder.must_close(51)


def test_where_memory_is_unknown_it_enters_no_rung() -> None:
    climber = Climber()
    assert climber.at(0, samples=50) == []
    assert climber.ladder.words == "memory unknown, loop lag 10 ms"
