"""An edge that saves credit: less is on its way to it, and whoever takes messages still gets them all."""

import json
from collections import deque
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core.channel import payloads
from browsergo.core.channel.client_flow import NARROW
from browsergo.core.channel.client_state import Deliver, Effect, Seek, Send
from browsergo.core.channel.device_end import DeviceEffect, Dial, Transmit
from browsergo.core.channel.frames import NO_EDGE, Frame, Kind
from browsergo.core.ids import Binding
from tests.unit.channel.ends import (
    CHANNEL,
    CLIENT_EDGE,
    DEVICE_EDGE,
    LINK,
    OTHER,
    ROUTER,
    ClientSide,
    DeviceSide,
    answer,
    command,
    event,
    only,
    open_client,
    open_device,
    sent,
    told,
    up,
)

LARGE = event(pad="x" * NARROW.size_bytes)


def windows(effects: list[Effect]) -> list[payloads.Window | None]:
    """What the acknowledgements among them grant."""
    return [payloads.decode_window(ack.payload) for ack in sent(effects, Kind.ACK)]


# --- the client end -----------------------------------------------------------------------------------------------


def test_every_channel_is_told_at_once_that_credit_is_saved_and_that_it_is_not_any_more() -> None:
    side = open_client()
    side.open(OTHER)
    side.opened(Binding(1, 2), channel=OTHER)
    saving = side.ends.save_credit(True)
    assert [ack.channel for ack in sent(saving, Kind.ACK)] == [CHANNEL, OTHER]
    assert windows(saving) == [NARROW, NARROW]
    assert windows(side.ends.save_credit(False)) == [None, None]


def test_while_credit_is_saved_acknowledgements_come_in_steps_of_half_the_window() -> None:
    side = open_client()
    side.ends.save_credit(True)
    acks = [ack for seq in range(1, 101) for ack in sent(side.message(seq, event()), Kind.ACK)]
    assert [ack.seq for ack in acks] == [32, 64, 96]
    assert {payloads.decode_window(ack.payload) for ack in acks} == {NARROW}


def test_a_channel_on_a_lost_path_hears_of_it_in_its_resume() -> None:
    side = open_client()
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    assert side.ends.save_credit(True) == []
    [resume] = sent(side.hello(Binding(1, 2), side.named()), Kind.RESUME)
    assert payloads.decode_resume(resume.payload) == payloads.Resume(0, NARROW)


def test_a_channel_that_opens_meanwhile_is_given_the_narrow_window_from_the_start() -> None:
    side = ClientSide()
    side.ends.save_credit(True)
    side.open()
    [resume] = sent(side.opened(), Kind.RESUME)
    assert payloads.decode_resume(resume.payload).window == NARROW


def test_a_large_answer_that_nobody_waits_for_gives_its_credit_back() -> None:
    side = open_client()
    side.ends.save_credit(True)
    assert [ack.seq for ack in sent(side.message(1, answer(1, pad="x" * NARROW.size_bytes)), Kind.ACK)] == [1]
    side.ends.writable(CHANNEL, False)
    side.message(2, event())
    side.message(3, answer(1, pad="x" * NARROW.size_bytes))
    assert [ack.seq for ack in sent(side.ends.writable(CHANNEL, True), Kind.ACK)] == [3]


def test_an_answer_of_the_relay_behind_a_large_message_keeps_no_credit_back() -> None:
    side = open_client()
    side.ends.save_credit(True)
    side.ends.writable(CHANNEL, False)
    side.message(1, LARGE)
    side.command(b"not JSON")
    effects = side.ends.writable(CHANNEL, True)
    assert len(told(effects)) == 2
    assert sent(effects, Kind.ACK)[-1].seq == 1


def test_what_is_kept_of_a_channel_is_what_its_client_and_its_device_have_not_taken() -> None:
    side = open_client()
    assert side.ends.buffered_bytes() == {CHANNEL: 0}
    side.command(command(1))
    side.ends.writable(CHANNEL, False)
    side.message(1, event())
    side.message(2, b"piece", flags=1)
    assert side.ends.buffered_bytes() == {CHANNEL: len(command(1)) + len(event()) + len(b"piece")}


# --- the device end -----------------------------------------------------------------------------------------------


def acknowledge(side: DeviceSide, at: Binding, consumed: int, window: payloads.Window | None) -> list[int]:
    """Acknowledge within a window; the numbers of the messages that follow."""
    effects = side.receive(Kind.ACK, at=at, seq=consumed, payload=payloads.encode_window(window))
    return [frame.seq for frame in up(effects, Kind.MSG)]


def says(side: DeviceSide, payload: bytes, times: int) -> int:
    """How many of so many equal messages leave."""
    return sum(len({frame.seq for frame in up(side.says(payload), Kind.MSG)}) for _ in range(times))


def test_a_device_end_keeps_to_the_window_it_is_told_and_to_its_own_once_none_is() -> None:
    side, at = open_device()
    acknowledge(side, at, 0, payloads.Window(3, 1 << 20))
    assert says(side, event(), 10) == 3
    assert acknowledge(side, at, 1, payloads.Window(3, 1 << 20)) == [4]
    assert acknowledge(side, at, 1, None) == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("window", [payloads.Window(1 << 20, 1 << 40), None])
