"""What operators are told, with a registry and routers served in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from browsergo.chassis.grpc_client import open_channel
from browsergo.v2 import types_pb2
from services.control.core.fleet import Part
from services.control.peers import RegistryPeer, RouterPeer
from services.control.survey import Survey, survey
from tests.fakes.clock import HandClock
from tests.fakes.devices import EDGE_1, EDGE_2, registration, renewal, renewals
from tests.fakes.epochs import MemoryEpochs
from tests.fakes.registry_service import registry_over
from tests.fakes.router_service import FakeRouter, served

# Long enough for everything that answers, and what a test waits for something that does not.
DEADLINE_S = 0.5


@contextlib.asynccontextmanager
async def routers_at(folder: Path, *routers: FakeRouter) -> AsyncIterator[list[RouterPeer]]:
    async with contextlib.AsyncExitStack() as open_things:
        peers = []
        for router in routers:
            address = await open_things.enter_async_context(served(router, folder))
            channel = await open_things.enter_async_context(open_channel(address))
            peers.append(RouterPeer(router.router_id, channel))
        yield peers


def look(folder: Path, *routers: FakeRouter, devices: dict[str, types_pb2.EdgeRun] | None = None) -> Survey:
    """A survey of these routers and a registry that holds these devices, the first of them ACTIVE."""

    async def main() -> Survey:
        async with registry_over(MemoryEpochs(), HandClock(), folder) as stub, routers_at(folder, *routers) as peers:
            for device_id, edge in (devices or {}).items():
                await stub.Register(registration(device_id, edge=edge))
            for device_id, edge in list((devices or {}).items())[:1]:
                await stub.Renew(renewals(renewal(device_id, epoch=1), edge=edge))
            async with open_channel(f"unix:{folder / 'registry.sock'}") as channel:
                return await survey(RegistryPeer(channel), peers, DEADLINE_S)

    return asyncio.run(main())


def names(parts: list[Part]) -> list[tuple[str, bool]]:
    return [(part.name, part.healthy) for part in parts]


def test_an_edge_that_is_overloaded_is_unwell_and_still_described(tmp_path: Path) -> None:
    router = FakeRouter("a", [EDGE_1])
    router.overload = "saving"
    found = look(tmp_path, router)
    [view] = found.edges
    assert (view.part.name, view.part.healthy) == ("edge edge-1", False)
    assert view.part.detail.startswith("overloaded (saving): ")
    assert view.description is not None


def test_a_fleet_that_is_well_is_described_whole(tmp_path: Path) -> None:
    router = FakeRouter("a", [EDGE_1, EDGE_2])
    found = look(tmp_path, router, devices={"laptop": EDGE_1, "phone": EDGE_2})
    assert names(found.parts) == [("registry", True), ("router a", True), ("edge edge-1", True), ("edge edge-2", True)]
    assert (found.devices.total, found.devices.active) == (2, 1)
    assert [view.description.edge for view in found.edges if view.description] == [EDGE_1, EDGE_2]


def test_an_edge_is_asked_once_however_many_routers_have_its_trunk(tmp_path: Path) -> None:
    routers = [FakeRouter("a", [EDGE_1]), FakeRouter("b", [EDGE_1])]
    found = look(tmp_path, *routers)
    assert names(found.parts)[3:] == [("edge edge-1", True)]
    assert [len(router.commands) for router in routers] == [1, 0]


def test_an_edge_is_asked_through_the_next_router_when_the_first_lost_it(tmp_path: Path) -> None:
    first, second = FakeRouter("a", [EDGE_1]), FakeRouter("b", [EDGE_1])
    first.edges = {99: EDGE_1}  # it still lists the trunk, but cannot use it
    found = look(tmp_path, first, second)
    assert names(found.parts)[3:] == [("edge edge-1", True)]
    assert len(second.commands) == 1


def test_a_router_that_does_not_answer_is_named_and_the_rest_is_described(tmp_path: Path) -> None:
    silent, well = FakeRouter("a", [EDGE_1]), FakeRouter("b", [EDGE_1])
    silent.stalled = True
    found = look(tmp_path, silent, well)
    assert found.parts[1] == Part("router a", False, "no answer within 0.5 s")
    assert names(found.parts)[2:] == [("router b", True), ("edge edge-1", True)]


def test_all_routers_are_asked_at_once(tmp_path: Path) -> None:
    routers = [FakeRouter(router_id) for router_id in "abc"]
    company = asyncio.Barrier(len(routers))
    for router in routers:
        router.company = company
    assert names(look(tmp_path, *routers).parts)[1:] == [("router a", True), ("router b", True), ("router c", True)]


def test_an_edge_that_no_router_reaches_is_named(tmp_path: Path) -> None:
    found = look(tmp_path, FakeRouter("a"), devices={"laptop": EDGE_1})
    assert names(found.parts)[2:] == [("edge edge-1", False)]


def test_a_registry_that_is_down_is_named_and_the_rest_is_described(tmp_path: Path) -> None:
    async def main() -> Survey:
        async with (
            routers_at(tmp_path, FakeRouter("a", [EDGE_1])) as peers,
            open_channel(f"unix:{tmp_path / 'nothing.sock'}") as channel,
        ):
            return await survey(RegistryPeer(channel), peers, DEADLINE_S)

    found = asyncio.run(main())
    assert names(found.parts) == [("registry", False), ("router a", True), ("edge edge-1", True)]
    assert found.devices.part.detail.startswith("SERVICE_UNAVAILABLE: ")
