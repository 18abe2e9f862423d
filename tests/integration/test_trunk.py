"""Trunks over real gRPC: a real router between edges of the test's own, good and bad."""

import asyncio
from pathlib import Path

import pytest

from browsergo.chassis.grpc_client import open_channel
from browsergo.core import errors
from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, Kind, encode_headers
from browsergo.v2 import trunk_pb2, types_pb2
from tests.fakes.edge_world import LocalRouter, play_router, until
from tests.fakes.trunk_client import RawTrunk, message, raw_trunk, why_refused

A = types_pb2.EdgeRun(edge_id="a", boot=11)
B = types_pb2.EdgeRun(edge_id="b", boot=22)
C = types_pb2.EdgeRun(edge_id="c", boot=33)
MEBIBYTE = 1 << 20


# --- introductions --------------------------------------------------------------------------------------------


def test_a_router_says_who_it_is(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with open_channel(router.address) as channel:
            assert await RawTrunk(channel).introduce(A) == "router-1"
            assert router.edges() == {"a"}

    play_router(tmp_path, scenario)


@pytest.mark.parametrize("boot", [NO_EDGE, EVERY_EDGE])
def test_a_boot_that_is_no_address_is_refused(tmp_path: Path, boot: int) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address) as trunk:
            await trunk.say(
                trunk_pb2.EdgeIntroduction(edge=types_pb2.EdgeRun(edge_id="x", boot=boot), layout_version=1)
            )
            assert isinstance(await why_refused(trunk), errors.InvalidArgument)
        assert router.edges() == set()

    play_router(tmp_path, scenario)


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_layout_is_refused_by_its_number(tmp_path: Path, version: int) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address) as trunk:
            await trunk.say(trunk_pb2.EdgeIntroduction(edge=A, layout_version=version))
            refused = await why_refused(trunk)
            assert isinstance(refused, errors.UnsupportedVersion)
            assert str(version) in refused.message
        assert router.edges() == set()

    play_router(tmp_path, scenario)


def test_who_does_not_introduce_itself_is_refused(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address) as batch_first:
            await batch_first.send(message(B))
            assert isinstance(await why_refused(batch_first), errors.BadFrame)
        async with raw_trunk(router.address) as silent:
            await silent.done_writing()
            assert isinstance(await why_refused(silent), errors.BadFrame)

    play_router(tmp_path, scenario)


# --- frames ---------------------------------------------------------------------------------------------------


