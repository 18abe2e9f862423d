"""RouteMessage of a real router: one CDP command of another service; the router is the client end of its channel."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from browsergo.chassis.grpc_errors import translated
from browsergo.core.errors import (
    BrowserGoError,
    DeviceNotFound,
    DeviceOffline,
    DeviceRestarted,
    InvalidArgument,
    InvalidDeviceId,
    TargetNotFound,
)
from browsergo.v2 import router_pb2
from tests.fakes.device_client import EchoDevice, registration
from tests.fakes.edge_world import World, play, router_service, until


def command(number: int, method: str = "Fake.say", **params: object) -> str:
    return json.dumps({"id": number, "method": method, "params": params})


async def asked(stub: Any, message: str, device: str = "laptop", target: str = "") -> dict[str, Any]:
    request = router_pb2.RouteMessageRequest(device_id=device, message=message, target_id=target)
    answer = await translated(stub.RouteMessage(request, timeout=10))
    found: dict[str, Any] = json.loads(answer.message)
    return found


def test_a_command_is_executed_once_and_its_answer_comes_back(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with router_service(world.router) as stub:
            answers = await asyncio.gather(*(asked(stub, command(7, "Fake.say", n=n)) for n in range(50)))
            assert [answer["id"] for answer in answers] == [7] * 50  # each call has its own channel, and its own ids
            assert [answer["result"]["params"]["n"] for answer in answers] == list(range(50))
            assert echo.executed == ["Fake.say"] * 50
            await until(lambda: not echo.open, "the device lets the channels go")
        await echo.leave()

    play(tmp_path, scenario)


def test_a_large_answer_arrives_whole_and_events_are_nobodys(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        filler = "ü" * 1_000_000
        async with router_service(world.router) as stub:
            asking = asyncio.create_task(asked(stub, command(1, "Fake.say", filler=filler)))
            assert (await asking)["result"]["params"]["filler"] == filler
            holding = asyncio.create_task(asked(stub, command(2, "Hold.answer")))
            await until(lambda: echo.executed[-1] == "Hold.answer", "it is executed")
            echo.event("Fake.happened", {"id": 2})
            [channel] = echo.open
            echo.say(channel, {"id": 2, "result": {"late": True}})
            assert await holding == {"id": 2, "result": {"late": True}}
        await echo.leave()

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("device", "target", "message", "error"),
    [
        ("nobody", "", command(1), DeviceNotFound),
        ("gone", "", command(1), DeviceOffline),
        ("no such", "", command(1), InvalidDeviceId),
        ("laptop", "../browser", command(1), TargetNotFound),
        ("laptop", "", "{", InvalidArgument),
        ("laptop", "", '{"method":"Fake.say"}', InvalidArgument),
        ("laptop", "", "", InvalidArgument),
    ],
)
def test_what_cannot_be_asked_is_refused_and_says_why(
    tmp_path: Path, device: str, target: str, message: str, error: type[BrowserGoError]
) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        gone = await EchoDevice.start(world, registration("gone"))
        await gone.leave()
        await until(lambda: world.edge.parts.devices.get("gone") is None, "the other device is gone")
        async with router_service(world.router) as stub:
            with pytest.raises(error) as refused:
                await asked(stub, message, device, target)
            assert refused.value.code == error.code
            assert (await asked(stub, command(1)))["id"] == 1
        assert echo.executed == ["Fake.say"]
        await echo.leave()

    play(tmp_path, scenario)


def test_a_caller_that_gives_up_frees_its_channel(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with router_service(world.router) as stub:
            asking = asyncio.create_task(asked(stub, command(1, "Hold.answer")))
            await until(lambda: bool(echo.executed), "it is executed")
            asking.cancel()
            await until(lambda: not echo.open, "the device lets the channel go")
        await echo.leave()

    play(tmp_path, scenario)


def test_a_device_that_restarts_is_told_truthfully(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with router_service(world.router) as stub:
            asking = asyncio.create_task(asked(stub, command(1, "Hold.answer")))
            await until(lambda: bool(echo.executed), "it is executed")
            await echo.leave()
            again = await EchoDevice.start(world, registration(boot="boot-2"))
            answer = await asking
            assert answer["id"] == 1
            assert answer["error"]["data"].startswith(f"reason={DeviceRestarted.code} executed=unknown")
            assert (await asked(stub, command(2)))["id"] == 2
        await again.leave()

    play(tmp_path, scenario)


def test_every_router_may_be_asked_although_it_alone_reaches_its_own_callers(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        for router in world.routers:
            async with router_service(router) as stub:
                assert (await asked(stub, command(1)))["id"] == 1
        async with router_service(world.routers[0]) as first, router_service(world.routers[1]) as second:
            waiting = [asyncio.create_task(asked(stub, command(1, "Hold.answer"))) for stub in (first, second)]
            await until(lambda: echo.executed[2:] == ["Hold.answer"] * 2, "both are executed")
            await echo.leave()
            again = await EchoDevice.start(world, registration(boot="boot-2"))
            for answer in await asyncio.gather(*waiting):
                assert answer["error"]["data"].startswith(f"reason={DeviceRestarted.code} executed=unknown")
        await again.leave()

    play(tmp_path, scenario, routers=2)


@pytest.mark.parametrize("link", [1, 2])
@pytest.mark.parametrize("router", [0, 1])
def test_a_link_that_drops_costs_a_caller_nothing_but_time(tmp_path: Path, router: int, link: int) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world, pool=2)
        async with router_service(world.routers[router]) as stub:
            asking = asyncio.create_task(asked(stub, command(1, "Hold.answer")))
            await until(lambda: bool(echo.executed), "it is executed")
            echo.lose_link(link)
            [channel] = echo.open
            echo.say(channel, {"id": 1, "result": {}})
            assert await asking == {"id": 1, "result": {}}
            assert (await asked(stub, command(2)))["id"] == 2
        await echo.leave()

    play(tmp_path, scenario, routers=2)


def test_the_router_is_no_edge_to_those_who_ask_for_its_status(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with router_service(world.router) as stub:
            status = await stub.GetStatus(router_pb2.GetRouterStatusRequest(), timeout=5)
            assert {trunk.edge.edge_id for trunk in status.trunks} == world.router.edges()
            assert world.router.router_id not in world.router.edges()

    play(tmp_path, scenario)
