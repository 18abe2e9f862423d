"""How an edge process and a router process end: SIGTERM, twice SIGTERM, and what everybody on them is told."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from browsergo.chassis.grpc_client import open_channel
from browsergo.core import device_messages as messages
from browsergo.core.channel.frames import Kind
from browsergo.v2 import registry_pb2, types_pb2
from tests.fakes import grpc_probe
from tests.fakes.device_client import DeviceClient, EchoDevice, registration
from tests.fakes.edge_process import EdgeProcess, edge_process
from tests.fakes.edge_world import World, play, until
from tests.fakes.http_client import request
from tests.fakes.parts import Part
from tests.fakes.raw_peer import raw_connection, upgrade_lines
from tests.fakes.trunk_client import raw_trunk
from tests.fakes.websocket_client import Socket, dial_socket

LAPTOP = "/v2/cdp/laptop"
NOT_SERVING_WITHIN_S = 0.1  # of the design


@contextlib.asynccontextmanager
async def draining_edge(world: World, folder: Path, drain_s: float, *settings: str) -> AsyncIterator[EdgeProcess]:
    async with edge_process(world, folder, "--drain-s", str(drain_s), *settings) as edge:
        await edge.until_failing()
        yield edge


async def client_of(world: World, edge: EdgeProcess) -> Socket:
    return await dial_socket(edge.address, LAPTOP, headers=world.bearer("cdp:laptop:full"))


async def device_on(world: World, edge: EdgeProcess) -> DeviceClient:
    """A device that is registered there."""
    control = await dial_socket(edge.address, "/v2/device", headers=world.bearer("device:*"))
    await control.receive_json()
    control.send_json({"type": messages.REGISTER, "data": messages.register_body(registration())})
    assert (await control.receive_json())["type"] == messages.REGISTER_ACK
    return DeviceClient(world.edge, control, {}, registration())


def test_an_edges_grpc_health_says_at_once_that_it_was_told_to_stop(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        address = f"unix:{tmp_path / 'health.sock'}"
        async with (
            edge_process(world, tmp_path, "--drain-s", "60", "--health", address) as edge,
            open_channel(address) as channel,
        ):
            await edge.until_failing()
            client = await client_of(world, edge)  # for whom the drain goes on
            changes = grpc_probe.health_changes(channel)
            assert await anext(changes) == grpc_probe.SERVING
            assert await grpc_probe.services(channel) == {
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
            }
            began = time.monotonic()
            edge.part.send(signal.SIGTERM)
            assert await anext(changes) == grpc_probe.NOT_SERVING
            assert time.monotonic() - began < NOT_SERVING_WITHIN_S
            assert (await client.call(1, "Fake.say"))["id"] == 1
            await client.close()
            assert await edge.end() == 0
        await echo.leave()

    play(tmp_path, scenario)


async def holder(world: World) -> str:
    """The edge that the registry names for the device; "" for none."""
    listed = await world.registry.ListDevices(registry_pb2.ListDevicesRequest())
    return next((str(found.edge.edge_id) for found in listed.devices), "")


def test_an_edge_with_nobody_on_it_ends_at_once(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with draining_edge(world, tmp_path, 60) as edge:
            began = time.monotonic()
            edge.part.send(signal.SIGTERM)
            assert await edge.end() == 0
            assert time.monotonic() - began < 3
            await until(lambda: "edge-p" not in world.router.edges(), "its trunk is gone")

    play(tmp_path, scenario)


def test_clients_may_finish_and_those_that_do_not_are_told_truthfully(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with draining_edge(world, tmp_path, 1.5) as edge:
            finishes, stays = await client_of(world, edge), await client_of(world, edge)
            operator = await dial_socket(edge.address, "/v2/control", headers=world.bearer("control:read"))
            async with raw_connection(edge.address) as late:
                edge.part.send(signal.SIGTERM)
                await until(lambda: '"stopping"' in edge.part.text, "it has heard the signal")
                late.writer.write(upgrade_lines(edge.address, LAPTOP))
                first, lines = await late.read_head()
                assert (first.split()[1], dict(lines)["retry-after"]) == ("503", "1")
            assert (await finishes.call(1, "Fake.say"))["id"] == 1  # a drain is not an outage
            assert (await finishes.close()).code == 1000
            stays.send_json({"id": 1, "method": "Hold.answer", "params": {}})
            stays.send_json({"id": 2, "method": "Hold.answer", "params": {}})
            for number in (1, 2):
                answer = await stays.receive_json()
                assert answer["id"] == number
                assert "reason=DRAINING executed=unknown" in answer["error"]["data"]
            assert (await stays.closed()).code == 4004
            assert (await operator.closed()).code == 1012
            assert await edge.end() == 0
            await until(lambda: not echo.open, "the device lets the channels go")
        await echo.leave()

    play(tmp_path, scenario)


def test_new_connections_are_refused_from_the_first_signal_on(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with draining_edge(world, tmp_path, 60) as edge:
            client = await client_of(world, edge)
            edge.part.send(signal.SIGTERM)
            await until(lambda: '"stopping"' in edge.part.text, "it has heard the signal")
            with pytest.raises(ConnectionRefusedError):
                await request(edge.address, "/healthz")
            assert (await client.call(1, "Fake.say"))["id"] == 1
            await client.close()
            assert await edge.end() == 0
        await echo.leave()

    play(tmp_path, scenario)


def test_a_second_signal_ends_the_wait(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with draining_edge(world, tmp_path, 600) as edge:
            client = await client_of(world, edge)
            client.send_json({"id": 1, "method": "Hold.answer", "params": {}})
            await until(lambda: echo.executed == ["Hold.answer"], "the command is executed")
            edge.part.send(signal.SIGTERM)
            await until(lambda: '"stopping"' in edge.part.text, "it has heard the first signal")
            began = time.monotonic()
            edge.part.send(signal.SIGTERM)
            assert "reason=DRAINING" in (await client.receive_json())["error"]["data"]
            assert (await client.closed()).code == 4004
            assert await edge.end() == 0
            assert time.monotonic() - began < 3
        await echo.leave()

    play(tmp_path, scenario)


HELD = 6  # clients that do not finish


async def held_clients(world: World, edge: EdgeProcess, echo: EchoDevice) -> list[Socket]:
    """Clients with a command that is executed and not answered."""
    clients = [await client_of(world, edge) for _ in range(HELD)]
    for client in clients:
        client.send_json({"id": 1, "method": "Hold.answer", "params": {}})
    await until(lambda: echo.executed == ["Hold.answer"] * HELD, "all commands are executed")
    return clients


async def told_and_closed(client: Socket) -> float:
    """It was told of its command, then closed as of a drain; when."""
    assert "reason=DRAINING executed=unknown" in (await client.receive_json())["error"]["data"]
    assert (await client.closed()).code == 4004
    return time.monotonic()


@pytest.mark.parametrize(("spread_s", "least_s"), [(120.0, 0.1), (0.3, 0.05)])
def test_clients_that_stay_are_sent_away_one_after_the_other(tmp_path: Path, spread_s: float, least_s: float) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with draining_edge(world, tmp_path, 0.2, "--drain-spread-s", str(spread_s)) as edge:
            clients = await held_clients(world, edge, echo)
            edge.part.send(signal.SIGTERM)
            closes = sorted(await asyncio.gather(*map(told_and_closed, clients)))
            assert closes[-1] - closes[0] >= 0.9 * least_s * (HELD - 1)
            assert await edge.end() == 0
        await echo.leave()

    play(tmp_path, scenario)


def test_a_second_signal_sends_all_away_that_are_still_there(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with draining_edge(world, tmp_path, 0.0, "--drain-spread-s", "120") as edge:
            clients = await held_clients(world, edge, echo)
            endings = [asyncio.create_task(told_and_closed(client)) for client in clients]
            edge.part.send(signal.SIGTERM)
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
            edge.part.send(signal.SIGTERM)
            await asyncio.gather(*endings)
            assert await edge.end() == 0
        await echo.leave()

    play(tmp_path, scenario)


def test_devices_are_asked_to_leave_and_their_leases_given_back(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with draining_edge(world, tmp_path, 0.5) as edge:
            device = await device_on(world, edge)
            assert await holder(world) == "edge-p"
            edge.part.send(signal.SIGTERM)
            assert (await device.control.receive_json())["type"] == "device:drain"
            last = await device.control.receive_json()  # it stays all the same
            assert (last["type"], last["data"]["error"]) == ("error", "DRAINING")
            assert (await device.control.closed()).code == 4004
            assert await edge.end() == 0
            assert await holder(world) == ""

    play(tmp_path, scenario)


def test_a_device_that_leaves_for_another_edge_ends_the_wait_and_keeps_its_lease_there(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with draining_edge(world, tmp_path, 60) as edge:
            device = await device_on(world, edge)
            began = time.monotonic()
            edge.part.send(signal.SIGTERM)
            assert (await device.control.receive_json())["type"] == "device:drain"
            echo = await EchoDevice.start(world)
            await device.control.close()
            assert await edge.end() == 0
            assert time.monotonic() - began < 3
            assert await holder(world) == "edge-1"
            client = await world.client()
            assert (await client.call(1, "Fake.say"))["id"] == 1
            await echo.leave()

    play(tmp_path, scenario)


def test_an_edge_whose_registry_is_away_still_ends_with_zero(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with draining_edge(world, tmp_path, 0.5) as edge:
            device = await device_on(world, edge)
            await world.stop_registry()
            edge.part.send(signal.SIGTERM)
            assert (await device.control.closed()).code == 4004
            assert await edge.end() == 0
            assert "without releasing" in edge.part.text

    play(tmp_path, scenario)


def test_a_router_process_ends_its_trunks_in_good_order(tmp_path: Path) -> None:
    far = types_pb2.EdgeRun(edge_id="far", boot=4711)

    async def scenario() -> None:
        address = f"unix:{tmp_path / 'router.sock'}"
        part = Part("router-p", ["services.router", "--listen", address, "--instance-id", "router-p"], {})
        try:
            await asyncio.to_thread(part.wait_ready)
            async with raw_trunk(address, far) as trunk:
                part.send(signal.SIGTERM)
                assert await trunk.ended() is None
            assert await asyncio.to_thread(part.ended) == 0
            assert not (tmp_path / "router.sock").exists()
        finally:
            await asyncio.to_thread(part.end)

    asyncio.run(scenario())


def test_a_killed_edge_is_told_to_the_edges_of_its_clients(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        far = types_pb2.EdgeRun(edge_id="far", boot=4711)
        async with draining_edge(world, tmp_path, 60) as edge, raw_trunk(world.router.address, far) as trunk:
            edge.part.send(signal.SIGKILL)
            assert (await trunk.receive()).kind == Kind.UNREACHABLE

    play(tmp_path, scenario)
