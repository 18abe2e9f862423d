"""Whose a device id is: restarts, takeovers, leases, and a registry that answers late or not at all."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from browsergo.core import device_messages as messages
from browsergo.core.device_messages import Registration
from browsergo.core.errors import HandshakeRefused
from browsergo.v2 import registry_pb2, types_pb2
from edge.stubs import RegistryStub
from services.registry.core.conflicts import Policy
from tests.fakes.device_client import DeviceClient, lease, registration, told, until_lease
from tests.fakes.edge_world import World, play, until

# --- another one of the same name -----------------------------------------------------------------------------


def test_a_new_boot_of_the_same_instance_fences_the_old_one(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        old, link = await DeviceClient.active(world)
        new = await DeviceClient.registered(world, registration(boot="boot-2"))
        assert (old.ack.epoch, new.ack.epoch) == (1, 2)
        assert (old.ack.took_over, new.ack.took_over) == (False, False)
        error, closed = await told(old)
        assert (error, closed.code) == ("STALE_EPOCH", 4002)
        assert (await link.socket.closed()).code == 4002
        with pytest.raises(HandshakeRefused):
            await old.link()
        await new.link()
        found = await lease(world)
        assert found is not None
        assert found.epoch == 2

    play(tmp_path, scenario)


def test_the_same_boot_comes_back_to_its_epoch(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await DeviceClient.active(world)
        again = await DeviceClient.connect(world, replace(registration(), previous_epoch=1))
        assert (await again.register()).epoch == 1

    play(tmp_path, scenario)


@pytest.mark.parametrize("edges", [1, 2], ids=["same edge", "other edge"])
def test_another_instance_takes_over_and_the_loser_is_told_to_stay_away(tmp_path: Path, edges: int) -> None:
    async def scenario(world: World) -> None:
        loser, link = await DeviceClient.active(world)
        winner = await DeviceClient.registered(world, registration(instance="instance-2"), world.edges[-1])
        assert (winner.ack.epoch, winner.ack.took_over) == (2, True)
        message = await loser.control.receive_json()
        assert (message["type"], message["data"]) == ("device:taken_over", {"retryAfter": 60_000})
        assert (await loser.control.closed()).code == 4510
        assert (await link.socket.closed()).code == 4510
        winner.say(messages.HEARTBEAT)
        assert (await winner.control.receive_json())["type"] == "device:heartbeat:ack"
        found = await lease(world)
        assert found is not None
        assert (found.epoch, found.edge.edge_id) == (2, world.edges[-1].config.edge_id)

    play(tmp_path, scenario, edges=edges, lease_renewal_s=600.0)  # it does not wait for the next renewal


def test_another_instance_is_refused_where_the_policy_says_so(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        incumbent, _ = await DeviceClient.active(world)
        newcomer = await DeviceClient.connect(world, registration(instance="instance-2"))
        newcomer.say(messages.REGISTER, messages.register_body(newcomer.who))
        error, closed = await told(newcomer)
        assert (error, closed.code) == ("CONFLICT_REJECTED", 4505)
        incumbent.say(messages.HEARTBEAT)
        assert (await incumbent.control.receive_json())["type"] == "device:heartbeat:ack"

    play(tmp_path, scenario, policy=Policy.REJECT)


# --- leases ---------------------------------------------------------------------------------------------------


def test_the_registry_hears_at_once_that_a_device_becomes_active_and_that_it_no_longer_is(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        def has(state: types_pb2.DeviceState.ValueType) -> Callable[[types_pb2.Device | None], bool]:
            return lambda found: found is not None and found.state == state

        _, link = await DeviceClient.active(world)
        await until_lease(world, has(types_pb2.DEVICE_STATE_ACTIVE))
        await link.socket.close()
        await until_lease(world, has(types_pb2.DEVICE_STATE_REGISTERED))

    play(tmp_path, scenario, lease_renewal_s=600.0)


def test_a_device_that_is_disconnected_here_and_lives_elsewhere_keeps_its_lease_there(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        old = await DeviceClient.registered(world)
        new = await DeviceClient.registered(world, registration(boot="boot-2"), world.edges[1])
        await old.control.close()
        await until(lambda: not len(world.edge.parts.devices), "the first edge lets it go")
        world.edge.parts.devices.changed.set()
        await asyncio.sleep(0.05)
        found = await lease(world)
        assert found is not None
        assert (found.epoch, found.edge.edge_id) == (new.ack.epoch, "edge-2")

    play(tmp_path, scenario, edges=2)


# --- registries at fault --------------------------------------------------------------------------------------


class BrokenRegistry(RegistryStub):
    """Fails as only a bug does."""

    async def register(self, registration: Registration, connection_id: str) -> registry_pb2.RegisterResponse:
        raise RuntimeError("secret")


def test_a_fault_of_the_edge_itself_is_told_and_not_waited_out(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        broken = BrokenRegistry("unix:/nowhere", world.edge.parts.run_id)
        world.edge.parts.gate._parts.registry = broken
        device = await DeviceClient.connect(world)
        device.say(messages.REGISTER, messages.register_body(device.who))
        error, closed = await told(device)
        assert (error, closed.code) == ("INTERNAL", 1011)
        assert "secret" not in closed.reason
        await broken.close()

    play(tmp_path, scenario)


class OvertakenRegistry(RegistryStub):
    """The answer to the first registration comes last."""

    def __init__(self, real: RegistryStub) -> None:
        self._real = real
        self._first = True
        self.go_on = asyncio.Event()

    async def register(self, registration: Registration, connection_id: str) -> registry_pb2.RegisterResponse:
        first, self._first = self._first, False
        given = await self._real.register(registration, connection_id)
        if first:
            await self.go_on.wait()
        return given


def test_a_late_answer_of_the_registry_does_not_put_a_newer_registration_out(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        parts = world.edge.parts
        registry = parts.gate._parts.registry = OvertakenRegistry(parts.registry)
        late = await DeviceClient.connect(world)
        late.say(messages.REGISTER, messages.register_body(late.who))
        await until(lambda: world.epochs.newest == {"laptop": 1}, "the registry has heard of it")
        newer = await DeviceClient.registered(world, registration(boot="boot-2"))
        registry.go_on.set()
        assert (await told(late))[0] == "STALE_EPOCH"
        newer.say(messages.HEARTBEAT)
        assert (await newer.control.receive_json())["type"] == "device:heartbeat:ack"

    play(tmp_path, scenario)
