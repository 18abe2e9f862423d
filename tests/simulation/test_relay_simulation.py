"""The production cores of the delivery protocol in a faulty world: invariants I1 to I8 of design/delivery.md."""

import random
from collections import Counter

import pytest

from browsergo.core.channel import frames
from tests.simulation.cast import CHUNK_BYTES, Mode, Violation
from tests.simulation.cores import failures
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.play import Play
from tests.simulation.seeds import MODES, PART_SEEDS, parts, played

SEEDS = 300  # of each mode
MORE_SEEDS = 2850
MUTANT_SEEDS = 1500


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payloads travel in pieces as soon as they are somewhat large."""
    monkeypatch.setattr(frames, "CHUNK_BYTES", CHUNK_BYTES)


def play(first: int, seeds: int) -> list[str]:
    """So many seeds of each mode, from `first` on."""
    return failures(played, parts(first, seeds))


def hunt(mode: Mode) -> None:
    for seed in range(MUTANT_SEEDS):
        Play(random.Random(seed), mode).run()


def test_a_seed_always_plays_the_same() -> None:
    first, second = Play(random.Random(7)), Play(random.Random(7))
    first.run()
    second.run()
    assert (first.stats, first.answers, first.now) == (second.stats, second.answers, second.now)


def test_the_faults_and_ends_worth_playing_do_happen() -> None:
    stats: Counter[str] = Counter()
    for seed in range(40):
        world = Play(random.Random(seed))
        world.run()
        stats += world.stats
    assert stats["ok"] > 500
    for name in ("no", "unknown", "refused", "register", "link lost", "router lost", "trunk lost", "edge crashed"):
        assert stats[name] > 10, name
    for name in ("DEVICE_LOST", "DEVICE_RESTARTED", "CHANNEL_GONE", "DRAINING", "closed by client"):
        assert stats[name] > 0, name


def test_agents_that_are_asked_to_leave_move_again_and_again_and_every_command_is_answered() -> None:
    stats: Counter[str] = Counter()
    for seed in range(20):
        world = Play(random.Random(seed), MODES["moving"])
        world.run()
        stats += world.stats
    assert stats["move"] > 50
    assert stats["ok"] > 500


@pytest.mark.timeout(300)
def test_the_invariants_hold() -> None:
    assert play(0, SEEDS) == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_invariants_hold_for_many_seeds() -> None:
    assert play(SEEDS, MORE_SEEDS) == []


def test_a_failure_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    [broken, *_] = [mutant for mutant in MUTANTS if mutant.name == "TrimsOnSend"]
    monkeypatch.setitem(MODES, "broken", broken.mode)
    words = next(words for first in range(0, MUTANT_SEEDS, PART_SEEDS) if (words := played(("broken", first))))
    seed = int(words.split("seed ")[1].split(":")[0])
    with pytest.raises(Violation):
        Play(random.Random(seed), broken.mode).run()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_broken_rule_is_caught(mutant: Mutant) -> None:
    with pytest.raises(Violation):
        hunt(mutant.mode)
