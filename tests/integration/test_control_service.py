"""The control service as a process of its own, with a real registry and routers that answer as told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_errors import translated
from browsergo.core import errors
from browsergo.v2 import control_pb2, control_pb2_grpc, membership_pb2, membership_pb2_grpc, registry_pb2_grpc
from tests.fakes import grpc_probe
from tests.fakes.devices import EDGE_1, EDGE_2, registration
from tests.fakes.otlp_sink import CollectedSpan, OtlpSink
from tests.fakes.parts import Part
from tests.fakes.router_service import FakeRouter, served

if TYPE_CHECKING:  # they exist in the stubs only
    from browsergo.v2.control_pb2_grpc import ControlServiceAsyncStub
    from browsergo.v2.membership_pb2_grpc import MembershipServiceAsyncStub
    from browsergo.v2.registry_pb2_grpc import RegistryServiceAsyncStub

T = TypeVar("T")
NAME = "browsergo.v2.ControlService"
POLL_S = 0.05
EVENTUALLY_S = 15.0


class Fleet:
    """A control process over a registry process and routers in this one."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = environment or {}
        self.open = contextlib.AsyncExitStack()
        self.routers = [FakeRouter("router-1"), FakeRouter("router-2")]
        self.control_log: list[dict[str, Any]] = []
        self.exit_codes: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        addresses = [await self.open.enter_async_context(served(router, self._folder)) for router in self.routers]
        words = ["--registry", self._address("registry")]
        for address in addresses:
            words += ["--routers", address]
        await self._start("control", *words)
        self.control: ControlServiceAsyncStub = control_pb2_grpc.ControlServiceStub(await self._channel("control"))
        registry = await self._channel("registry")
        self.registry: RegistryServiceAsyncStub = registry_pb2_grpc.RegistryServiceStub(registry)
        self.membership: MembershipServiceAsyncStub = membership_pb2_grpc.MembershipServiceStub(registry)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.open.aclose()

    async def start_registry(self) -> Part:
        return await self._start("registry", "--database", str(self._folder / "registry.sqlite"))

    async def status(self) -> control_pb2.GetControlStatusResponse:
        return await translated(self.control.GetStatus(control_pb2.GetControlStatusRequest()))

    async def status_when(self, wanted: Callable[[control_pb2.GetControlStatusResponse], bool]) -> None:
        """Poll, as an operator would, until the status is as wanted."""
        async with asyncio.timeout(EVENTUALLY_S):
            while not wanted(await self.status()):  # noqa: ASYNC110 - it is another process that changes
                await asyncio.sleep(POLL_S)

    async def disconnect(self, device_id: str = "laptop", **what: str) -> bool:
        request = control_pb2.ControlDisconnectDeviceRequest(device_id=device_id, actor="alice", reason="test", **what)
        return (await translated(self.control.DisconnectDevice(request))).was_connected

    async def list_devices(self) -> list[str]:
        response = await translated(self.control.ListDevices(control_pb2.ControlListDevicesRequest()))
        return [device.identity.device_id for device in response.devices]

    async def end(self, part: Part) -> None:
        self.exit_codes[part.name] = await asyncio.to_thread(part.end)
        if part.name == "control":
            self.control_log = [json.loads(line) for line in part.log]

    async def _start(self, name: str, *words: str) -> Part:
        argv = [f"services.{name}", "--listen", self._address(name), *words]
        part = Part(name, argv, self._environment)
        self.open.push_async_callback(self.end, part)
        await asyncio.to_thread(part.wait_ready)
        return part

    async def _channel(self, name: str) -> Any:
        return await self.open.enter_async_context(open_channel(self._address(name)))

    def _address(self, name: str) -> str:
        return f"unix:{self._folder / name}.sock"


