"""Leases: renewed in batches, given back when a device is gone, and never taken from one that came back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
import structlog

from browsergo.chassis.telemetry import Telemetry
from browsergo.core.device_messages import Registration
from browsergo.core.errors import BrowserGoError, DeviceLost, ServiceUnavailable, TakenOver
from browsergo.v2 import registry_pb2, types_pb2
from edge import leases as leases_module
from edge.bridge import Bridge
from edge.devices import Devices, Session
from edge.grpc_carrier import GrpcCarrier
from edge.leases import Leases
from edge.stubs import RegistryStub
from edge.trunks import Trunks

T = TypeVar("T")
EDGE = types_pb2.EdgeRun(edge_id="edge-1", boot=11)
LOG: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class FakeRegistry(RegistryStub):
    """Notes what it is asked; `fenced` are refused, `down` fails everything, releases wait for `open`."""

    def __init__(self) -> None:
        self.renewed: list[dict[str, tuple[int, str]]] = []
        self.released: list[tuple[str, int]] = []
        self.fenced: set[str] = set()
        self.down = False
        self.asked = asyncio.Event()
        self.answered: asyncio.Queue[None] = asyncio.Queue()  # one for each renewal
        self.open = asyncio.Event()
        self.open.set()

    async def register(self, registration: Registration, connection_id: str) -> registry_pb2.RegisterResponse:
        raise NotImplementedError

    async def renew(self, devices: Sequence[types_pb2.Device]) -> list[str]:
        self._fail()
        names = {types_pb2.DEVICE_STATE_REGISTERED: "REGISTERED", types_pb2.DEVICE_STATE_ACTIVE: "ACTIVE"}
        self.answered.put_nowait(None)
        self.renewed.append({found.identity.device_id: (found.epoch, names[found.state]) for found in devices})
        return [found.identity.device_id for found in devices if found.identity.device_id in self.fenced]

    async def release(self, device: str, epoch: int) -> None:
        self._fail()
        self.asked.set()
        await self.open.wait()
        self.released.append((device, epoch))

    def _fail(self) -> None:
        if self.down:
            self.asked.set()
            raise ServiceUnavailable("the registry is away")


class FakeControl:
    """A device's control connection."""

    def __init__(self) -> None:
        self.told: list[BrowserGoError] = []
        self.asked_to_leave: list[str] = []
        self.closed = asyncio.Event()

    def close(self, error: BrowserGoError) -> None:
        self.told.append(error)
        self.closed.set()

    def drain(self, reason: str) -> None:
        self.asked_to_leave.append(reason)


class Scene:
    """An edge's devices and leases, and nothing else of it."""

    def __init__(self, interval_s: float) -> None:
        bridge = Bridge(
            EDGE.boot, Trunks((), lambda address: GrpcCarrier(address, EDGE), LOG), Telemetry("edge", "edge-1"), LOG
        )
        self.devices = Devices(bridge, LOG)
        self.registry = FakeRegistry()
        self.leases = Leases(self.devices, self.registry, EDGE, interval_s, LOG)

    def add(self, device: str, epoch: int = 1) -> Session:
        session = Session(Registration(device, "instance-1", "boot-1"), epoch, "c", "ticket", FakeControl())
        self.devices.add(session)
        return session

    def lose(self, session: Session) -> None:
        self.devices.remove(session, DeviceLost())


def play(scenario: Callable[[Scene], Awaitable[T]], interval_s: float = 600.0) -> T:
    async def main() -> T:
        async with asyncio.timeout(10):
            return await scenario(Scene(interval_s))

    return asyncio.run(main())


def test_all_devices_are_renewed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "BATCH", 4)

    async def scenario(scene: Scene) -> None:
        for number in range(10):
            scene.add(f"device-{number}")
        await scene.leases.renew()
        assert [len(batch) for batch in scene.registry.renewed] == [4, 4, 2]
        assert {name for batch in scene.registry.renewed for name in batch} == {f"device-{n}" for n in range(10)}

    play(scenario)


def test_a_batch_stays_below_what_a_message_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "BATCH_BYTES", 150)

    async def scenario(scene: Scene) -> None:
        for number in range(6):
            scene.add(f"device-{number}" + "x" * 40)
        await scene.leases.renew()
        assert sum(len(batch) for batch in scene.registry.renewed) == 6
        assert max(len(batch) for batch in scene.registry.renewed) == 2

    play(scenario)


def test_nothing_is_asked_for_nobody() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.leases.renew()
        assert scene.registry.renewed == []

    play(scenario)


def test_what_is_gone_is_given_back_once_under_its_epoch() -> None:
    async def scenario(scene: Scene) -> None:
        session = scene.add("laptop", epoch=7)
        await scene.leases.renew()
        scene.lose(session)
        await scene.leases.renew()
        await scene.leases.renew()
        assert scene.registry.released == [("laptop", 7)]

    play(scenario)


def test_a_new_epoch_here_needs_no_release_of_the_old_one() -> None:
    async def scenario(scene: Scene) -> None:
        scene.add("laptop", epoch=1)
        await scene.leases.renew()
        scene.add("laptop", epoch=2)
        await scene.leases.renew()
        assert scene.registry.released == []
        assert scene.registry.renewed[-1] == {"laptop": (2, "REGISTERED")}

    play(scenario)


