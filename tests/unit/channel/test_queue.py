"""The order in which frames leave: never another inside a channel, and between channels one in which nobody starves."""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core.channel.frames import BATCH_BYTES, CHUNK_BYTES, HEADER_BYTES, Frame, Kind, Priority
from browsergo.core.channel.queue import QUANTUM_BYTES, WEIGHTS, FrameQueue, Queued
from browsergo.core.ids import NO_CHANNEL

STEADY = settings(derandomize=True, deadline=None)
CHUNK_FRAME_BYTES = CHUNK_BYTES + HEADER_BYTES
CHUNK = bytes(CHUNK_BYTES)
BIG_CHUNKS = 512  # of an answer of 64 MiB
Wait = tuple[int, int]


def frame(channel: int, seq: int = 0, size: int = 0, priority: int = Priority.NORMAL) -> Frame:
    payload = CHUNK if size == CHUNK_BYTES else bytes(size)
    return Frame(Kind.MSG, channel=channel.to_bytes(16), seq=seq, payload=payload, priority=priority)


def fill(queue: FrameQueue, *frames: Frame) -> None:
    for each in frames:
        queue.push(each, 7)


def chunks(channel: int, number: int, priority: int = Priority.NORMAL) -> list[Frame]:
    return [frame(channel, seq, CHUNK_BYTES, priority) for seq in range(number)]


def batch(queue: FrameQueue) -> list[tuple[int, int]]:
    """Channel and number of each frame of the next batch."""
    return [(int.from_bytes(each.frame.channel), each.frame.seq) for each in queue.take_batch()]


def drained(queue: FrameQueue) -> list[tuple[int, int]]:
    taken = []
    while queue:
        taken += batch(queue)
    return taken


def is_bare(queue: FrameQueue) -> bool:
    """Whether nothing is left in any of its structures."""
    return not (queue._arrived or queue._lanes or any(each.lanes for each in queue._classes.values()))


# --- order and batches ------------------------------------------------------------------------------------------------

PUSHES = st.tuples(st.integers(0, 4), st.integers(0, 700), st.sampled_from(Priority.KNOWN))
STEPS = st.lists(st.one_of(PUSHES, st.just("take")), max_size=120)


@STEADY
@given(STEPS)
def test_each_channel_keeps_its_order_and_every_frame_leaves_once(steps: list[tuple[int, int, int] | str]) -> None:
    queue = FrameQueue(quantum_bytes=200, batch_bytes=1000)
    pushed, taken = defaultdict[bytes, list[Frame]](list), defaultdict[bytes, list[Frame]](list)

    def take() -> None:
        leaving = [each.frame for each in queue.take_batch()]
        assert len(leaving) <= 1 or sum(each.size for each in leaving) <= 1000
        for each in leaving:
            taken[each.channel].append(each)

    for seq, step in enumerate(steps):
        if isinstance(step, str):
            take()
        else:
            channel, size, priority = step
            fill(queue, each := frame(channel, seq, size, priority))
            pushed[each.channel].append(each)
        waiting = sum(each.size for frames in pushed.values() for each in frames)
        assert queue.queued_bytes == waiting - sum(each.size for frames in taken.values() for each in frames)
    while queue:
        take()
    assert taken == pushed
    assert queue.queued_bytes == 0
    assert is_bare(queue)


def test_what_fits_in_one_batch_leaves_as_one_in_order_of_arrival() -> None:
    queue = FrameQueue()
    fill(queue, *(frame(seq % 7, seq) for seq in range(100)))
    assert queue.take_batch() == [Queued(frame(seq % 7, seq), 7) for seq in range(100)]
    assert queue.take_batch() == []


def test_a_frame_larger_than_a_batch_goes_alone() -> None:
    queue = FrameQueue()
    fill(queue, frame(1, 1), frame(1, 2, 2 * BATCH_BYTES), frame(1, 3))
    assert [batch(queue) for _ in range(3)] == [[(1, 1)], [(1, 2)], [(1, 3)]]


