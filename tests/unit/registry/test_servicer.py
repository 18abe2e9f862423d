"""The registry's rules, seen by its callers: over gRPC, with a clock moved by hand and a store in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from structlog.testing import capture_logs

from browsergo.chassis.grpc_errors import translated
from browsergo.core import errors
from browsergo.v2 import registry_pb2, types_pb2
from services.registry import servicer
from services.registry.core.conflicts import Policy
from tests.fakes.clock import UNIX_START_MS, HandClock
from tests.fakes.devices import EDGE_1, EDGE_1_RESTARTED, EDGE_2, registration, renewal, renewals
from tests.fakes.epochs import MemoryEpochs
from tests.fakes.registry_service import LEASE_TTL_S, registry_over

if TYPE_CHECKING:  # it exists in the stubs only
    from browsergo.v2.registry_pb2_grpc import RegistryServiceAsyncStub

T = TypeVar("T")


class World:
    """What a scenario can reach."""

    def __init__(self, stub: "RegistryServiceAsyncStub", store: MemoryEpochs, clock: HandClock) -> None:
        self.stub, self.store, self.clock = stub, store, clock

    async def register(self, **what: Any) -> registry_pb2.RegisterResponse:
        return await translated(self.stub.Register(registration(**what)))

    async def renew(self, *items: registry_pb2.LeaseRenewal, edge: types_pb2.EdgeRun = EDGE_1) -> list[str]:
        response = await translated(self.stub.Renew(renewals(*items, edge=edge)))
        return list(response.fenced_device_ids)

    async def release(self, device_id: str, epoch: int) -> bool:
        request = registry_pb2.ReleaseRequest(device_id=device_id, epoch=epoch)
        return (await translated(self.stub.Release(request))).released

    async def resolve(self, device_id: str = "laptop") -> registry_pb2.ResolveResponse:
        return await translated(self.stub.Resolve(registry_pb2.ResolveRequest(device_id=device_id)))

    async def device(self, device_id: str = "laptop") -> types_pb2.Device:
        request = registry_pb2.GetDeviceRequest(device_id=device_id)
        return (await translated(self.stub.GetDevice(request))).device

    async def page(self, size: int = 0, token: str = "") -> registry_pb2.ListDevicesResponse:
        request = registry_pb2.ListDevicesRequest(page_size=size, page_token=token)
        return await translated(self.stub.ListDevices(request))


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Any]:
    """Runs a scenario against a fresh registry."""

    def run(
        scenario: Callable[[World], Awaitable[T]],
        policy: Policy = Policy.TAKEOVER,
        newest: dict[str, int] | None = None,
    ) -> T:
        async def main() -> T:
            store, clock = MemoryEpochs(), HandClock()
            store.newest.update(newest or {})
            async with registry_over(store, clock, tmp_path, policy) as stub:
                return await scenario(World(stub, store, clock))

        return asyncio.run(main())

    return run


Play = Callable[..., Any]


def test_a_first_registration_gets_epoch_one_and_a_lease(play: Play) -> None:
    async def scenario(world: World) -> None:
        response = await world.register()
        assert (response.epoch, response.lease_ttl_ms) == (1, LEASE_TTL_S * 1000)
        assert not response.HasField("replaced")
        where = await world.resolve()
        assert (where.edge, where.epoch, where.state) == (EDGE_1, 1, types_pb2.DEVICE_STATE_REGISTERED)
        device = await world.device()
        assert device.identity == registration().identity
        assert (device.registered_unix_ms, device.lease_expires_unix_ms) == (UNIX_START_MS, UNIX_START_MS + 45_000)

    play(scenario)


def test_the_same_boot_on_the_same_edge_keeps_its_epoch_and_state(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        await world.renew(renewal(epoch=1))
        again = await world.register(connection="connection-2", previous_epoch=1)
        assert again.epoch == 1
        assert again.replaced.connection_id == "connection-1"
        assert (await world.resolve()).state == types_pb2.DEVICE_STATE_ACTIVE
        assert world.store.newest == {"laptop": 1}

    play(scenario)


@pytest.mark.parametrize(
    "change",
    [
        {"previous_epoch": 0},
        {"previous_epoch": 1, "edge": EDGE_2},
        {"previous_epoch": 1, "edge": EDGE_1_RESTARTED},
        {"previous_epoch": 1, "boot": "boot-2"},
        {"previous_epoch": 1, "instance": "instance-b"},
    ],
)
def test_everybody_else_gets_a_new_epoch_and_learns_whom_it_replaces(play: Play, change: dict[str, Any]) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        await world.renew(renewal(epoch=1))
        response = await world.register(connection="connection-2", **change)
        assert response.epoch == 2
        assert (response.replaced.epoch, response.replaced.edge) == (1, EDGE_1)
        assert (await world.resolve()).state == types_pb2.DEVICE_STATE_REGISTERED

    play(scenario)


def test_a_boot_whose_lease_ended_gets_a_new_epoch(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        world.clock.advance(LEASE_TTL_S)
        response = await world.register(previous_epoch=1)
        assert response.epoch == 2
        assert not response.HasField("replaced")

    play(scenario)


def test_a_repeated_call_of_one_connection_does_not_replace_itself(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        again = await world.register()
        assert again.epoch == 2
        assert not again.HasField("replaced")

    play(scenario)


def test_another_instance_is_rejected_while_the_lease_lives_and_served_after(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        with pytest.raises(errors.DeviceConflict):
            await world.register(instance="instance-b", edge=EDGE_2)
        assert (await world.resolve()).edge == EDGE_1
        world.clock.advance(LEASE_TTL_S)
        assert (await world.register(instance="instance-b", edge=EDGE_2)).epoch == 2

    play(scenario, policy=Policy.REJECT)


def test_registrations_of_one_device_wait_for_one_another_and_others_do_not(play: Play) -> None:
    async def scenario(world: World) -> None:
        world.store.open.clear()
        first = asyncio.create_task(world.register())
        await world.store.arrived.wait()
        second = asyncio.create_task(world.register(instance="instance-b"))
        world.store.arrived.clear()
        other = asyncio.create_task(world.register(device_id="phone"))
        await world.store.arrived.wait()
        assert world.store.waiting == 2  # the first and the phone; the second waits for the first
        world.store.open.set()
        assert (await first).epoch == 1
        assert (await other).epoch == 1
        with pytest.raises(errors.DeviceConflict):
            await second

    play(scenario, policy=Policy.REJECT)


def test_a_registration_whose_caller_gave_up_leaves_no_lease_and_no_lock(play: Play) -> None:
    async def scenario(world: World) -> None:
        world.store.open.clear()
        first = asyncio.create_task(world.register())
        await world.store.arrived.wait()
        first.cancel()
        await asyncio.wait([first])
        world.store.open.set()
        assert (await world.register(connection="connection-2")).epoch >= 1
        assert (await world.device()).connection_id == "connection-2"

    play(scenario)


def test_a_store_that_fails_is_told_and_changes_nothing(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        world.store.broken = True
        with pytest.raises(errors.ServiceUnavailable, match="the disk is full"):
            await world.register(boot="boot-2")
        assert (await world.device()).identity.boot_id == "boot-1"

    play(scenario)


def test_renewals_keep_devices_alive_and_carry_their_state(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        world.clock.advance(40)
        assert await world.renew(renewal(epoch=1, last_seen_unix_ms=UNIX_START_MS + 39_000)) == []
        world.clock.advance(40)
        device = await world.device()
        assert (device.state, device.last_seen_unix_ms) == (types_pb2.DEVICE_STATE_ACTIVE, UNIX_START_MS + 39_000)

    play(scenario)


def test_stale_renewals_come_back_fenced_and_change_nothing(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        await world.register(boot="boot-2", edge=EDGE_2, connection="connection-2")
        await world.register(device_id="phone")
        before = await world.device()
        assert await world.renew(renewal(epoch=1), renewal("phone", epoch=1), renewal("never", epoch=1)) == [
            "laptop",
            "never",
        ]
        assert await world.device() == before

    play(scenario)


def test_a_restarted_registry_takes_devices_back_whose_epoch_is_the_newest(play: Play) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(errors.DeviceOffline):
            await world.resolve()
        items = [renewal(epoch=7), renewal("phone", epoch=2), renewal("ghost", epoch=1)]
        assert await world.renew(*items) == ["phone", "ghost"]
        device = await world.device()
        assert (device.epoch, device.state, device.edge) == (7, types_pb2.DEVICE_STATE_ACTIVE, EDGE_1)
        assert (device.identity, device.registered_unix_ms) == (registration().identity, 1_600_000_000_000)
        assert (await world.register(previous_epoch=7)).epoch == 7

    play(scenario, newest={"laptop": 7, "phone": 3})


def test_a_device_that_registers_while_it_is_taken_back_wins(play: Play) -> None:
    async def scenario(world: World) -> None:
        world.store.open.clear()
        taking_back = asyncio.create_task(world.renew(renewal(epoch=7)))
        await world.store.arrived.wait()
        registering = asyncio.create_task(world.register(boot="boot-2", edge=EDGE_2))
        while world.store.waiting < 2:
            world.store.arrived.clear()
            await world.store.arrived.wait()
        world.store.open.set()
        await taking_back
        assert (await registering).epoch == 8
        assert await world.renew(renewal(epoch=7)) == ["laptop"]
        assert (await world.resolve()).edge == EDGE_2

    play(scenario, newest={"laptop": 7})


def test_a_call_renews_a_thousand_devices_and_not_one_more(play: Play) -> None:
    async def scenario(world: World) -> None:
        items = [renewal(f"device-{number}", epoch=1) for number in range(1_000)]
        assert await world.renew(*items) == []
        assert len((await world.page()).devices) == 1_000
        with pytest.raises(errors.InvalidArgument, match="1001 renewals; at most 1000"):
            await world.renew(*items, renewal(epoch=1))

    play(scenario, newest={f"device-{number}": 1 for number in range(1_000)})


def test_a_released_device_is_offline_at_once(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        assert await world.release("laptop", 1)
        with pytest.raises(errors.DeviceOffline):
            await world.resolve()
        assert await world.renew(renewal(epoch=1)) == ["laptop"]
        assert (await world.register(previous_epoch=1)).epoch == 2

    play(scenario)


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_releasing_another_epoch_changes_nothing(play: Play, epoch: int) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        await world.register(boot="boot-2")
        before = await world.device()
        assert not await world.release("laptop", epoch)
        assert await world.device() == before

    play(scenario)


def test_a_device_is_offline_when_its_lease_ended_and_unknown_if_never_seen(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        world.clock.advance(LEASE_TTL_S)
        with pytest.raises(errors.DeviceOffline, match="laptop is known"):
            await world.resolve()
        with pytest.raises(errors.DeviceOffline):
            await world.device()
        with pytest.raises(errors.DeviceNotFound, match="no device phone"):
            await world.resolve("phone")
        assert list((await world.page()).devices) == []

    play(scenario)


def test_listing_goes_page_by_page(play: Play) -> None:
    async def scenario(world: World) -> list[str]:
        for device_id in ("c", "a", "b"):
            await world.register(device_id=device_id)
        first = await world.page(size=2)
        second = await world.page(size=2, token=first.next_page_token)
        assert second.next_page_token == ""
        return [device.identity.device_id for device in (*first.devices, *second.devices)]

    assert play(scenario) == ["a", "b", "c"]


def test_a_page_fits_a_message_however_much_devices_say_of_themselves(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "MAX_PAGE_BYTES", 1_000)

    async def scenario(world: World) -> None:
        for device_id in ("a", "b", "c"):
            await world.register(device_id=device_id)
        page = await world.page()
        assert len(page.devices) == 1
        assert page.next_page_token == "a"

    play(scenario)


def test_a_page_size_beyond_the_limit_is_the_limit(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "MAX_PAGE_SIZE", 2)

    async def scenario(world: World) -> None:
        for device_id in ("a", "b", "c"):
            await world.register(device_id=device_id)
        assert len((await world.page(size=5_000)).devices) == 2

    play(scenario)


def test_what_is_not_valid_is_refused(play: Play) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(errors.InvalidDeviceId):
            await world.register(device_id="any")
        with pytest.raises(errors.InvalidDeviceId):
            await world.resolve("a/b")
        with pytest.raises(errors.InvalidDeviceId):
            await world.device("")
        with pytest.raises(errors.InvalidDeviceId):
            await world.release("", 1)
        with pytest.raises(errors.InvalidDeviceId):
            await world.renew(renewal("a b", epoch=1))
        with pytest.raises(errors.InvalidArgument, match=r"edge\.boot"):
            await world.register(edge=types_pb2.EdgeRun(edge_id="edge-1"))
        with pytest.raises(errors.InvalidArgument, match="page_token"):
            await world.page(token="../")

    play(scenario)


def test_changes_of_ownership_are_logged_and_renewals_are_not(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.register()
        await world.renew(renewal(epoch=1))
        await world.register(instance="instance-b", connection="connection-2")
        await world.renew(renewal(epoch=1))
        await world.release("laptop", 2)

    with capture_logs() as lines:
        play(scenario)
    assert [(line["event"], line["log_level"], line.get("verdict")) for line in lines] == [
        ("device_registered", "info", "first"),
        ("device_registered", "warning", "takeover"),
        ("devices_fenced", "info", None),
        ("device_released", "info", None),
    ]