def test_a_window_wider_than_its_own_changes_nothing(window: payloads.Window | None) -> None:
    side, at = open_device()
    acknowledge(side, at, 0, window)
    assert says(side, event(), 1030) == 1024


def test_a_message_larger_than_the_window_passes_alone() -> None:
    side, at = open_device()
    acknowledge(side, at, 0, NARROW)
    assert says(side, LARGE, 3) == 1
    assert set(acknowledge(side, at, 1, NARROW)) == {2}


def test_a_resume_says_which_window_holds_on_the_new_path() -> None:
    side, at = open_device()
    acknowledge(side, at, 0, payloads.Window(1, 1))
    says(side, event(), 5)
    side.link_lost(1)
    [hello] = [frame for frame in up(side.link_up(2), Kind.HELLO) if frame.edge == CLIENT_EDGE]
    body = payloads.encode_resume(payloads.Resume(0, payloads.Window(2, 1 << 20)))
    effects = side.receive(Kind.RESUME, link=2, at=hello.at, payload=body)
    assert [frame.seq for frame in up(effects, Kind.MSG)] == [1, 2]


# --- both, joined ---------------------------------------------------------------------------------------------------


class Joined:
    """A client end and a device end of one channel, joined by one path; the client takes what it is given when told."""

    def __init__(self) -> None:
        self.client, self.device = ClientSide(), DeviceSide()
        self.down: deque[Frame] = deque()
        self.up: deque[Frame] = deque()
        self.link = 1
        self.taken: list[int] = []
        self.said = 0
        self._from_client(self.client.open())
        self.deliver()

    def say(self, size: int) -> None:
        """Chrome says the next event."""
        self.said += 1
        self._from_device(self.device.says(event(no=self.said, pad="x" * size)))

    def answer_late(self, size: int) -> None:
        """Chrome answers something that nobody waits for."""
        self._from_device(self.device.says(answer(9, pad="x" * size)))

    def save(self, saving: bool) -> None:
        self._from_client(self.client.ends.save_credit(saving))

    def take(self, takes: bool) -> None:
        """Whether the client's socket takes messages."""
        self._from_client(self.client.ends.writable(CHANNEL, takes))

    def misspell(self) -> None:
        """The client sends what the relay itself answers."""
        self._from_client(self.client.command(b"not JSON"))

    def drop(self) -> None:
        """The path dies with all that is on it, and the next one is found."""
        self.down.clear()
        self.up.clear()
        self._from_client(self.client.ends.link_lost(DEVICE_EDGE, 0, self.client.now))
        self._from_device(self.device.link_lost(self.link))
        self.link += 1
        self._from_device(self.device.link_up(self.link))

    def deliver(self) -> None:
        """Everything that is on its way arrives, and what follows from it."""
        while self.down or self.up:
            if self.down:
                frame = self.down.popleft()
                self._from_device(self.device.end.frame(self.link, frame, self.device.now))
            else:
                frame = self.up.popleft()._replace(source=DEVICE_EDGE, link=LINK)
                self._from_client(self.client.ends.frame(ROUTER, frame, self.client.now, 0))

    def _from_client(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send | Seek):
                self.down.append(effect.frame._replace(source=CLIENT_EDGE))
        self.taken += [
            json.loads(bytes(effect.payload))["params"]["no"]
            for effect in only(Deliver, effects)
            if b"params" in bytes(effect.payload)
        ]

    def _from_device(self, effects: Iterable[DeviceEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Transmit) and effect.frame.edge != NO_EDGE:
                self.up.append(effect.frame)
            elif isinstance(effect, Dial):
                self._from_device(self.device.dialed())


SIZES = st.sampled_from([0, 1000, NARROW.size_bytes // 2, NARROW.size_bytes, 2 * NARROW.size_bytes])
STEPS = st.one_of(
    st.tuples(st.just("say"), SIZES),
    st.tuples(st.just("answer_late"), SIZES),
    st.tuples(st.just("save"), st.booleans()),
    st.tuples(st.just("take"), st.booleans()),
    st.tuples(st.sampled_from(["misspell", "drop", "deliver"])),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(STEPS, max_size=25), st.integers(1, 200))
def test_a_client_that_takes_messages_gets_them_all_however_credit_changes(
    steps: list[tuple[str, int | bool]], burst: int
) -> None:
    joined = Joined()
    for name, *arguments in steps:
        getattr(joined, name)(*arguments)
    for number in range(burst):
        joined.say(number % 2 * NARROW.size_bytes // 50)
    joined.take(True)
    joined.deliver()
    assert joined.taken == list(range(1, joined.said + 1))


def test_a_wide_window_whose_word_is_lost_with_its_path_is_given_by_the_next_one() -> None:
    joined = Joined()
    joined.save(True)
    joined.deliver()
    joined.save(False)
    joined.drop()
    joined.deliver()
    for _ in range(NARROW.messages + 1):
        joined.say(0)
    joined.deliver()
    assert joined.taken == list(range(1, joined.said + 1))


def test_a_client_that_takes_nothing_for_hours_is_sent_no_more_than_the_window() -> None:
    joined = Joined()
    joined.save(True)
    joined.deliver()
    joined.take(False)
    for _ in range(500):
        joined.say(1000)
    joined.deliver()
    assert joined.client.ends.buffered_bytes()[CHANNEL] < NARROW.messages * 1100
    joined.take(True)
    joined.deliver()
    assert joined.taken == list(range(1, 501))