def test_what_is_dropped_leaves_nothing_behind() -> None:
    queue = FrameQueue()
    fill(queue, *chunks(1, 20), frame(2))
    queue.take_batch()
    fill(queue, frame(3))
    queue.clear()
    assert (bool(queue), queue.queued_bytes, queue.take_batch()) == (False, 0, [])
    assert is_bare(queue)


# --- between channels -------------------------------------------------------------------------------------------------


def busy(*channels: tuple[int, int]) -> FrameQueue:
    """A queue in which each (channel, priority) has an answer of 64 MiB, a part of which has left."""
    queue = FrameQueue()
    for channel, priority in channels:
        fill(queue, *chunks(channel, BIG_CHUNKS, priority))
    queue.take_batch()
    return queue


def test_a_small_frame_waits_for_a_chunk_of_each_other_channel_at_most() -> None:
    queue = busy(*((channel, Priority.NORMAL) for channel in (1, 2, 3, 4)))
    fill(queue, frame(9))
    before = batch(queue)
    while (9, 0) not in before:
        before += batch(queue)
    before = before[: before.index((9, 0))]
    assert max(Counter(channel for channel, _ in before).values(), default=0) <= 1


def test_a_critical_frame_goes_before_all_others() -> None:
    queue = busy((1, Priority.NORMAL), (2, Priority.LOW))
    fill(queue, frame(9, priority=Priority.CRITICAL))
    assert batch(queue)[0] == (9, 0)


def test_frames_without_a_channel_go_first_and_in_order_whatever_their_class() -> None:
    queue = busy((1, Priority.NORMAL), (2, Priority.LOW))
    for seq, priority in enumerate((Priority.LOW, Priority.NORMAL, Priority.CRITICAL)):
        queue.push(Frame(Kind.HELLO, channel=NO_CHANNEL, seq=seq, priority=priority), 7)
    assert batch(queue)[:3] == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize(
    "channels",
    [
        {1: Priority.CRITICAL, 2: Priority.NORMAL, 3: Priority.LOW},
        {1: Priority.NORMAL, 2: Priority.NORMAL, 3: Priority.LOW},
        {channel: Priority.NORMAL if channel < 12 else Priority.LOW for channel in range(1, 14)},
        {1: Priority.LOW, 2: Priority.LOW},
    ],
    ids=["one of each", "two normal and a low one", "eleven normal and two low ones", "low ones alone"],
)
def test_channels_get_bytes_by_the_weights_of_their_classes(channels: dict[int, int]) -> None:
    queue = FrameQueue()
    sent: Counter[int] = Counter()
    waiting: Counter[int] = Counter()
    while min(sent[channel] for channel in channels) < 20:
        assert sent.total() < 10_000, "starved"
        for channel, priority in channels.items():
            fill(queue, *chunks(channel, 16 - waiting[channel], priority))
            waiting[channel] = 16
        for channel, _ in batch(queue):
            sent[channel] += 1
            waiting[channel] -= 1
    least = min(channels, key=lambda channel: WEIGHTS[channels[channel]])
    for channel, priority in channels.items():
        fair = WEIGHTS[priority] / WEIGHTS[channels[least]]
        assert sent[channel] / sent[least] == pytest.approx(fair, rel=0.15), channel


def test_a_channel_is_of_the_highest_class_queued_in_it_while_that_is_queued() -> None:
    queue = busy((1, Priority.LOW), (2, Priority.NORMAL))
    fill(queue, frame(1, BIG_CHUNKS, priority=Priority.CRITICAL))
    taken = drained(queue)
    place = taken.index((1, BIG_CHUNKS))
    assert {channel for channel, _ in taken[:place]} <= {1, 2}
    assert Counter(channel for channel, _ in taken[:place])[2] <= BIG_CHUNKS // 6  # 1 : 8 at worst, and not 8 : 1
    assert [seq for channel, seq in taken if channel == 1] == sorted(seq for channel, seq in taken if channel == 1)