@contextlib.asynccontextmanager
async def registered(folder: Path) -> AsyncIterator[Fleet]:
    """A fleet in which edge-1 holds the device `laptop` and only the second router has its trunk."""
    async with Fleet(folder) as fleet:
        await fleet.start_registry()
        await fleet.registry.Register(registration(edge=EDGE_1), wait_for_ready=True, timeout=EVENTUALLY_S)
        await fleet.status_when(lambda status: status.parts[0].healthy)
        fleet.routers[1].edges = {EDGE_1.boot: EDGE_1}
        fleet.routers[1].devices = {"laptop"}
        yield fleet


def play(folder: Path, scenario: Callable[[Fleet], Awaitable[T]]) -> tuple[T, Fleet]:
    """The scenario's result, and the fleet after its end."""

    async def main() -> tuple[T, Fleet]:
        async with registered(folder) as fleet:
            result = await scenario(fleet)
        return result, fleet

    return asyncio.run(main())


def audit(fleet: Fleet) -> list[tuple[str, str, str]]:
    lines = [line for line in fleet.control_log if line["event"] == "operator_command"]
    return [(line["actor"], line["device"], line["result"]) for line in lines]


def test_a_router_is_asked_from_its_joining_to_its_leaving(tmp_path: Path) -> None:
    async def scenario(fleet: Fleet) -> None:
        late = FakeRouter("router-3", [EDGE_2])
        address = await fleet.open.enter_async_context(served(late, tmp_path))
        kind = membership_pb2.MEMBER_KIND_ROUTER
        member = membership_pb2.Member(kind=kind, id="router-3", boot=7, address=address, version="2.0")
        await translated(fleet.membership.Join(membership_pb2.JoinRequest(member=member)))
        await fleet.status_when(lambda status: [each.router_id for each in status.routers][2:] == ["router-3"])
        await fleet.status_when(lambda status: EDGE_2 in [each.edge for each in status.edges])
        await translated(fleet.membership.Leave(membership_pb2.LeaveRequest(kind=kind, id="router-3", boot=7)))
        await fleet.status_when(lambda status: len(status.routers) == 2 and len(status.parts) == 4)

    play(tmp_path, scenario)


def test_a_fleet_that_is_well_is_ok(tmp_path: Path) -> None:
    status, fleet = play(tmp_path, Fleet.status)
    assert status.status == "ok"
    assert (status.devices_total, status.devices_active) == (1, 0)
    assert [router.router_id for router in status.routers] == ["router-1", "router-2"]
    assert [(edge.edge, edge.devices) for edge in status.edges] == [(EDGE_1, 1)]
    names = ["registry", *(f"router unix:{tmp_path}/router-{number}.sock" for number in (1, 2)), "edge edge-1"]
    assert [part.name for part in status.parts] == names
    assert status.version
    assert fleet.exit_codes == {"control": 0, "registry": 0}


def test_control_is_up_before_its_registry_and_finds_it_when_it_comes(tmp_path: Path) -> None:
    async def main() -> control_pb2.GetControlStatusResponse:
        async with Fleet(tmp_path) as fleet:
            before = await fleet.status()
            with pytest.raises(errors.ServiceUnavailable):
                await fleet.list_devices()
            await fleet.start_registry()
            await fleet.status_when(lambda status: status.status == "ok")
            assert await fleet.list_devices() == []
            return before

    before = asyncio.run(main())
    assert before.status == "degraded"
    assert [(part.name, part.healthy) for part in before.parts if not part.healthy] == [("registry", False)]
    assert before.parts[0].detail.startswith("SERVICE_UNAVAILABLE: ")


def test_a_registry_that_goes_away_degrades_the_status_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> control_pb2.GetControlStatusResponse:
        async with Fleet(tmp_path) as fleet:
            registry = await fleet.start_registry()
            await fleet.status_when(lambda status: status.status == "ok")
            await asyncio.to_thread(registry.end)
            return await fleet.status()

    status = asyncio.run(main())
    assert status.status == "degraded"
    assert len(status.routers) == 2


def test_all_pages_of_devices_are_passed_on(tmp_path: Path) -> None:
    devices = 1_001

    async def scenario(fleet: Fleet) -> list[str]:
        await asyncio.gather(*(fleet.registry.Register(registration(f"d-{number:04}")) for number in range(devices)))
        return await fleet.list_devices()

    listed, _fleet = play(tmp_path, scenario)
    assert listed == [*(f"d-{number:04}" for number in range(devices)), "laptop"]


