"""The outbox: one writer that takes all that is queued, feeders that wait, and an end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from browsergo.chassis.outbox import Outbox
from browsergo.core.channel.frames import BATCH_BYTES, HEADER_BYTES, Frame, Kind
from browsergo.core.channel.queue import Queued

T = TypeVar("T")


def frame(seq: int, payload_bytes: int = 0) -> Frame:
    return Frame(Kind.MSG, seq=seq, payload=bytes(payload_bytes))


def fill(outbox: Outbox, *frames: Frame) -> None:
    for each in frames:
        outbox.push(each, 7)


def numbers(taken: list[Queued]) -> list[int]:
    return [queued.frame.seq for queued in taken]


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        async with asyncio.timeout(5):
            return await scenario()

    return asyncio.run(main())


def test_the_writer_takes_everything_in_order_with_the_time_it_came() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        fill(outbox, *(frame(number) for number in range(100)))
        taken = await outbox.take()
        assert numbers(taken) == list(range(100))
        assert {queued.since_ns for queued in taken} == {7}
        assert outbox.queued_bytes == 0

    run(scenario)


def test_a_waiting_writer_is_woken_by_the_first_frame() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        assert not taking.done()
        fill(outbox, frame(1), frame(2))
        assert numbers(await taking) == [1, 2]

    run(scenario)


def test_a_batch_ends_before_the_frame_that_would_exceed_it() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        half = BATCH_BYTES // 2 - HEADER_BYTES
        fill(outbox, frame(1, half), frame(2, half), frame(3))
        assert numbers(await outbox.take()) == [1, 2]
        assert numbers(await outbox.take()) == [3]

    run(scenario)


def test_a_frame_larger_than_a_batch_goes_alone() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        fill(outbox, frame(1), frame(2, 2 * BATCH_BYTES), frame(3))
        assert [numbers(await outbox.take()) for _ in range(3)] == [[1], [2], [3]]

    run(scenario)


def test_feeders_wait_from_the_high_mark_until_the_low_one() -> None:
    async def scenario() -> None:
        outbox = Outbox(high_bytes=4 * BATCH_BYTES, low_bytes=2 * BATCH_BYTES)
        whole = BATCH_BYTES - HEADER_BYTES
        fill(outbox, *(frame(number, whole) for number in range(3)))
        await outbox.drained()
        fill(outbox, frame(3, whole))
        feeder = asyncio.create_task(outbox.drained())
        await outbox.take()
        await asyncio.sleep(0)
        assert (outbox.full, feeder.done()) == (True, False)  # below the high mark is not enough
        await outbox.take()
        await feeder

    run(scenario)


def test_nothing_is_refused_above_the_high_mark() -> None:
    async def scenario() -> None:
        outbox = Outbox(high_bytes=1, low_bytes=0)
        fill(outbox, frame(1), frame(2))
        assert outbox.full
        assert numbers(await outbox.take()) == [1, 2]

    run(scenario)


def test_after_close_what_is_queued_still_goes_and_nothing_more_comes() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        fill(outbox, frame(1))
        outbox.close()
        fill(outbox, frame(2))
        assert numbers(await outbox.take()) == [1]
        assert await outbox.take() == []

    run(scenario)


def test_discard_drops_what_is_queued_and_lets_everybody_go() -> None:
    async def scenario() -> None:
        outbox = Outbox(high_bytes=1, low_bytes=0)
        fill(outbox, frame(1))
        feeder = asyncio.create_task(outbox.drained())
        await asyncio.sleep(0)
        outbox.discard()
        await feeder
        assert await outbox.take() == []
        assert outbox.queued_bytes == 0
        assert not outbox.full

    run(scenario)


def test_a_waiting_writer_is_let_go_by_close() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        outbox.close()
        assert await taking == []

    run(scenario)


def test_a_writer_that_is_cancelled_loses_nothing() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait([taking])
        fill(outbox, frame(1))
        assert numbers(await outbox.take()) == [1]

    run(scenario)
