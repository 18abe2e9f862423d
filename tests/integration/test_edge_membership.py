"""Edges know routers by their leases in the registry, and depend on it for nothing that is up."""

import asyncio
from pathlib import Path

from browsergo.chassis.grpc_client import open_channel
from browsergo.v2 import membership_pb2, membership_pb2_grpc
from edge.core.placement import rendezvous
from tests.fakes.device_client import EchoDevice, registration
from tests.fakes.edge_world import PATIENCE_S, LocalEdge, LocalRouter, World, play, until
from tests.fakes.registry_service import registry_address

SHORT_TTL_S = 1.0


def known(edge: LocalEdge) -> set[str]:
    """Addresses that an edge keeps trunks to, or tries."""
    return {trunk.address for trunk in edge.parts.trunks}


def device_of(router: LocalRouter, world: World) -> str:
    """A device whose channels go through this router when all routers are up."""
    addresses = [each.address for each in world.routers]
    names = (f"device-{number}" for number in range(1000))
    return next(name for name in names if rendezvous(name, addresses) == router.address)


def carried(router: LocalRouter) -> int:
    return sum(trunk.snapshot().frames_in for trunk in router.board.trunks)


async def until_members(folder: Path, ids: set[str]) -> None:
    """The registry knows these and no others."""
    found = set[str]()
    async with asyncio.timeout(PATIENCE_S), open_channel(registry_address(folder)) as channel:
        stub = membership_pb2_grpc.MembershipServiceStub(channel)
        async for told in stub.WatchMembers(membership_pb2.WatchMembersRequest()):
            found |= {member.id for member in told.members if member.boot}
            found -= {member.id for member in told.members if not member.boot}
            if found == ids:
                return


async def reached(world: World, router: LocalRouter) -> None:
    """Every edge has a trunk to it."""
    everybody = {edge.config.edge_id for edge in world.edges}
    await until(lambda: router.edges() == everybody, f"trunks of {everybody} to {router.router_id}")


def test_a_router_that_joins_late_gets_trunks_from_all_edges_and_a_channel_uses_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        late = await world.add_router("router-2", joins=True)
        async with asyncio.timeout(2.0):
            await reached(world, late)
        device = device_of(late, world)
        echo = await EchoDevice.start(world, registration(device), world.edges[1])
        client = await world.client(device)
        before = carried(late)
        for number in range(1, 11):
            assert (await client.call(number, "Fake.say"))["result"]["device"] == device
        assert carried(late) >= before + 20, "each command and each answer"
        await echo.leave()

    play(tmp_path, scenario, edges=2)


def test_a_router_that_leaves_is_dropped_and_channels_go_on_over_the_other(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        late = await world.add_router("router-2", joins=True)
        await reached(world, late)
        device = device_of(late, world)
        echo = await EchoDevice.start(world, registration(device), world.edges[1])
        client = await world.client(device)
        assert "result" in await client.call(1, "Fake.say")
        await late.stop()
        assert "result" in await client.call(2, "Fake.say")
        for edge in world.edges:
            await until(lambda edge=edge: known(edge) == {world.router.address}, "that it is dropped")  # type: ignore[misc]
        await until_members(tmp_path, {"edge-1", "edge-2"})
        await echo.leave()

    play(tmp_path, scenario, edges=2)


def test_a_router_whose_lease_ran_out_keeps_its_trunk_while_that_is_up_and_is_dropped_then(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        late = await world.add_router("router-2", joins=True)
        await reached(world, late)
        [trunk] = late.board.trunks
        late.forget_registry()
        await until(lambda: not len(world.edge.parts.routers.view), "the end of its lease")
        device = device_of(late, world)
        echo = await EchoDevice.start(world, registration(device))
        client = await world.client(device)
        assert "result" in await client.call(1, "Fake.say")
        assert late.board.trunks == [trunk]
        await late.cut()
        await until(lambda: known(world.edge) == {world.router.address}, "that it is dropped")
        await echo.leave()

    play(tmp_path, scenario, member_ttl_s=SHORT_TTL_S)


def test_a_registry_that_comes_back_empty_costs_no_trunk_and_learns_everybody_again(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        late = await world.add_router("router-2", joins=True)
        await reached(world, late)
        trunks = [router.board.trunks for router in world.routers]
        followers = [edge.parts.routers for edge in world.edges]
        generation = followers[0].view.generation
        await world.stop_registry()
        await until(lambda: not any(follower.is_current for follower in followers), "that all edges notice")
        await world.start_registry()
        for follower in followers:
            await until(
                lambda follower=follower: (  # type: ignore[misc]
                    follower.view.generation != generation and follower.view.get("router-2") == late.address
                ),
                "that the new registry tells of the router",
            )
        everybody = {"edge-1", "edge-2", "router-2"}
        await until_members(tmp_path, everybody)
        assert [router.board.trunks for router in world.routers] == trunks

    play(tmp_path, scenario, edges=2)


def test_an_edge_may_begin_with_no_router_at_all(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        assert (await world.edge.parts.failing())["router"] == "no router is known"
        late = await world.add_router("router-1", joins=True)
        await reached(world, late)
        assert "router" not in await world.edge.parts.failing()
        echo = await EchoDevice.start(world)
        client = await world.client()
        assert "result" in await client.call(1, "Fake.say")
        await echo.leave()

    play(tmp_path, scenario, routers=0)
