"""What may come over a link of a real edge, and what client edges make of it and hear of it."""

import asyncio
from pathlib import Path

import pytest

from browsergo.core.channel import frames, payloads
from browsergo.core.channel.client_bindings import DEVICE_NOT_HERE
from browsergo.core.channel.frames import EVERY_EDGE, MAX_LINK_MESSAGE_BYTES, Frame, Kind
from browsergo.core.ids import Binding
from tests.fakes.device_client import DeviceClient
from tests.fakes.edge_world import World, play, until
from tests.fakes.far_edge import CHANNEL, FAR, far_edge, open_channel, opened, opening

# --- frames ---------------------------------------------------------------------------------------------------

NOT_OF_A_DEVICE = sorted(
    set(Kind) - {Kind.HELLO, Kind.OPENED, Kind.REFUSED, Kind.CACK, Kind.MSG, Kind.CLOSED, Kind.FETCHED, Kind.SPANS}
)


@pytest.mark.parametrize("kind", NOT_OF_A_DEVICE, ids=[kind.name for kind in NOT_OF_A_DEVICE])
def test_a_frame_that_a_device_may_not_send_closes_its_link_and_goes_nowhere(tmp_path: Path, kind: Kind) -> None:
    async def scenario(world: World) -> None:
        _, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            link.send(Frame(kind, edge=FAR.boot, channel=CHANNEL, payload=b"{}"))
            assert (await link.socket.closed()).code == 4502
            await trunk.send(opening(world))
            answer = await trunk.receive()
            assert answer.kind == Kind.REFUSED

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00",
        b"\xff\xff\xff\xff",
        (97).to_bytes(4) + b"\x01" + bytes(96),
        (97).to_bytes(4) + b"\x02" + bytes(96),
        (50).to_bytes(4) + b"\x01" + bytes(49),
        frames.encode_link_message([Frame(Kind.MSG, payload=b"{}")]) + b"more",
        frames.encode_link_message([Frame(Kind.MSG, flags=0x80)]),
        frames.encode_link_message([Frame(Kind.HELLO, at=Binding(1, 1), payload=b"nonsense")]),
        frames.encode_link_message([Frame(Kind.HELLO, at=Binding(1, 1), payload=b"[" * 50_000)]),
    ],
    ids=range(10),
)
def test_a_batch_that_cannot_be_read_closes_the_link_only(tmp_path: Path, message: bytes) -> None:
    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        link.socket.connection.send_binary(message)
        assert (await link.socket.closed()).code in {4502, 4504}
        assert device.control.connection.is_open
        await device.link()

    play(tmp_path, scenario)


def test_text_on_a_link_closes_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        _, link = await DeviceClient.active(world)
        link.socket.send_text('{"id":1}')
        assert (await link.socket.closed()).code == 4502

    play(tmp_path, scenario)


def test_a_link_message_above_four_mebibytes_closes_the_link_and_harms_no_trunk(tmp_path: Path) -> None:
    """gRPC takes 8 MiB: a larger frame passed on would end the trunk, and with it every other device's paths."""

    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            await open_channel(trunk, world, device, link)
            at = Binding(1, 2)
            link.send(Frame(Kind.MSG, edge=FAR.boot, channel=CHANNEL, at=at, seq=1, payload=bytes(9 << 20)))
            assert (await link.socket.closed()).code == 1009
            assert (await trunk.receive()).kind == Kind.LINK_LOST
            again = await device.link()
            again.hello()
            allowed = MAX_LINK_MESSAGE_BYTES - 4 - 97
            body = payloads.Opened("boot-1", "claim-1", 0, 2)
            again.send(
                Frame(
                    Kind.OPENED, edge=FAR.boot, channel=CHANNEL, at=Binding(1, 3), payload=payloads.encode_opened(body)
                )
            )
            again.send(Frame(Kind.MSG, edge=FAR.boot, channel=CHANNEL, at=Binding(1, 3), seq=1, payload=bytes(allowed)))
            assert len((await trunk.receive_kind(Kind.MSG)).payload) == allowed
        assert world.edge.parts.trunks.live() == [world.router.address]

    play(tmp_path, scenario)


