"""The delivery protocol under the steps that Hypothesis chooses: invariants I1 to I8 of design/delivery.md."""

from dataclasses import replace

import pytest
from hypothesis import Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from browsergo.core.channel import frames
from tests.simulation.cast import CHUNK_BYTES, Mode, Violation
from tests.simulation.machine import CLIENTS, machine
from tests.simulation.mutants import MUTANTS

# Derandomized: the same steps each time. What fails is printed as a program, and with what reproduces it.
STEADY = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
)
HUNT = settings(STEADY, max_examples=3000, phases=[Phase.generate], verbosity=Verbosity.quiet)  # found is enough

MODES = {"general": Mode(clients=CLIENTS), "gentle": Mode(clients=CLIENTS, gentle=True)}
MANY = {"general": 14_000, "gentle": 6000}  # examples of each

# Of the mutants those that it takes soon, then others that need more luck; the seeds of test_relay_simulation.py
# take all.
CAUGHT = [
    "ExecutesDuplicates", "TrimsOnSend", "PathLostIgnored", "OpenAgainResets", "SlowAtOnce", "ReplaysReversed",
    "NoReplay", "NoIfUnacknowledged", "AbsentIsUnnamed", "NewBootIgnored", "OpenNotRepeated",
]  # fmt: skip
CAUGHT_LATER = ["NoCredit", "BindingIgnored", "ResumeGrantsWhatIsReceived", "UnknownClaimKept", "FramesHop"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payloads travel in pieces as soon as they are somewhat large."""
    monkeypatch.setattr(frames, "CHUNK_BYTES", CHUNK_BYTES)


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
def test_the_invariants_hold(mode: Mode) -> None:
    run_state_machine_as_test(machine(mode), settings=STEADY)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", MODES)
def test_the_invariants_hold_for_many_examples(name: str) -> None:
    run_state_machine_as_test(machine(MODES[name]), settings=settings(STEADY, max_examples=MANY[name]))


@pytest.mark.parametrize("name", CAUGHT)
def test_a_broken_rule_is_caught(name: str) -> None:
    hunt(name)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CAUGHT_LATER)
def test_a_broken_rule_is_caught_later(name: str) -> None:
    hunt(name)


def hunt(name: str) -> None:
    (mode,) = [mutant.mode for mutant in MUTANTS if mutant.name == name]
    with pytest.raises(Violation):
        run_state_machine_as_test(machine(replace(mode, clients=CLIENTS)), settings=HUNT)