def test_frames_arrive_in_order_with_their_senders_name_on_them(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, raw_trunk(router.address, B) as b:
            for number in range(0, 100, 10):
                await a.send(*(message(B, number + n)._replace(source=C.boot) for n in range(10)))
            arrived = [await b.receive() for _ in range(100)]
            assert [frame.seq for frame in arrived] == list(range(100))
            assert {frame.source for frame in arrived} == {A.boot}

    play_router(tmp_path, scenario)


def test_an_address_nobody_has_is_told_to_the_sender_once_a_batch(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a:
            await a.send(message(B), message(A, 7), message(B))
            assert (await a.receive()).seq == 7
            told = await a.receive()
            assert (told.kind, told.source, told.edge) == (Kind.UNREACHABLE, B.boot, A.boot)
            await a.send(message(A, 8))
            assert (await a.receive()).seq == 8

    play_router(tmp_path, scenario)


GARBAGE = [
    (b"", b""),
    (b"", b"payload"),
    (b"\x02", b""),
    (b"\x01" + bytes(10), b""),
    (b"\x01" + bytes(96), b""),
    (b"\x01" + b"\xff" * 96, b""),
    (encode_headers([message(B, size_bytes=100)]), bytes(99)),
    (encode_headers([message(B)]), bytes(99)),
]


@pytest.mark.parametrize(("headers", "payloads"), GARBAGE, ids=range(len(GARBAGE)))
def test_a_batch_that_cannot_be_read_ends_its_trunk_and_no_other(
    tmp_path: Path, headers: bytes, payloads: bytes
) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as bad, raw_trunk(router.address, B) as good:
            await bad.send_batch(headers, payloads)
            assert isinstance(await why_refused(bad), errors.BadFrame | errors.UnsupportedVersion)
            told = await good.receive()
            assert (told.kind, told.source) == (Kind.UNREACHABLE, A.boot)
            await good.send(message(B, 5))
            assert (await good.receive()).seq == 5
            assert router.edges() == {"b"}

    play_router(tmp_path, scenario)


def test_a_second_introduction_ends_the_trunk(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as trunk:
            await trunk.say(trunk_pb2.EdgeIntroduction(edge=B, layout_version=1))
            assert isinstance(await why_refused(trunk), errors.UnsupportedVersion)
        assert router.edges() == set()

    play_router(tmp_path, scenario)


@pytest.mark.parametrize("how", ["half-closed", "cancelled"])
def test_a_trunk_that_ends_is_told_to_the_others(tmp_path: Path, how: str) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, raw_trunk(router.address, B) as b:
            if how == "half-closed":
                await a.finish()
            else:
                a.cancel()
            told = await b.receive()
            assert (told.kind, told.source, told.edge) == (Kind.UNREACHABLE, A.boot, B.boot)
            assert router.edges() == {"b"}

    play_router(tmp_path, scenario)


def test_a_second_trunk_of_the_same_run_replaces_the_first_whose_loss_is_told_to_the_others(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as old, raw_trunk(router.address, B) as b:
            async with raw_trunk(router.address, A) as new:
                assert await old.ended() is None
                told = await b.receive()
                assert (told.kind, told.source, told.edge) == (Kind.UNREACHABLE, A.boot, B.boot)
                await b.send(message(A, 3))
                assert (await new.receive()).seq == 3
                await new.send(message(B, 4))
                arrived = await b.receive()
                assert (arrived.kind, arrived.seq) == (Kind.MSG, 4)
            assert (await b.receive()).kind == Kind.UNREACHABLE

    play_router(tmp_path, scenario)


def test_an_edge_that_takes_nothing_holds_back_who_writes_to_it_and_nobody_else(tmp_path: Path) -> None:
    count = 96

    async def scenario(router: LocalRouter) -> None:
        async with (
            raw_trunk(router.address, A) as busy,
            raw_trunk(router.address, B) as slow,
            raw_trunk(router.address, C) as other,
        ):

            async def flood() -> None:
                for number in range(count):
                    await busy.send(message(B, number, MEBIBYTE))

            flooding = asyncio.create_task(flood())
            to_slow = router.board.switch.trunk(B.boot)
            assert to_slow is not None
            await until(lambda: to_slow.outbox.full, "the router has queued what it may")
            await asyncio.sleep(0.1)
            assert not flooding.done()
            assert to_slow.outbox.queued_bytes < 34 * MEBIBYTE
            await other.send(message(C, 1), message(A, 2))
            assert (await other.receive()).seq == 1
            assert (await busy.receive()).seq == 2
            assert [(await slow.receive()).seq for _ in range(count)] == list(range(count))
            await flooding

    play_router(tmp_path, scenario)


def test_what_is_queued_for_a_trunk_that_ends_holds_nobody_back(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as busy, raw_trunk(router.address, B) as slow:
            flooding = asyncio.create_task(_flood(busy, 96))
            to_slow = router.board.switch.trunk(B.boot)
            assert to_slow is not None
            await until(lambda: to_slow.outbox.full, "the router has queued what it may")
            slow.cancel()
            await flooding
            assert (await busy.receive()).kind == Kind.UNREACHABLE

    play_router(tmp_path, scenario)


async def _flood(trunk: RawTrunk, count: int) -> None:
    for number in range(count):
        await trunk.send(message(B, number, MEBIBYTE))


def test_a_router_that_stops_ends_every_trunk_in_good_order(tmp_path: Path) -> None:
    async def scenario(router: LocalRouter) -> None:
        async with raw_trunk(router.address, A) as a, raw_trunk(router.address, B) as b:
            router.board.drain()
            assert [await trunk.ended() for trunk in (a, b)] == [None, None]
            async with raw_trunk(router.address) as late:
                await late.say(trunk_pb2.EdgeIntroduction(edge=C, layout_version=1))
                assert await late.ended() is None

    play_router(tmp_path, scenario)
