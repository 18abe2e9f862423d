"""Commands for edges: from gRPC over a router's trunk to an edge, and the answer back."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from browsergo.chassis.grpc_errors import translated
from browsergo.core import errors
from browsergo.core.channel.frames import NO_EDGE, Frame, Kind
from browsergo.v2 import router_pb2, types_pb2
from tests.fakes.device_client import DeviceClient
from tests.fakes.edge_world import LocalRouter, World, play, play_router, router_service
from tests.fakes.trunk_client import message, raw_trunk, why_refused

A = types_pb2.EdgeRun(edge_id="a", boot=11)
B = types_pb2.EdgeRun(edge_id="b", boot=22)
C = types_pb2.EdgeRun(edge_id="c", boot=33)


def disconnect(edge: types_pb2.EdgeRun) -> router_pb2.CommandEdgeRequest:
    return router_pb2.CommandEdgeRequest(
        edge=edge, disconnect_device=router_pb2.DisconnectDevice(device_id="laptop", reason="test")
    )


def answer(asked: Frame, outcome: router_pb2.EdgeAnswer) -> Frame:
    return Frame(Kind.ADMIN_ANSWER, seq=asked.seq, payload=outcome.SerializeToString())


DONE = router_pb2.EdgeAnswer(
    response=router_pb2.CommandEdgeResponse(device_disconnected=router_pb2.DeviceDisconnected(was_connected=True))
)


def test_a_command_travels_to_its_edge_and_the_answer_back(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, raw_trunk(router.address, B), router_service(router) as stub:
            asking = asyncio.create_task(translated(stub.CommandEdge(disconnect(A), timeout=5)))
            asked = await a.receive()
            assert (asked.kind, asked.source) == (Kind.ADMIN, NO_EDGE)
            assert router_pb2.CommandEdgeRequest.FromString(asked.payload) == disconnect(A)
            await a.send(answer(asked, DONE))
            assert (await asking).device_disconnected.was_connected

    play_router(tmp_path, scenario)


def test_what_the_edge_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, router_service(router) as stub:
            asking = asyncio.create_task(translated(stub.CommandEdge(disconnect(A), timeout=5)))
            detail = types_pb2.ErrorDetail(code="INVALID_ARGUMENT", message="unknown here")
            await a.send(answer(await a.receive(), router_pb2.EdgeAnswer(error=detail)))
            with pytest.raises(errors.InvalidArgument, match="unknown here"):
                await asking

    play_router(tmp_path, scenario)


def test_an_edge_without_a_trunk_is_said_to_be_unknown(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with router_service(router) as stub:
            with pytest.raises(errors.EdgeNotFound, match="edge a"):
                await translated(stub.CommandEdge(disconnect(A), timeout=5))

    play_router(tmp_path, scenario)


def test_no_edge_answers_for_another(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, raw_trunk(router.address, B) as b, router_service(router) as stub:
            asking = asyncio.create_task(translated(stub.CommandEdge(disconnect(A), timeout=5)))
            asked = await a.receive()
            detail = types_pb2.ErrorDetail(code="INTERNAL", message="forged")
            await b.send(answer(asked, router_pb2.EdgeAnswer(error=detail)), message(B))
            await b.receive()
            await a.send(answer(asked, DONE), answer(asked, DONE), answer(asked._replace(seq=99), DONE))
            assert (await asking).device_disconnected.was_connected

    play_router(tmp_path, scenario)


@pytest.mark.parametrize("how", ["ended", "replaced", "drained"])
def test_a_command_whose_trunk_goes_is_not_waited_for(tmp_path: Path, how: str) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, router_service(router) as stub, asyncio.timeout(5):
            asking = asyncio.create_task(translated(stub.CommandEdge(disconnect(A), timeout=60)))
            await a.receive()
            if how == "ended":
                a.cancel()
            elif how == "drained":
                router.board.drain()
            async with contextlib.AsyncExitStack() as more:
                if how == "replaced":
                    await more.enter_async_context(raw_trunk(router.address, A))
                with pytest.raises(errors.ServiceUnavailable, match="may have been executed"):
                    await asking

    play_router(tmp_path, scenario)


def test_an_answer_that_cannot_be_read_ends_its_trunk_and_the_command(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, raw_trunk(router.address, B) as b, router_service(router) as stub:
            asking = asyncio.create_task(translated(stub.CommandEdge(disconnect(A), timeout=60)))
            asked = await a.receive()
            await a.send(Frame(Kind.ADMIN_ANSWER, seq=asked.seq, payload=b"\xff\xff"))
            assert isinstance(await why_refused(a), errors.BadFrame)
            with pytest.raises(errors.ServiceUnavailable):
                await asking
            assert (await b.receive()).kind == Kind.UNREACHABLE

    play_router(tmp_path, scenario)


def test_a_caller_that_gives_up_is_not_remembered(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, router_service(router) as stub:
            with pytest.raises(errors.DeadlineExceeded):
                await translated(stub.CommandEdge(disconnect(A), timeout=0.1))
            await a.send(answer(await a.receive(), DONE), message(A))
            assert (await a.receive()).kind == Kind.MSG

    play_router(tmp_path, scenario)


def test_the_status_counts_what_passed_each_trunk(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, raw_trunk(router.address, B) as b, router_service(router) as stub:
            await a.send(message(B, 1, 100), message(B, 2, 100), message(C))
            await b.receive()
            await b.receive()
            await a.receive()
            status = await stub.GetStatus(router_pb2.GetRouterStatusRequest())
            assert (status.router_id, status.frames_unroutable) == ("router-1", 1)
            by_edge = {trunk.edge.edge_id: trunk for trunk in status.trunks}
            assert (by_edge["a"].frames_in, by_edge["a"].bytes_in, by_edge["a"].batches_in) == (3, 202, 1)
            assert (by_edge["b"].frames_out, by_edge["b"].bytes_out) == (2, 200)
            assert by_edge["b"].queued_bytes == 0

    play_router(tmp_path, scenario)


def test_an_edge_obeys_commands_of_the_router_and_of_nobody_else(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, _ = await DeviceClient.active(world)
        command = disconnect(world.edge.parts.run_id).SerializeToString()
        async with raw_trunk(world.router.address, A) as foreign, router_service(world.router) as stub:
            await foreign.send(Frame(Kind.ADMIN, edge=world.edge.boot, seq=1, payload=command))
            described = router_pb2.CommandEdgeRequest(
                edge=world.edge.parts.run_id, describe_edge=router_pb2.DescribeEdge()
            )
            found = await translated(stub.CommandEdge(described, timeout=5))
            assert found.edge_description.devices == 1
            done = await translated(stub.CommandEdge(disconnect(world.edge.parts.run_id), timeout=5))
            assert done.device_disconnected.was_connected
            assert (await device.control.closed()).code == 4001
            again = await translated(stub.CommandEdge(disconnect(world.edge.parts.run_id), timeout=5))
            assert not again.device_disconnected.was_connected
            nothing = router_pb2.CommandEdgeRequest(edge=world.edge.parts.run_id)
            with pytest.raises(errors.InvalidArgument):
                await translated(stub.CommandEdge(nothing, timeout=5))

    play(tmp_path, scenario)
