"""Link connections of a real edge: who may open one, who may speak on it, and links that are silent or too quick."""

import asyncio
from pathlib import Path

import pytest

from browsergo.core.channel import payloads
from browsergo.core.channel.frames import CHUNK_BYTES, EVERY_EDGE, MAX_LINK_MESSAGE_BYTES, Frame, Kind
from browsergo.core.errors import HandshakeRefused
from browsergo.core.ids import Binding
from edge import link_socket
from edge.core.lifecycle import State
from tests.fakes.device_client import DeviceClient, EchoDevice, registration
from tests.fakes.edge_world import World, play, until
from tests.fakes.far_edge import CHANNEL, FAR, far_edge, open_channel, opened, opening
from tests.fakes.raw_peer import PING, raw_connection, upgrade_lines
from tests.fakes.websocket_client import Closed, dial_socket

# --- tickets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_subprotocol", [False, True], ids=["header", "subprotocol"])
def test_the_ticket_of_the_acknowledgement_opens_a_link(tmp_path: Path, in_subprotocol: bool) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        link = await device.link(in_subprotocol=in_subprotocol)
        assert link.socket.connection.subprotocol == "browsergo.link.v2"

    play(tmp_path, scenario)


def test_no_other_ticket_token_or_device_does(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        other = await DeviceClient.registered(world, registration("phone"))
        for ticket in (other.ack.link_ticket, "", "x", "ä", world.token("device:*", "cdp:*:full")):
            with pytest.raises(HandshakeRefused) as refused:
                await device.link(ticket=ticket)
            assert (refused.value.status, refused.value.body[:15]) == (401, "UNAUTHENTICATED")
        for path in ("/v2/cdp/phone", "/v2/cdp/nobody", "/v2/device", "/v2/control"):
            with pytest.raises(HandshakeRefused):
                await dial_socket(
                    world.edge.address,
                    f"{path}?ticket={device.ack.link_ticket}&token={world.token('device:*')}",
                    headers={"Authorization": f"Bearer {device.ack.link_ticket}"},
                    subprotocols=["browsergo.link.v2"],
                )

    play(tmp_path, scenario)


def test_a_link_ticket_opens_nothing_but_links(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        for path in ("/v2/cdp/laptop", "/v2/device", "/v2/control"):
            with pytest.raises(HandshakeRefused) as refused:
                await dial_socket(
                    world.edge.address, path, headers={"Authorization": f"Bearer {device.ack.link_ticket}"}
                )
            assert refused.value.status == 401

    play(tmp_path, scenario)


def test_host_and_origin_are_looked_at_before_the_ticket(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        for header, status in (({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)):
            with pytest.raises(HandshakeRefused) as refused:
                await dial_socket(
                    world.edge.address, "/v2/cdp/laptop", headers=header, subprotocols=["browsergo.link.v2"]
                )
            assert refused.value.status == status

    play(tmp_path, scenario)


def test_a_full_pool_is_a_503_until_a_place_is_free(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        first, _ = await device.link(), await device.link()
        with pytest.raises(HandshakeRefused) as refused:
            await device.link()
        assert refused.value.status == 503
        assert "pool" in refused.value.body
        await first.socket.close()
        session = world.edge.parts.devices.get("laptop")
        assert session is not None
        await until(lambda: len(session.links) == 1, "the edge sees the link go")
        await device.link()

    play(tmp_path, scenario)


# --- HELLO and the state of the device ------------------------------------------------------------------------


def test_a_device_is_active_from_its_first_hello_until_its_last_link_is_gone(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        session = world.edge.parts.devices.get("laptop")
        assert session is not None
        states: list[State] = []
        one, two = await device.link(), await device.link()
        await asyncio.sleep(0.02)
        states.append(session.state)  # a link alone says nothing
        one.hello()
        two.hello()
        await until(lambda: len(session.ready) == 2, "both say HELLO")
        states.append(session.state)
        await one.socket.close()
        await until(lambda: len(session.ready) == 1, "one goes")
        states.append(session.state)
        assert states == [State.REGISTERED, State.ACTIVE, State.ACTIVE]
        await two.socket.close()
        await until(lambda: session.state is State.REGISTERED, "the last one goes")

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("wrong", "close_code"),
    [
        ({"device": "phone"}, 4501),
        ({"boot": "boot-2"}, 4501),
        ({"epoch": 0}, 4002),
        ({"epoch": 2}, 4002),
        ({"edge": EVERY_EDGE, "named": {CHANNEL: payloads.Named(0, 1, "c1")}}, 4502),
    ],
    ids=["another device", "another boot", "older epoch", "future epoch", "names channels to every edge"],
)
def test_a_hello_in_anothers_name_closes_the_link(tmp_path: Path, wrong: dict[str, object], close_code: int) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        link = await device.link()
        link.hello(**wrong)  # type: ignore[arg-type]  # each value is of its parameter's type
        assert (await link.socket.closed()).code == close_code
        session = world.edge.parts.devices.get("laptop")
        assert session is not None
        assert not session.ready
        assert device.control.connection.is_open

    play(tmp_path, scenario)


def test_an_opened_of_another_epoch_reaches_nobody(tmp_path: Path) -> None:
    """It would teach every client edge an epoch that the registry never gave."""

    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            await trunk.send(opening(world))
            asked = await link.receive_kind(Kind.OPEN)
            link.send(opened(device, asked)._replace(at=Binding(2**60, 1)))
            assert (await link.socket.closed()).code == 4002
            assert (await trunk.receive()).kind == Kind.LINK_LOST

    play(tmp_path, scenario)


# --- silence and pressure -------------------------------------------------------------------------------------


def test_a_link_that_vanished_is_pinged_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_socket, "PING_IDLE_S", 0.05)
    monkeypatch.setattr(link_socket, "DEAD_AFTER_S", 0.2)

    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        async with raw_connection(world.edge.address) as peer:
            head = upgrade_lines(
                world.edge.address,
                "/v2/cdp/laptop",
                Authorization=f"Bearer {device.ack.link_ticket}",
                Sec_WebSocket_Protocol="browsergo.link.v2",
            )
            peer.writer.write(head)
            assert "101" in (await peer.read_head())[0]
            assert (await peer.receive()).opcode == PING
            assert await peer.is_ended()  # it never answered
        session = world.edge.parts.devices.get("laptop")
        assert session is not None
        await until(lambda: not session.links, "the link is gone")
        assert device.control.connection.is_open

    play(tmp_path, scenario)


def test_a_link_is_not_read_while_the_trunk_is_full_and_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_socket, "PING_IDLE_S", 0.05)
    monkeypatch.setattr(link_socket, "DEAD_AFTER_S", 0.15)
    count = 2048  # of 128 KiB: eight times what a full outbox holds

    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        async with far_edge(world) as trunk:
            await open_channel(trunk, world, device, link)
            outbox = next(iter(world.edge.parts.trunks)).outbox
            assert outbox is not None
            peak = 0
            for number in range(1, count + 1):
                link.send(
                    Frame(
                        Kind.MSG, edge=FAR.boot, channel=CHANNEL, at=Binding(1, 2), seq=number,
                        payload=bytes(CHUNK_BYTES),
                    )
                )  # fmt: skip
                if number % 64 == 0:
                    await asyncio.sleep(0)
                    peak = max(peak, outbox.queued_bytes)
            for number in range(1, count + 1):  # far reads late: routers and edge had to hold back
                assert (await trunk.receive_kind(Kind.MSG)).seq == number
                peak = max(peak, outbox.queued_bytes)
            assert peak < (32 << 20) + 2 * MAX_LINK_MESSAGE_BYTES
            assert link.socket.connection.is_open

    play(tmp_path, scenario)


def test_a_link_that_says_goodbye_is_closed_in_kind(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        _, link = await DeviceClient.active(world)
        assert await link.socket.close() == Closed(1000, "")

    play(tmp_path, scenario)


def test_a_client_talks_to_its_device_over_a_pool_of_links(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world, pool=2)
        clients = [await world.client() for _ in range(4)]
        for number, client in enumerate(clients, start=1):
            assert (await client.call(number, "Fake.say"))["result"]["device"] == "laptop"
        await echo.leave()

    play(tmp_path, scenario)
