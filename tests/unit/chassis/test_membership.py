"""A process's membership: held, lost and held again with its registry, given back at its end; one log line a change."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from structlog.testing import capture_logs

from browsergo.chassis import membership
from browsergo.chassis.grpc_client import open_channel
from browsergo.v2 import membership_pb2, membership_pb2_grpc
from tests.fakes.clock import HandClock
from tests.fakes.edge_world import PATIENCE_S, until
from tests.fakes.epochs import MemoryEpochs
from tests.fakes.registry_service import MEMBER_TTL_S, registry_address, registry_over


class Scene:
    """A registry that can be stopped and started, and processes that are members of it."""

    def __init__(self, folder: Path, logged: list[Any]) -> None:
        self._folder = folder
        self._logged = logged
        self._registry = contextlib.AsyncExitStack()
        self.open = contextlib.AsyncExitStack()
        self.ttl_s = MEMBER_TTL_S

    async def start_registry(self) -> None:
        serving = registry_over(MemoryEpochs(), HandClock(), self._folder, member_ttl_s=self.ttl_s)
        await self._registry.enter_async_context(serving)

    async def stop_registry(self) -> None:
        await self._registry.aclose()

    async def hold(self, boot: int, over: asyncio.Event) -> asyncio.Task[None]:
        """A router's membership, until `over`."""
        channel = await self.open.enter_async_context(open_channel(registry_address(self._folder)))
        member = membership_pb2.Member(
            kind=membership_pb2.MEMBER_KIND_ROUTER, id="router-1", boot=boot, address="127.0.0.1:1", version="2.0"
        )
        held = membership.Membership(channel, member, structlog.get_logger(boot=boot))
        return asyncio.create_task(held.hold_until(over))

    async def boots(self) -> list[int]:
        """Of the members that the registry knows."""
        async with open_channel(registry_address(self._folder)) as channel:
            stub = membership_pb2_grpc.MembershipServiceStub(channel)
            snapshot = await anext(aiter(stub.WatchMembers(membership_pb2.WatchMembersRequest())))
            return [member.boot for member in snapshot.members]

    def said(self, boot: int) -> list[str]:
        """Of its membership, by this process."""
        return [line["event"] for line in self._logged if line.get("boot") == boot]

    async def until_said(self, boot: int, *lines: str) -> None:
        await until(lambda: self.said(boot) == list(lines), f"these lines: {lines}")


def play(folder: Path, scenario: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        with capture_logs() as logged:
            scene = Scene(folder, logged)
            async with scene.open:
                await scenario(scene)
                await scene.stop_registry()

    asyncio.run(main())


def test_a_lease_is_held_until_the_end_of_the_process_and_given_back_then(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.start_registry()
        over = asyncio.Event()
        holding = await scene.hold(1, over)
        await scene.until_said(1, "membership held")
        assert await scene.boots() == [1]
        over.set()
        await holding
        assert await scene.boots() == []
        assert scene.said(1) == ["membership held"]

    play(tmp_path, scenario)


def test_it_is_renewed_long_after_one_ttl_and_says_nothing(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.ttl_s = 0.6
        await scene.start_registry()
        holding = await scene.hold(1, asyncio.Event())
        await scene.until_said(1, "membership held")
        await asyncio.sleep(2 * scene.ttl_s)  # that it is there at the end of this time is what is asked
        assert await scene.boots() == [1]
        assert scene.said(1) == ["membership held"]
        holding.cancel()

    play(tmp_path, scenario)


def test_a_registry_that_was_away_is_joined_again_soon_and_each_change_is_one_line(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.ttl_s = 10 * PATIENCE_S  # no renewal finds out in time
        over = asyncio.Event()
        holding = await scene.hold(1, over)
        await scene.until_said(1, "membership lost")
        await scene.start_registry()
        await scene.until_said(1, "membership lost", "membership held")
        await scene.stop_registry()
        await scene.until_said(1, "membership lost", "membership held", "membership lost")
        await scene.start_registry()
        await scene.until_said(1, *["membership lost", "membership held"] * 2)
        assert await scene.boots() == [1]
        over.set()
        await holding

    play(tmp_path, scenario)


def test_an_end_without_a_registry_is_not_held_up(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        over = asyncio.Event()
        holding = await scene.hold(1, over)
        await scene.until_said(1, "membership lost")
        over.set()
        async with asyncio.timeout(2 * membership.LEAVE_TIMEOUT_S):
            await holding

    play(tmp_path, scenario)


def test_of_two_processes_with_one_id_the_later_has_the_lease_and_the_other_says_so_once(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.ttl_s = 0.6
        await scene.start_registry()
        over = asyncio.Event()
        first = await scene.hold(1, over)
        await scene.until_said(1, "membership held")
        second = await scene.hold(2, asyncio.Event())
        await scene.until_said(1, "membership held", "membership replaced")
        await asyncio.sleep(scene.ttl_s)  # it goes on asking
        assert scene.said(1) == ["membership held", "membership replaced"]
        over.set()
        await first
        assert await scene.boots() == [2], "who was replaced gives back nothing of the other's"
        second.cancel()

    play(tmp_path, scenario)