def test_a_channel_falls_back_when_its_high_frame_has_left() -> None:
    queue = FrameQueue()
    fill(queue, frame(1, 0, priority=Priority.CRITICAL), *chunks(1, BIG_CHUNKS, Priority.LOW))
    fill(queue, *chunks(2, BIG_CHUNKS))
    taken = drained(queue)
    assert taken[0] == (1, 0)
    last_normal = max(index for index, (channel, _) in enumerate(taken) if channel == 2)
    low_before = sum(channel == 1 for channel, _ in taken[:last_normal])
    assert low_before == pytest.approx(BIG_CHUNKS / 8, rel=0.2)


# --- nobody starves ---------------------------------------------------------------------------------------------------


def most_ahead(priority: int, lanes: dict[int, int], largest: int, quantum: int) -> float:
    """The bound that queue.py states, for a frame of this class; `lanes`: how many of each class, its own included."""
    own = (lanes[priority] - 1) * (2 * largest + 3 * quantum)
    rounds = (own + largest) / (WEIGHTS[priority] * quantum) + 2
    others = [rounds * WEIGHTS[other] * quantum * lanes[other] + largest for other in WEIGHTS if other != priority]
    return own + sum(others)


SIZES = st.sampled_from([0, 100, QUANTUM_BYTES, CHUNK_BYTES])
RIVALS = st.lists(st.tuples(st.sampled_from(Priority.KNOWN), SIZES, st.booleans()), min_size=1, max_size=6)


def ahead_of(priority: int, size: int, rivals: list[tuple[int, int, bool]], warm_up: int) -> int:
    """How many bytes leave before one frame, all rivals always backlogged; `fickle` ones are ever new channels."""
    queue = FrameQueue(batch_bytes=2 * CHUNK_FRAME_BYTES)
    names = count(10)
    backlog: Counter[int] = Counter()

    def press() -> None:
        for number, (rival, rival_size, fickle) in enumerate(rivals):
            while backlog[number] < 3 * CHUNK_FRAME_BYTES:
                channel = next(names) if fickle and not backlog[number] else number + 1
                each = frame(channel, number, rival_size, rival)
                fill(queue, each)
                backlog[number] += each.size

    def take(until: Callable[[Frame], bool]) -> tuple[int, bool]:
        spent = 0
        for each in (queued.frame for queued in queue.take_batch()):
            if until(each):
                return spent, True
            spent += each.size
            backlog[each.seq] -= each.size
        return spent, False

    for _ in range(warm_up):
        press()
        take(lambda _: False)
    press()
    fill(queue, frame(0xFFFF, 0xFFFF, size, priority))
    ahead = 0
    while True:
        spent, found = take(lambda each: each.seq == 0xFFFF)
        ahead += spent
        if found:
            return ahead
        press()
        assert ahead < 1 << 31, "starved"


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.sampled_from(Priority.KNOWN), SIZES, RIVALS, st.integers(0, 5))
def test_nobody_waits_longer_than_the_bound(
    priority: int, size: int, rivals: list[tuple[int, int, bool]], warm_up: int
) -> None:
    lanes = {each: sum(rival == each for rival, _, _ in rivals) * 2 for each in WEIGHTS}  # a fickle one has two at once
    lanes[priority] += 1
    bound = most_ahead(priority, lanes, CHUNK_FRAME_BYTES, QUANTUM_BYTES)
    assert ahead_of(priority, size, rivals, warm_up) <= bound


def test_channels_that_are_gone_leave_their_share_to_nobody() -> None:
    queue = busy((1, Priority.LOW), (2, Priority.CRITICAL))
    fill(queue, *(frame(channel, priority=Priority.CRITICAL) for channel in range(10, 2000)))
    taken = drained(queue)
    gone = max(index for index, (channel, _) in enumerate(taken) if channel >= 10)
    low = next(index for index in range(gone, len(taken)) if taken[index][0] == 1)
    lanes = {Priority.CRITICAL: 1, Priority.NORMAL: 0, Priority.LOW: 1}
    bound = most_ahead(Priority.LOW, lanes, CHUNK_FRAME_BYTES, QUANTUM_BYTES)
    assert (low - gone) * CHUNK_FRAME_BYTES <= bound