def test_a_device_that_comes_back_while_others_are_given_back_keeps_its_lease() -> None:
    """Many devices are lost at once and come back to their epochs, while releases still go out one by one."""

    async def scenario(scene: Scene) -> None:
        first, second = scene.add("first"), scene.add("second")
        await scene.leases.renew()
        scene.lose(first)
        scene.lose(second)
        scene.registry.open.clear()
        renewing = asyncio.create_task(scene.leases.renew())
        await scene.registry.asked.wait()
        scene.add("second")
        scene.registry.open.set()
        await renewing
        assert scene.registry.released == [("first", 1)]

    play(scenario)


def test_a_lease_is_not_given_back_while_its_device_is_registering_again() -> None:
    async def scenario(scene: Scene) -> None:
        session = scene.add("laptop")
        await scene.leases.renew()
        with scene.devices.registering("laptop"):
            scene.lose(session)
            await scene.leases.renew()
            assert scene.registry.released == []
        assert scene.devices.changed.is_set()
        await scene.leases.renew()
        assert scene.registry.released == [("laptop", 1)]

    play(scenario)


def test_two_registrations_of_one_device_at_once_are_both_waited_for() -> None:
    async def scenario(scene: Scene) -> None:
        session = scene.add("laptop")
        await scene.leases.renew()
        scene.lose(session)
        with scene.devices.registering("laptop"):
            with scene.devices.registering("laptop"):
                pass
            await scene.leases.renew()
            assert scene.registry.released == []

    play(scenario)


def test_a_fenced_device_is_dropped_as_taken_over_and_not_given_back() -> None:
    async def scenario(scene: Scene) -> None:
        laptop, phone = scene.add("laptop"), scene.add("phone")
        scene.registry.fenced = {"laptop"}
        await scene.leases.renew()
        await scene.leases.renew()
        assert list(scene.devices) == [phone]
        assert isinstance(laptop.control, FakeControl)
        assert [type(error) for error in laptop.control.told] == [TakenOver]
        assert scene.registry.released == []

    play(scenario)


def test_a_device_that_was_asked_to_leave_and_is_registered_elsewhere_has_time_to_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases_module, "LEAVE_WITHIN_S", 0.05)

    async def scenario(scene: Scene) -> None:
        laptop = scene.add("laptop")
        scene.devices.drain("shutting down")
        scene.registry.fenced = {"laptop"}
        await scene.leases.renew()
        assert list(scene.devices) == [laptop], "its channels are about to move"
        await scene.leases.renew()
        assert len(scene.registry.renewed) == 1, "it is nothing to renew any more"
        assert isinstance(laptop.control, FakeControl)
        await laptop.control.closed.wait()
        assert [type(error) for error in laptop.control.told] == [TakenOver]
        assert scene.registry.released == []

    play(scenario)


@pytest.mark.parametrize(("edge", "asks"), [(EDGE.boot, False), (None, False), (12, True)])
def test_leases_are_looked_at_when_a_device_of_this_edge_is_told_to_be_elsewhere(edge: int | None, asks: bool) -> None:
    async def scenario(scene: Scene) -> None:
        scene.add("laptop")
        await scene.leases.renew()
        scene.devices.placed("phone", 12)
        assert not scene.devices.changed.is_set()
        scene.devices.placed("laptop", edge)
        assert scene.devices.changed.is_set() is asks

    play(scenario)


def test_a_device_that_came_back_while_its_old_epoch_was_being_fenced_stays() -> None:
    async def scenario(scene: Scene) -> None:
        scene.add("laptop", epoch=1)
        scene.registry.fenced = {"laptop"}

        class Slow(FakeRegistry):
            async def renew(self, devices: Sequence[types_pb2.Device]) -> list[str]:
                fenced = await scene.registry.renew(devices)
                newer.append(scene.add("laptop", epoch=2))
                return fenced

        newer: list[Session] = []
        leases = Leases(scene.devices, Slow(), EDGE, 600.0, LOG)
        await leases.renew()
        assert list(scene.devices) == newer

    play(scenario)


def test_a_change_is_told_at_once_and_silence_after_the_interval() -> None:
    async def scenario(scene: Scene) -> None:
        running = asyncio.create_task(scene.leases.run())
        scene.add("laptop")
        for _ in range(3):  # one for the change, then the interval's
            await scene.registry.answered.get()
        running.cancel()
        await asyncio.wait([running])

    play(scenario, interval_s=0.02)


def test_a_registry_that_is_away_is_asked_again_soon_and_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "RETRY_S", 0.01)

    async def scenario(scene: Scene) -> None:
        scene.registry.down = True
        scene.add("laptop")
        running = asyncio.create_task(scene.leases.run())
        await scene.registry.asked.wait()
        assert scene.leases.last_error == "the registry is away"
        scene.registry.down = False
        await scene.registry.answered.get()
        await asyncio.sleep(0)
        assert scene.registry.renewed == [{"laptop": (1, "REGISTERED")}]
        assert scene.leases.last_error == ""
        running.cancel()
        await asyncio.wait([running])

    play(scenario)
