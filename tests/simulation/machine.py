"""The simulation's world as a state machine: Hypothesis chooses each step, finds what breaks, and shortens it.

A rule is one thing that happens, as in play.py. `way` says how, where there is a choice: which frame, link or client.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.simulation.cast import Mode
from tests.simulation.play import STEP_S, Play

T = TypeVar("T")

WAYS = st.integers(min_value=0, max_value=4095)
CLIENTS = 2
MOST = 5
THEN = st.sampled_from([4, 2, 1, 0])

Happening = Callable[[Play], None]
TURNS: list[Happening] = [Play.post, Play.late_open, Play.learn, Play.dial, Play.arrive, Play.take, Play.stall]
FAULTS: list[Happening] = [
    Play.lose_link, Play.regain_link, Play.lose_router, Play.lose_trunk, Play.redial_trunk, Play.away, Play.register,
    Play.false_alarm, Play.fade,
]  # fmt: skip
ENDS: list[Happening] = [Play.new_boot, Play.leave, Play.close_browser, Play.end_channel, Play.close_target]
DEADLINES: list[Happening] = [Play.wait, Play.crash_edge]  # a dead edge's channels are freed by deadlines only


class Steered(random.Random):
    """Chance that decides as `way` says, read as a number whose digits are the choices made one after another.

    Only numbers of many bits (ids) come from the generator itself; they decide nothing.
    """

    way = 0

    def _digit(self, choices: int) -> int:
        self.way, digit = divmod(self.way, choices)
        return digit

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]  # typeshed's protocol has no name
        return seq[self._digit(len(seq))]

    def randint(self, a: int, b: int) -> int:
        return a + self._digit(b - a + 1)

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return self._digit(start)

    def random(self) -> float:
        """Low and high enough for each probability that is asked for; first what is ordinary."""
        return (0.95, 0.4, 0.2, 0.0)[self._digit(4)]


class Delivery(RuleBasedStateMachine):
    """One world. Its invariants are checked wherever something happens, after every step, and when all is quiet."""

    mode: ClassVar[Mode] = Mode(clients=CLIENTS)

    def __init__(self) -> None:
        super().__init__()
        self.steered = Steered(0)
        self.world = Play(self.steered, self.mode)
        self.broken = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A world that is broken once is not looked at any more."""
        try:
            yield
        except Exception:
            self.broken = True
            raise

    def happens(self, what: Happening, way: int, then: int, times: int = 1) -> None:
        """It happens, `times` in a row; `then` all moves on by so many hops, and only news of faults waits."""
        with self.watched():
            for number in range(times):
                self.steered.way = way + number
                what(self.world)
            for _ in range(then):
                self._move()
            self.world.pass_time(STEP_S)

    def _move(self) -> None:
        for hop in self.world.hops():
            hop()
        self.world.post()
        self.world.dial()

    @invariant()
    def bounds_hold_and_nothing_goes_back(self) -> None:
        with self.watched():
            self.world.check()

    def teardown(self) -> None:
        if not self.broken:
            self.world.chance = random.Random(1)  # not the generator of the ids that are taken already
            self.world.settle()

    @initialize(way=WAYS)
    def clients_come(self, way: int) -> None:
        """Most of what may go wrong needs open channels; how they open is for the rules as well."""
        self.happens(Play.arrive, way, 0)
        self.happens(self._deliver_all, 0, 0)

    # --- traffic --------------------------------------------------------------------------------------------------

    @rule(way=WAYS, most=st.integers(1, MOST))
    def deliver(self, way: int, most: int) -> None:
        """The next frames of any one queue go one hop further."""
        self.happens(partial(self._deliver, most), way, 0)

    def _deliver(self, most: int, world: Play) -> None:
        hops = world.hops()
        if hops:
            hop = self.steered.choice(hops)
            while hop() and most > 1:
                most -= 1

    @rule()
    def deliver_all(self) -> None:
        """What is under way arrives, and what follows from it."""
        self.happens(self._deliver_all, 0, 0)

    def _deliver_all(self, world: Play) -> None:
        while not world.idle():
            self._move()
            world.learn()

    @rule(way=WAYS, then=THEN, times=st.integers(1, MOST))
    def clients_send(self, way: int, then: int, times: int) -> None:
        self.happens(Play.arrive, 0, 0)
        self.happens(Play.issue, way, then, times)

    @rule(way=WAYS, then=THEN, times=st.integers(1, MOST))
    def browser_says(self, way: int, then: int, times: int) -> None:
        self.happens(Play.browse, way, then, times)

    @rule(what=st.sampled_from(TURNS), way=WAYS, then=THEN)
    def turn(self, what: Happening, way: int, then: int) -> None:
        """A client comes, or stops or starts reading; a socket, an OPEN, an old OPEN, news of a fault arrive."""
        self.happens(what, way, then)

    # --- faults ---------------------------------------------------------------------------------------------------

    @rule(what=st.sampled_from(FAULTS), way=WAYS, then=THEN)
    def fault(self, what: Happening, way: int, then: int) -> None:
        """A pause is all that clients may see of it."""
        self.happens(what, way, then)

    @precondition(lambda self: not self.mode.gentle)
    @rule(what=st.sampled_from(ENDS + DEADLINES), way=WAYS, then=THEN)
    def end(self, what: Happening, way: int, then: int) -> None:
        """It ends channels, at once or if it takes too long."""
        if not (self.mode.patient and what in DEADLINES):
            self.happens(what, way, then)


def machine(mode: Mode) -> type[Delivery]:
    """The state machine of a world in which `mode` holds."""
    return type("Delivery", (Delivery,), {"mode": mode})
