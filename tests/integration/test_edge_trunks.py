"""The edge's side of its trunks: routers that stop, come back, or misbehave."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from browsergo.core.channel.frames import Frame, Kind
from browsergo.v2 import trunk_pb2, types_pb2
from edge import grpc_carrier
from edge.core.placement import rendezvous
from tests.fakes.device_client import EchoDevice, registration
from tests.fakes.edge_world import World, play, until
from tests.fakes.trunk_client import raw_trunk
from tests.fakes.trunk_service import OddRouter, introduction, odd_router

A = types_pb2.EdgeRun(edge_id="a", boot=11)


def test_an_edge_comes_back_to_a_router_that_was_restarted_and_channels_go_on(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world, edge=world.edges[1])
        client = await world.client()
        assert (await client.call(1, "Fake.say"))["id"] == 1
        await world.router.stop()
        await until(lambda: not any(edge.parts.trunks.live() for edge in world.edges), "the trunks are down")
        client.send_json({"id": 2, "method": "Fake.held", "params": {}})
        await world.router.start()
        assert (await client.receive_json())["id"] == 2
        assert echo.executed == ["Fake.say", "Fake.held"]
        assert world.router.edges() == {"edge-1", "edge-2"}
        await echo.leave()

    play(tmp_path, scenario, edges=2)


def test_when_a_router_goes_channels_go_on_over_the_other_and_nothing_runs_twice(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world, edge=world.edges[1])
        clients = [await world.client() for _ in range(3)]
        used = world.edge.parts.bridge.router_for("laptop")
        router = next(router for router in world.routers if router.address == used)
        for number in range(1, 101):
            for client in clients:
                client.send_json({"id": number, "method": "Fake.say", "params": {"n": number}})
            if number == 50:
                await router.stop()
        for client in clients:
            answers = [await client.receive_json() for _ in range(100)]
            assert [found["id"] for found in answers] == list(range(1, 101))
            assert all("result" in found for found in answers)
        assert len(echo.executed) == 300
        await echo.leave()

    play(tmp_path, scenario, edges=2, routers=2)


async def silent(requests: Any, _: Any) -> None:
    async for _request in requests:
        pass


async def batch_first(requests: Any, context: Any) -> None:
    await anext(requests)
    await context.write(trunk_pb2.ExchangeResponse(batch=trunk_pb2.Batch(headers=b"\x01")))
    await silent(requests, context)


async def ends_at_once(requests: Any, _: Any) -> None:
    await anext(requests)


async def fails(requests: Any, context: Any) -> None:
    await anext(requests)
    await context.abort(StatusCode.FAILED_PRECONDITION, "not you")


async def garbage(requests: Any, context: Any) -> None:
    await anext(requests)
    await context.write(introduction())
    await context.write(trunk_pb2.ExchangeResponse(batch=trunk_pb2.Batch(headers=b"\x02", payloads=b"x")))
    await silent(requests, context)


async def second_introduction(requests: Any, context: Any) -> None:
    await anext(requests)
    await context.write(introduction())
    await context.write(introduction())
    await silent(requests, context)


async def good(requests: Any, context: Any) -> None:
    await anext(requests)
    await context.write(introduction("good"))
    await silent(requests, context)


ODD = (silent, batch_first, ends_at_once, fails, garbage, second_introduction)


@pytest.mark.parametrize("behave", ODD, ids=[behave.__name__ for behave in ODD])
def test_an_edge_bears_a_router_that_misbehaves_and_tries_again(
    tmp_path: Path, behave: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        grpc_carrier, "INTRODUCTION_TIMEOUT_S", 1.0
    )  # a good router on a busy machine must be within it

    async def scenario(world: World) -> None:
        router = OddRouter(behave, good)
        async with odd_router(router, tmp_path) as address:
            edge = await world.add_edge("edge-9", routers=[address])
            [trunk] = edge.parts.trunks
            await until(lambda: trunk.router_id == "good", "the second try is good")  # the first may be up for a moment
            assert router.trunks == 2
            assert trunk.last_error
            await edge.stop()
            world.edges.remove(edge)

    play(tmp_path, scenario)


def test_frames_that_make_no_sense_to_an_edge_harm_no_trunk(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with raw_trunk(world.router.address, A) as odd:
            for kind in Kind:
                await odd.send(Frame(kind, edge=world.edge.boot, channel=bytes(16), seq=2**64 - 1, payload=b"\xff"))
                await odd.send(Frame(kind, edge=world.edge.boot, link=7, payload=b"{}"))
            body = b'{"device":"laptop","path":"/json/version"}'
            await odd.send(Frame(Kind.FETCH, edge=world.edge.boot, channel=b"x" * 16, payload=body))
            while (answer := await odd.receive_kind(Kind.FETCHED)).channel != b"x" * 16:
                pass
            assert answer.seq == 503
        assert world.edge.parts.trunks.live() == [world.router.address]

    play(tmp_path, scenario)


def test_a_device_is_found_over_the_router_that_reaches_its_edge(tmp_path: Path) -> None:
    """The router that a device's channels belong to may be one that the device's edge is cut off from."""

    async def scenario(world: World) -> None:
        cut_off = await world.add_router("router-2")
        routers = [router.address for router in world.routers]
        edge = await world.add_edge("edge-2")
        names = (f"device-{number}" for number in itertools.count())
        name = next(name for name in names if rendezvous(name, routers) == cut_off.address)
        echo = await EchoDevice.start(world, registration(name))  # on edge-1, which knows router-1 only
        client = await world.client(name, edge=edge)
        assert (await client.call(1, "Fake.say"))["result"]["device"] == name
        await echo.leave()

    play(tmp_path, scenario)
