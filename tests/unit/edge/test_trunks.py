"""Which routers an edge keeps trunks to: seeds for good, those that the registry tells while lease or trunk lasts."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from browsergo.core.channel.frames import Frame
from browsergo.core.channel.queue import Queued
from edge.trunks import Stream, StreamLost, Trunk, TrunkListener, Trunks
from tests.fakes.edge_world import until

SEED, OTHER = "unix:/seed", "unix:/other"


class Silent(TrunkListener):
    """Nobody sends anything here."""

    def on_frames(self, trunk: Trunk, arrived: list[Frame]) -> None:
        raise AssertionError

    def on_up(self, trunk: Trunk) -> None:
        pass

    def on_down(self, trunk: Trunk) -> None:
        pass

    def on_taken(self, taken: list[Queued], now_ns: int) -> None:
        raise AssertionError


class Router:
    """A way to a router, which is `here` or not."""

    def __init__(self, router_id: str) -> None:
        self.router_id = router_id
        self.here = True
        self.carried = 0
        self.closed = 0
        self._cut = asyncio.Event()

    def leave(self) -> None:
        self.here = False
        self._cut.set()

    async def carry(self, stream: Stream) -> None:
        if not self.here:
            raise StreamLost("nobody listens")
        self._cut.clear()
        self.carried += 1
        stream.introduced(self.router_id)
        await self._cut.wait()

    async def close(self) -> None:
        self.closed += 1


class Scene:
    """An edge's trunks, and routers at their addresses."""

    def __init__(self, *seeds: str) -> None:
        self.routers = {SEED: Router("router-1"), OTHER: Router("router-2")}
        self.trunks = Trunks(seeds, self.routers.__getitem__, structlog.get_logger())

    def told(self, *addresses: str) -> None:
        self.trunks.told((self.routers[address].router_id, address) for address in addresses)

    async def live(self, *addresses: str) -> None:
        await until(lambda: self.trunks.live() == list(addresses), f"trunks to {addresses}")

    def known(self) -> list[str]:
        return [trunk.address for trunk in self.trunks]


def play(scenario: Callable[[Scene], Awaitable[None]], *seeds: str) -> None:
    async def main() -> None:
        scene = Scene(*seeds)
        running = asyncio.create_task(scene.trunks.run(Silent()))
        await scenario(scene)
        known = scene.known()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert all(scene.routers[address].closed for address in known)

    asyncio.run(main())


def test_routers_that_the_registry_tells_come_beside_the_seeds_and_each_address_has_one_trunk() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.live(SEED)
        scene.told(SEED, OTHER)
        await scene.live(SEED, OTHER)
        assert [scene.routers[address].carried for address in (SEED, OTHER)] == [1, 1]

    play(scenario, SEED)


def test_an_edge_without_seeds_lives_on_what_it_is_told() -> None:
    async def scenario(scene: Scene) -> None:
        assert scene.known() == []
        scene.told(OTHER)
        await scene.live(OTHER)

    play(scenario)


def test_a_trunk_that_is_up_outlives_the_lease_and_goes_when_it_is_down() -> None:
    async def scenario(scene: Scene) -> None:
        scene.told(OTHER)
        await scene.live(SEED, OTHER)
        scene.told()
        scene.routers[SEED].leave()
        scene.routers[SEED].here = True
        await until(lambda: scene.routers[SEED].carried == 2, "that the seed is back: all is settled by then")
        assert scene.trunks.get(OTHER) is not None
        scene.routers[OTHER].leave()
        await until(lambda: scene.known() == [SEED], "that the other is dropped")
        assert scene.routers[OTHER].closed == 1

    play(scenario, SEED)


def test_a_seed_that_is_down_and_has_no_lease_is_tried_for_ever() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.live(SEED)
        scene.routers[SEED].leave()
        scene.told(OTHER)
        await scene.live(OTHER)
        scene.told()
        scene.routers[SEED].here = True
        await scene.live(SEED, OTHER)

    play(scenario, SEED)


def test_a_router_that_comes_back_after_it_was_dropped_gets_a_trunk_again() -> None:
    async def scenario(scene: Scene) -> None:
        for _ in range(2):
            scene.routers[OTHER].here = True
            scene.told(OTHER)
            await scene.live(OTHER)
            scene.told()
            scene.routers[OTHER].leave()
            await until(lambda: scene.known() == [], "that it is dropped")

    play(scenario)


def test_a_router_known_at_two_addresses_has_one_trunk_and_the_second_when_the_first_is_down() -> None:
    """It would end one trunk for the other: they are of the same run of this edge."""

    async def scenario(scene: Scene) -> None:
        scene.routers[OTHER].router_id = "router-1"
        await scene.live(SEED)
        scene.told(OTHER)
        scene.routers[SEED].leave()
        await scene.live(OTHER)
        assert scene.routers[OTHER].carried == 1

    play(scenario, SEED)


def test_it_ends_no_trunk_when_the_second_address_is_told_while_the_first_is_up() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.live(SEED)
        scene.routers[OTHER].router_id = "router-1"
        scene.told(OTHER)
        scene.told(OTHER, SEED)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (scene.known(), scene.routers[OTHER].carried) == ([SEED], 0)

    play(scenario, SEED)