def test_a_device_is_disconnected_through_the_router_that_has_its_edge(tmp_path: Path) -> None:
    async def scenario(fleet: Fleet) -> list[bool]:
        return [await fleet.disconnect(), await fleet.disconnect()]

    answers, fleet = play(tmp_path, scenario)
    assert answers == [True, False]
    (command, _again) = fleet.routers[1].commands
    assert (command.edge.boot, command.disconnect_device.device_id) == (EDGE_1.boot, "laptop")
    assert command.disconnect_device.reason == "test"
    assert audit(fleet) == [("alice", "laptop", "disconnected"), ("alice", "laptop", "was not connected")]


def test_a_device_that_is_unknown_offline_or_cut_off_cannot_be_disconnected(tmp_path: Path) -> None:
    async def scenario(fleet: Fleet) -> None:
        with pytest.raises(errors.DeviceNotFound):
            await fleet.disconnect("never")
        with pytest.raises(errors.InvalidDeviceId):
            await fleet.disconnect("a/b")
        fleet.routers[1].edges.clear()
        with pytest.raises(errors.EdgeLost, match="edge edge-1"):
            await fleet.disconnect()

    _result, fleet = play(tmp_path, scenario)
    assert audit(fleet) == [("alice", "never", "DEVICE_NOT_FOUND"), ("alice", "laptop", "EDGE_LOST")]


def test_what_the_edge_answers_to_a_command_reaches_the_operator(tmp_path: Path) -> None:
    async def scenario(fleet: Fleet) -> None:
        fleet.routers[1].failure = errors.Draining("this edge is shutting down")
        with pytest.raises(errors.Draining, match="this edge is shutting down"):
            await fleet.disconnect()

    play(tmp_path, scenario)


def test_words_for_the_log_are_bounded(tmp_path: Path) -> None:
    async def scenario(fleet: Fleet) -> None:
        for reason, actor in (("x" * 1025, "alice"), ("test", "x" * 257)):
            request = control_pb2.ControlDisconnectDeviceRequest(device_id="laptop", reason=reason, actor=actor)
            with pytest.raises(errors.InvalidArgument):
                await translated(fleet.control.DisconnectDevice(request))

    play(tmp_path, scenario)


def test_an_edge_that_holds_devices_without_a_trunk_is_named(tmp_path: Path) -> None:
    async def scenario(fleet: Fleet) -> control_pb2.GetControlStatusResponse:
        await fleet.registry.Register(registration("phone", edge=EDGE_2))
        return await fleet.status()

    status, _fleet = play(tmp_path, scenario)
    assert status.status == "degraded"
    assert [part.name for part in status.parts if not part.healthy] == ["edge edge-2"]


def test_health_and_reflection_name_the_service(tmp_path: Path) -> None:
    async def scenario(_fleet: Fleet) -> tuple[int, set[str]]:
        async with open_channel(f"unix:{tmp_path / 'control.sock'}") as channel:
            return await grpc_probe.health(channel, NAME), await grpc_probe.services(channel)

    (status, services), _fleet = play(tmp_path, scenario)
    assert status == grpc_probe.SERVING
    assert {NAME, "grpc.health.v1.Health"} <= services


def test_a_disconnection_is_a_span_of_control(tmp_path: Path) -> None:
    async def main(endpoint: str) -> None:
        async with Fleet(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}) as fleet:
            with pytest.raises(errors.ServiceUnavailable):
                await fleet.disconnect()

    def check(spans: list[CollectedSpan]) -> None:
        (span,) = [span for span in spans if span.name == "control.disconnect_device"]
        assert span.process.service == "browsergo-control"
        assert span.attributes == {"browsergo.device": "laptop"}

    with OtlpSink() as sink:
        asyncio.run(main(sink.endpoint))
        sink.wait_until(check, EVENTUALLY_S)
