"""The first to end ends all, and an error is told."""

import asyncio

import pytest

from browsergo.chassis.racing import first_of


def test_the_others_are_cancelled_and_have_ended() -> None:
    ended: list[str] = []

    async def forever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    async def scenario() -> None:
        await first_of(forever("a"), asyncio.sleep(0), forever("b"))
        assert ended == ["a", "b"]

    asyncio.run(scenario())


def test_an_error_is_raised_also_beside_one_that_ended_well_in_the_same_tick() -> None:
    async def fails() -> None:
        raise ValueError("why")

    async def scenario() -> None:
        await first_of(asyncio.sleep(0, None), fails())

    with pytest.raises(ValueError, match="why"):
        asyncio.run(scenario())


def test_who_is_cancelled_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        racing = asyncio.ensure_future(first_of(asyncio.Event().wait(), asyncio.Event().wait()))
        await asyncio.sleep(0)
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
