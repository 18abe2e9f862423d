"""Members, seen over gRPC: they join, renew, leave and run out; who watches is told, and told what was missed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_errors import translated
from browsergo.core.errors import InvalidArgument
from browsergo.v2 import membership_pb2, membership_pb2_grpc
from services.registry import watch
from tests.fakes.clock import HandClock
from tests.fakes.epochs import MemoryEpochs
from tests.fakes.registry_service import MEMBER_TTL_S, registry_address, registry_over

if TYPE_CHECKING:  # it exists in the stubs only
    from browsergo.v2.membership_pb2_grpc import MembershipServiceAsyncStub

PATIENCE_S = 10.0
ROUTER, EDGE = membership_pb2.MEMBER_KIND_ROUTER, membership_pb2.MEMBER_KIND_EDGE

Told = tuple[str, int, str]  # id, boot (0: gone), address


def member(member_id: str = "router-1", boot: int = 1, **what: Any) -> membership_pb2.Member:
    found: dict[str, Any] = {"kind": ROUTER, "address": "unix:/run/r.sock", "version": "2.0"}
    return membership_pb2.Member(id=member_id, boot=boot, **found | what)


class Registry:
    """The membership service of a registry."""

    def __init__(self, stub: "MembershipServiceAsyncStub") -> None:
        self._stub = stub

    async def join(self, *args: Any, again: bool = False, **what: Any) -> membership_pb2.JoinResponse:
        return await translated(self._stub.Join(membership_pb2.JoinRequest(member=member(*args, **what), again=again)))

    async def leave(self, member_id: str = "router-1", boot: int = 1) -> bool:
        request = membership_pb2.LeaveRequest(kind=ROUTER, id=member_id, boot=boot)
        return (await translated(self._stub.Leave(request))).left

    def watch(self, generation: int = 0, revision: int = 0) -> AsyncIterator[membership_pb2.WatchMembersResponse]:
        request = membership_pb2.WatchMembersRequest(generation=generation, revision=revision)
        return aiter(self._stub.WatchMembers(request))


async def told(watcher: AsyncIterator[membership_pb2.WatchMembersResponse]) -> membership_pb2.WatchMembersResponse:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(watcher)


def members_in(response: membership_pb2.WatchMembersResponse) -> list[Told]:
    return [(found.id, found.boot, found.address) for found in response.members]


@contextlib.asynccontextmanager
async def registry_in(folder: Path, member_ttl_s: float = MEMBER_TTL_S) -> AsyncIterator[Registry]:
    async with (
        registry_over(MemoryEpochs(), HandClock(), folder, member_ttl_s=member_ttl_s),
        open_channel(registry_address(folder)) as channel,
    ):
        yield Registry(membership_pb2_grpc.MembershipServiceStub(channel))


def play(folder: Path, scenario: Callable[[Registry], Awaitable[None]], member_ttl_s: float = MEMBER_TTL_S) -> None:
    async def main() -> None:
        async with registry_in(folder, member_ttl_s) as registry:
            await scenario(registry)

    asyncio.run(main())


def test_a_watcher_is_told_who_is_there_then_each_change(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        assert (await registry.join()).lease_ttl_ms == MEMBER_TTL_S * 1000
        watcher = registry.watch()
        snapshot = await told(watcher)
        assert (snapshot.begins_snapshot, members_in(snapshot)) == (True, [("router-1", 1, "unix:/run/r.sock")])
        await registry.join("edge-1", 5, kind=EDGE, address="")
        change = await told(watcher)
        assert (change.begins_snapshot, members_in(change)) == (False, [("edge-1", 5, "")])
        assert change.members[0].kind == EDGE
        await registry.join(boot=2, address="[::1]:7402")
        assert members_in(await told(watcher)) == [("router-1", 2, "[::1]:7402")]
        assert not await registry.leave(boot=1)
        assert await registry.leave(boot=2)
        gone = await told(watcher)
        assert (members_in(gone), gone.members[0].kind) == ([("router-1", 0, "")], ROUTER)

    play(tmp_path, scenario)


def test_who_comes_back_is_told_what_was_missed_and_nothing_else(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        for number in (1, 2, 3):
            await registry.join(f"router-{number}")
        seen = await told(registry.watch())
        await registry.leave("router-2")
        await registry.join(again=True)
        await registry.join("router-4")
        back = await told(registry.watch(seen.generation, seen.revision))
        assert not back.begins_snapshot
        assert [(name, boot) for name, boot, _ in members_in(back)] == [("router-2", 0), ("router-4", 1)]

    play(tmp_path, scenario)


def test_a_registry_that_was_restarted_begins_anew_and_learns_its_members_from_renewals(tmp_path: Path) -> None:
    async def main() -> None:
        async with registry_in(tmp_path) as registry:
            await registry.join()
            seen = await told(registry.watch())
        async with registry_in(tmp_path) as registry:
            watcher = registry.watch(seen.generation, seen.revision)
            anew = await told(watcher)
            assert (anew.begins_snapshot, members_in(anew)) == (True, [])
            assert anew.generation != seen.generation
            assert not (await registry.join(again=True)).replaced
            assert members_in(await told(watcher)) == members_in(seen)

    asyncio.run(main())


def test_many_members_come_in_parts_of_which_the_last_has_the_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PART", 2)

    async def scenario(registry: Registry) -> None:
        for number in range(4):
            await registry.join(f"router-{number}")
        watcher = registry.watch()
        parts = [await told(watcher) for _ in range(2)]
        assert [[name for name, _, _ in members_in(part)] for part in parts] == [
            ["router-0", "router-1"],
            ["router-2", "router-3"],
        ]
        assert [(part.begins_snapshot, part.revision) for part in parts] == [(True, 0), (False, 4)]

    play(tmp_path, scenario)


def test_a_boot_that_was_replaced_is_told_so_when_it_renews(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        await registry.join()
        assert not (await registry.join(boot=2)).replaced
        assert (await registry.join(again=True)).replaced
        assert members_in(await told(registry.watch())) == [("router-1", 2, "unix:/run/r.sock")]

    play(tmp_path, scenario)


def test_a_lease_that_nobody_renews_ends_by_the_clock_of_the_registry(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        await registry.join()
        watcher = registry.watch()
        assert len((await told(watcher)).members) == 1
        assert members_in(await told(watcher)) == [("router-1", 0, "")]

    play(tmp_path, scenario, member_ttl_s=1.0)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"kind": membership_pb2.MEMBER_KIND_UNSPECIFIED}, "a router or an edge"),
        ({"member_id": ""}, "id is 1 to 64 of"),
        ({"member_id": "x" * 65}, "id is 1 to 64 of"),
        ({"member_id": "a/b"}, "id is 1 to 64 of"),
        ({"boot": 0}, "boot is missing"),
        ({"address": ""}, "address is HOST:PORT"),
        ({"address": "http://127.0.0.1:1"}, "address is HOST:PORT"),
        ({"address": "unix:/" + "x" * 107}, "address is HOST:PORT"),
        ({"kind": EDGE}, "an edge has no address"),
        ({"version": ""}, "version must be 1 to 128 bytes"),
    ],
    ids=str,
)
def test_what_is_no_member_is_refused_and_nobody_joins(tmp_path: Path, what: dict[str, Any], words: str) -> None:
    async def scenario(registry: Registry) -> None:
        with pytest.raises(InvalidArgument, match=words):
            await registry.join(**what)
        assert list((await told(registry.watch())).members) == []

    play(tmp_path, scenario)
