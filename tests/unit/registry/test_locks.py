import asyncio

from services.registry.locks import DeviceLocks


def test_one_device_is_held_by_one_at_a_time_in_the_order_of_asking() -> None:
    async def scenario() -> list[str]:
        locks, story = DeviceLocks(), list[str]()

        async def visit(name: str) -> None:
            async with locks.holding("laptop"):
                story.append(f"{name} in")
                await asyncio.sleep(0)
                story.append(f"{name} out")

        await asyncio.gather(*(visit(name) for name in "abc"))
        return story

    assert asyncio.run(scenario()) == ["a in", "a out", "b in", "b out", "c in", "c out"]


def test_another_device_is_not_held_up() -> None:
    async def scenario() -> None:
        locks = DeviceLocks()
        async with locks.holding("laptop"), locks.holding("phone"):
            assert len(locks) == 2

    asyncio.run(scenario())


def test_a_lock_is_forgotten_when_the_last_one_leaves_also_by_cancellation() -> None:
    async def scenario() -> int:
        locks = DeviceLocks()

        async def wait() -> None:
            async with locks.holding("laptop"):
                raise AssertionError("got a lock that is held")

        async with locks.holding("laptop"):
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            assert len(locks) == 1
        return len(locks)

    assert asyncio.run(scenario()) == 0
