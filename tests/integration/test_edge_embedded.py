"""A router within an edge's process: the same frames, queues, counters and spans as over gRPC."""

import asyncio
from pathlib import Path

import pytest

from browsergo.chassis.config import ConfigError
from browsergo.chassis.outbox import HIGH_BYTES
from browsergo.chassis.process import Stop
from browsergo.core import semconv
from browsergo.core.channel.frames import Frame, Kind
from browsergo.v2 import router_pb2, types_pb2
from deploy.embedded import serve
from edge.config import EdgeConfig
from tests.fakes.device_client import EchoDevice
from tests.fakes.edge_world import LocalEdge, World, play, router_service, until
from tests.fakes.otlp_sink import CollectedSpan, OtlpSink
from tests.fakes.trunk_client import raw_trunk

CALLS = 50
MEBIBYTE = bytes(1 << 20)
FAR = types_pb2.EdgeRun(edge_id="far", boot=99)


async def pair(world: World, embedded: bool) -> tuple[LocalEdge, LocalEdge]:
    """The clients' edge, within its router or not, and the devices' edge, beyond gRPC."""
    near = await world.add_edge("edge-near", within=world.router if embedded else None)
    return near, await world.add_edge("edge-far")


def shape(span: CollectedSpan) -> tuple[str, str, object]:
    return span.name, span.process.service, span.attributes.get(semconv.ATTR_DIRECTION)


@pytest.mark.parametrize("far", [False, True], ids=["device at the same edge", "device at an edge beyond gRPC"])
def test_what_passes_leaves_the_same_answers_counters_and_spans_as_over_grpc(
    tmp_path: Path, sink: OtlpSink, far: bool
) -> None:
    async def scenario(world: World, embedded: bool) -> tuple[object, ...]:
        near, beyond = await pair(world, embedded)
        echo = await EchoDevice.start(world, edge=beyond if far else near)
        client = await world.client(edge=near)
        answers = [await client.call(number, "Fake.say", {"n": number}) for number in range(1, CALLS + 1)]
        assert echo.executed == ["Fake.say"] * CALLS
        async with router_service(world.router) as stub:
            status = await stub.GetStatus(router_pb2.GetRouterStatusRequest())
        counted = {
            trunk.edge.edge_id: (trunk.frames_in, trunk.frames_out, trunk.bytes_in, trunk.bytes_out)
            for trunk in status.trunks
        }
        await echo.leave()
        return answers, counted

    def observed(embedded: bool) -> tuple[object, list[tuple[str, str, object]]]:
        folder = tmp_path / str(embedded)
        folder.mkdir()
        before = len(sink.spans())
        outcome = play(folder, lambda world: scenario(world, embedded), edges=0)
        return outcome, sorted(shape(span) for span in sink.spans()[before:] if semconv.ATTR_CHANNEL in span.attributes)

    apart, within = observed(False), observed(True)
    assert within == apart
    assert [name for name, _, _ in within[1]].count(semconv.SPAN_ROUTER_SWITCH) == 2 * CALLS


def test_an_edge_beyond_that_takes_nothing_holds_the_sender_within_back_and_nothing_is_lost(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        near = await world.add_edge("edge-near", within=world.router)
        outbox = next(iter(near.parts.trunks)).outbox
        assert outbox is not None
        async with raw_trunk(world.router.address, FAR) as far:
            sent = 0
            while not outbox.full:
                sent += 1
                outbox.push(Frame(Kind.MSG, edge=FAR.boot, channel=b"c" * 16, seq=sent, payload=MEBIBYTE), 0)
                await asyncio.sleep(0.001)  # so that the writers run
                assert sent < 4 * HIGH_BYTES // len(MEBIBYTE), "nothing holds the sender back"
            assert sent > 2 * HIGH_BYTES // len(MEBIBYTE) - 2  # the router's queue for the far edge, and ours
            assert [(await far.receive()).seq for _ in range(sent)] == [*range(1, sent + 1)]
            await until(lambda: not outbox.full, "there is room again")

    play(tmp_path, scenario, edges=0)


def test_commands_for_the_edge_within_are_answered(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        near, _ = await pair(world, embedded=True)
        async with router_service(world.router) as stub:
            request = router_pb2.CommandEdgeRequest(edge=near.parts.run_id, describe_edge=router_pb2.DescribeEdge())
            response = await stub.CommandEdge(request, timeout=5)
        assert response.edge_description.edge.edge_id == "edge-near"

    play(tmp_path, scenario, edges=0)


def test_a_router_within_needs_an_address_to_listen_at() -> None:
    with pytest.raises(ConfigError, match="routers: the first is the address"):
        asyncio.run(serve(EdgeConfig(routers=[], insecure_no_auth=True), Stop()))
