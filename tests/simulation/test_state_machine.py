"""The delivery protocol under the steps that Hypothesis chooses: invariants I1 to I8 of design/delivery.md."""

import sys
import traceback
from dataclasses import replace

import pytest
from hypothesis import Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from browsergo.core.channel import frames
from tests.simulation.cast import CHUNK_BYTES, Mode, Violation
from tests.simulation.cores import failures
from tests.simulation.machine import CLIENTS, machine
from tests.simulation.mutants import MUTANTS

# Derandomized: the same steps each time. What fails is printed as a program, and with what reproduces it.
STEADY = settings(
    max_examples=250,  # of each of two modes
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
PART_EXAMPLES = 1000

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


def tried(part: tuple[str, int]) -> str:
    """PART_EXAMPLES of a mode by a seed, in a process of its own; how they failed."""
    frames.CHUNK_BYTES = CHUNK_BYTES
    name, number = part
    try:
        run_state_machine_as_test(
            seed(number)(machine(MODES[name])), settings=settings(STEADY, max_examples=PART_EXAMPLES)
        )
    except Violation as violation:
        return "".join(traceback.format_exception(violation))
    return ""


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_invariants_hold_for_many_examples() -> None:
    parts = [(name, number) for name, examples in MANY.items() for number in range(examples // PART_EXAMPLES)]
    assert failures(tried, parts) == []


def test_a_failure_tells_its_steps_and_parts_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = next(mutant for mutant in MUTANTS if mutant.name == "TrimsOnSend")
    monkeypatch.setitem(MODES, "broken", replace(broken.mode, clients=CLIENTS))
    monkeypatch.setattr(sys.modules[__name__], "STEADY", settings(STEADY, phases=[Phase.generate]))  # not shortened
    first, again, second = (tried(("broken", number)) for number in (1, 1, 2))
    assert "reproduce" in first
    assert first == again
    assert first != second


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