def test_what_a_hello_has_overtaken_stays_on_its_link(tmp_path: Path) -> None:
    """Passed on, it could take a newer path than what was said before it, and the client end would see a gap."""

    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            old = (await open_channel(trunk, world, device, link)).at
            new = Binding(old.epoch, old.n + 1)
            named = {CHANNEL: payloads.Named(0, old.n, "claim-1")}
            body = payloads.Hello("laptop", device.who.boot_id, named, frozenset(named))
            hello = Frame(Kind.HELLO, edge=FAR.boot, at=new, payload=payloads.encode_hello(body))
            message = Frame(Kind.MSG, edge=FAR.boot, channel=CHANNEL, seq=1, payload=b"{}")
            link.send(hello, message._replace(at=old), message._replace(at=new))
            assert (await trunk.receive()).kind == Kind.HELLO
            assert (await trunk.receive()).at == new

    play(tmp_path, scenario)


def test_the_end_of_a_channel_is_passed_on_though_the_hello_that_names_it_comes_later(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            old = (await open_channel(trunk, world, device, link)).at
            body = payloads.encode_ending(payloads.Ending("claim-1", "DEVICE_GONE", "closed"))
            at = Binding(old.epoch, old.n + 1)
            link.send(Frame(Kind.CLOSED, edge=FAR.boot, channel=CHANNEL, at=at, payload=body))
            arrived = await trunk.receive()
            assert (arrived.kind, arrived.at, arrived.payload) == (Kind.CLOSED, at, body)

    play(tmp_path, scenario)


def test_only_a_hello_may_be_for_every_edge(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            link.hello(EVERY_EDGE)
            hello = await trunk.receive()
            assert (hello.kind, hello.source, hello.edge) == (Kind.HELLO, world.edge.boot, FAR.boot)
            body = payloads.Opened(device.who.boot_id, "c", 0, 1)
            link.send(
                Frame(
                    Kind.OPENED,
                    edge=EVERY_EDGE,
                    channel=CHANNEL,
                    at=Binding(1, 9),
                    payload=payloads.encode_opened(body),
                )
            )
            assert (await link.socket.closed()).code == 4502

    play(tmp_path, scenario)


def test_source_and_link_are_stamped_whatever_the_device_says(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            await trunk.send(opening(world))
            asked = await link.receive_kind(Kind.OPEN)
            link.send(opened(device, asked)._replace(source=99, link=98))
            arrived = await trunk.receive_kind(Kind.OPENED)
            session = world.edge.parts.devices.get("laptop")
            assert session is not None
            assert (arrived.source, [arrived.link]) == (world.edge.boot, list(session.links))
            await trunk.send(Frame(Kind.CMD, edge=world.edge.boot, source=1, link=arrived.link, channel=CHANNEL))
            assert (await link.receive_kind(Kind.CMD)).source == FAR.boot

    play(tmp_path, scenario)


def test_what_a_device_says_of_a_channel_that_is_not_on_this_link_is_dropped(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, one = await DeviceClient.active(world)
        two = await device.link()
        two.hello()
        async with far_edge(world) as trunk:
            await trunk.send(opening(world))
            asking = {asyncio.create_task(link.receive_kind(Kind.OPEN)): link for link in (one, two)}
            done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            asked, home = done.pop(), waiting.pop()
            here, elsewhere = asking[asked], asking[home]
            home.cancel()
            here.send(opened(device, asked.result()))
            await trunk.receive_kind(Kind.OPENED)
            message = Frame(Kind.MSG, edge=FAR.boot, channel=CHANNEL, at=Binding(1, 2), seq=1, payload=b"{}")
            elsewhere.send(message, message._replace(channel=bytes(16)))
            here.send(message._replace(seq=2))
            assert (await trunk.receive_kind(Kind.MSG)).seq == 2

    play(tmp_path, scenario)


# --- what client edges hear -----------------------------------------------------------------------------------


def test_client_edges_are_told_of_a_lost_link_and_of_frames_for_one(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            number = (await open_channel(trunk, world, device, link)).link
            await link.socket.close()
            lost = await trunk.receive()
            assert (lost.kind, lost.source, lost.link) == (Kind.LINK_LOST, world.edge.boot, number)
            await trunk.send(Frame(Kind.CMD, edge=world.edge.boot, link=number, channel=CHANNEL, seq=1, payload=b"{}"))
            again = await trunk.receive()
            assert (again.kind, again.link) == (Kind.LINK_LOST, number)

    play(tmp_path, scenario)


@pytest.mark.parametrize("state", ["unknown", "registered", "gone"])
def test_an_open_for_a_device_that_is_not_here_is_refused_with_that(tmp_path: Path, state: str) -> None:
    async def scenario(world: World) -> None:
        if state == "registered":
            await DeviceClient.registered(world)
        elif state == "gone":
            device, _ = await DeviceClient.active(world)
            await device.control.close()
            await until(lambda: not len(world.edge.parts.devices), "the device is gone")
        async with far_edge(world) as trunk:
            await trunk.send(opening(world))
            answer = await trunk.receive()
            assert (answer.kind, answer.channel) == (Kind.REFUSED, CHANNEL)
            refusal = payloads.decode_ending(answer.payload)
            assert (refusal.claim, refusal.code) == ("claim-1", DEVICE_NOT_HERE)
            fetch = Frame(Kind.FETCH, edge=world.edge.boot, channel=CHANNEL, payload=b'{"device":"laptop","path":"/x"}')
            await trunk.send(fetch)
            fetched = await trunk.receive()
            assert (fetched.kind, fetched.channel, fetched.seq) == (Kind.FETCHED, CHANNEL, 503)

    play(tmp_path, scenario)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"device":7}', b"\xff", b"[" * 100_000], ids=range(6))
def test_a_request_of_another_edge_that_cannot_be_read_harms_no_trunk(tmp_path: Path, payload: bytes) -> None:
    async def scenario(world: World) -> None:
        async with far_edge(world) as trunk:
            for kind in (Kind.OPEN, Kind.FETCH, Kind.ANNOUNCE):
                await trunk.send(Frame(kind, edge=world.edge.boot, channel=CHANNEL, payload=payload))
            await trunk.send(opening(world, "nobody"))
            assert (await trunk.receive_kind(Kind.REFUSED)).channel == CHANNEL
        assert world.edge.parts.trunks.live() == [world.router.address]

    play(tmp_path, scenario)


def test_an_announcement_makes_the_agent_say_hello_on_every_link(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, one = await DeviceClient.active(world)
        two = await device.link()
        two.hello()
        session = world.edge.parts.devices.get("laptop")
        assert session is not None
        await until(lambda: len(session.ready) == 2, "both links are ready")
        async with far_edge(world) as trunk:
            await trunk.send(Frame(Kind.ANNOUNCE, edge=world.edge.boot, payload=payloads.encode_device("laptop")))
            for link in (one, two):
                told = await link.receive()
                assert (told.kind, told.source) == (Kind.PATH_LOST, FAR.boot)

    play(tmp_path, scenario)


def test_opens_are_shared_out_among_the_links_that_said_hello(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, one = await DeviceClient.active(world)
        silent = await device.link()
        async with far_edge(world) as trunk:
            await trunk.send(opening(world), opening(world, channel=bytes(16)))
            assert [(await one.receive()).channel for _ in range(2)] == [CHANNEL, bytes(16)]
            silent.hello()
            session = world.edge.parts.devices.get("laptop")
            assert session is not None
            await until(lambda: len(session.ready) == 2, "the second link is ready")
            await trunk.send(opening(world), opening(world, channel=bytes(16)))
            assert {(await one.receive()).channel, (await silent.receive()).channel} == {CHANNEL, bytes(16)}

    play(tmp_path, scenario)
