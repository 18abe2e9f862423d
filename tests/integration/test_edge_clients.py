"""/v2/cdp/{deviceId} of real edges: opening, refusals, what is on a channel, and its end; the browser is an echo."""

import asyncio
import json
from pathlib import Path

import pytest

from browsergo.core.channel import payloads
from browsergo.core.channel.client_bindings import DEVICE_NOT_HERE
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.errors import DeviceGone, HandshakeRefused
from browsergo.v2 import registry_pb2, types_pb2
from tests.fakes.device_client import DeviceClient, EchoDevice, registration
from tests.fakes.edge_world import World, play, until
from tests.fakes.raw_peer import BINARY, TEXT, RawPeer, raw_connection, raw_frame, upgrade_lines
from tests.fakes.trunk_client import raw_trunk
from tests.fakes.websocket_client import Closed, dial_socket

LAPTOP = "/v2/cdp/laptop"


async def refusal(world: World, path: str = LAPTOP, **headers: str) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as refused:
        await dial_socket(world.edge.address, path, headers=headers)
    return refused.value


def command(number: int, method: str = "Fake.say") -> bytes:
    return json.dumps({"id": number, "method": method, "params": {}}).encode()


async def upgraded(peer: RawPeer, world: World, behind: bytes = b"") -> None:
    """Ask for a channel with `behind` in the same segment, and read the 101."""
    authorization = world.bearer("cdp:laptop:full")["Authorization"]
    peer.writer.write(upgrade_lines(world.edge.address, LAPTOP, Authorization=authorization) + behind)
    assert "101" in (await peer.read_head())[0]


# --- opening --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["header", "subprotocol", "url", "ticket"])
def test_a_token_may_stand_in_any_of_its_places(tmp_path: Path, place: str) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        token = world.token("cdp:laptop:full", subject="ticket:test" if place == "ticket" else "test")
        path = {"url": f"{LAPTOP}?token={token}", "ticket": f"{LAPTOP}?ticket={token}"}.get(place, LAPTOP)
        client = await dial_socket(
            world.edge.address,
            path,
            headers={"Authorization": f"Bearer {token}"} if place == "header" else None,
            subprotocols=[f"bearer.{token}"] if place == "subprotocol" else None,
        )
        assert client.connection.subprotocol is None
        assert (await client.call(1, "Fake.say"))["result"]["device"] == "laptop"
        await echo.leave()

    play(tmp_path, scenario)


def test_refusals_come_in_their_order_and_say_why(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        good = world.bearer("cdp:laptop:full")["Authorization"]
        expired = f"Bearer {world.token('cdp:laptop:full', age_s=7200)}"
        evil_host, evil_origin = {"Host": "evil.example"}, {"Origin": "https://evil.example"}
        for path, headers, status, code in (
            ("/v2/cdp/no such", evil_host | evil_origin, 421, "BAD_HOST"),
            ("/v2/cdp/no%20such", evil_origin, 403, "BAD_ORIGIN"),
            ("/v2/cdp/no%20such", {}, 400, "INVALID_DEVICE_ID"),
            ("/v2/cdp/any", {"Authorization": good}, 400, "INVALID_DEVICE_ID"),
            ("/nowhere", {}, 401, "UNAUTHENTICATED"),
            ("/nowhere", {"Authorization": good}, 404, "NO_SUCH_ENDPOINT"),
            (LAPTOP, {}, 401, "UNAUTHENTICATED"),
            (LAPTOP, {"Authorization": expired}, 401, "TOKEN_EXPIRED"),
            ("/v2/cdp/phone", {"Authorization": good}, 403, "FORBIDDEN"),
            (LAPTOP, {"Authorization": good}, 404, "DEVICE_NOT_FOUND"),
        ):
            refused = await refusal(world, path.replace(" ", "%20"), **headers)
            assert (refused.status, refused.body.partition(":")[0]) == (status, code), path

    play(tmp_path, scenario)


def test_a_device_that_is_known_and_away_is_a_503(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.epochs.newest["laptop"] = 3
        refused = await refusal(world, **world.bearer("cdp:laptop:full"))
        assert (refused.status, refused.body.partition(":")[0]) == (503, "DEVICE_OFFLINE")

    play(tmp_path, scenario)


@pytest.mark.parametrize("missing", ["router", "registry"])
def test_without_router_or_registry_a_channel_is_a_503_and_not_a_wait(tmp_path: Path, missing: str) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        if missing == "router":
            await world.router.stop()
            await until(lambda: not world.edge.parts.trunks.live(), "the trunk is down")
        else:
            world.epochs.broken = True
            world.epochs.newest.clear()
            await world.registry.Release(registry_pb2.ReleaseRequest(device_id="laptop", epoch=1))
        async with asyncio.timeout(3):
            refused = await refusal(world, **world.bearer("cdp:laptop:full"))
        assert (refused.status, refused.body.partition(":")[0]) == (503, "SERVICE_UNAVAILABLE")
        await echo.leave()

    play(tmp_path, scenario)


def test_a_device_that_has_not_said_hello_yet_is_asked_again_until_it_has(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        opening = asyncio.create_task(world.client())
        await until(lambda: world.edge.parts.clients.channels == 1, "the channel is being opened")
        echo = EchoDevice(device, [await device.link()])
        echo.say_hello()
        client = await opening
        assert (await client.call(1, "Fake.say"))["result"]["method"] == "Fake.say"
        await echo.leave()

    play(tmp_path, scenario)


def test_an_edge_that_no_longer_has_the_device_is_not_asked_for_ever(tmp_path: Path) -> None:
    """The registry names an edge; that one says DEVICE_NOT_HERE; meanwhile the device registers on the second edge."""

    async def scenario(world: World) -> None:
        far = types_pb2.EdgeRun(edge_id="far", boot=4711)
        identity = types_pb2.DeviceIdentity(device_id="laptop", instance_id="instance-1", boot_id="boot-0")
        await world.registry.Register(registry_pb2.RegisterRequest(identity=identity, edge=far, connection_id="c"))
        async with raw_trunk(world.router.address, far) as trunk:
            opening = asyncio.create_task(world.client())
            asked = await trunk.receive_kind(Kind.OPEN)
            body = payloads.Ending(payloads.decode_open(asked.payload).claim, DEVICE_NOT_HERE, "not here")
            refused = Frame(
                Kind.REFUSED, edge=asked.source, channel=asked.channel, payload=payloads.encode_ending(body)
            )
            await trunk.send(refused)
            echo = await EchoDevice.start(world, edge=world.edges[1])
            client = await opening
            assert (await client.call(1, "Fake.say"))["result"]["device"] == "laptop"
            await echo.leave()

    play(tmp_path, scenario, edges=2)


def test_a_client_that_leaves_while_its_channel_opens_leaves_none_behind(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await DeviceClient.registered(world)
        opening = asyncio.create_task(world.client())
        await until(lambda: world.edge.parts.clients.channels == 1, "the channel is being opened")
        opening.cancel()
        await asyncio.wait([opening])
        await until(lambda: world.edge.parts.clients.channels == 0, "the channel is forgotten")

    play(tmp_path, scenario)


def test_an_upgrade_that_turns_out_invalid_leaves_no_channel_behind(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with raw_connection(world.edge.address) as peer:
            authorization = world.bearer("cdp:laptop:full")["Authorization"]
            head = upgrade_lines(world.edge.address, LAPTOP, Authorization=authorization, Sec_WebSocket_Version="12")
            peer.writer.write(head)
            assert "400" in (await peer.read_head())[0]
        assert world.edge.parts.clients.channels == 0
        await until(lambda: not echo.open, "the device lets its channel go")
        await echo.leave()

    play(tmp_path, scenario)


# --- a channel ------------------------------------------------------------------------------------------------


def test_two_clients_with_the_same_ids_get_their_own_answers_in_order_and_all_events(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world, edge=world.edges[1], pool=2)
        clients = [await world.client(edge=edge) for edge in world.edges]
        for number in range(1, 101):
            for name, client in enumerate(clients):
                client.send_json({"id": number, "method": "Fake.say", "params": {"client": name}})
        for name, client in enumerate(clients):
            answers = [await client.receive_json() for _ in range(100)]
            assert [answer["id"] for answer in answers] == list(range(1, 101))
            assert {answer["result"]["params"]["client"] for answer in answers} == {name}
        echo.event("Fake.happened")
        assert [(await client.receive_json())["method"] for client in clients] == ["Fake.happened"] * 2
        assert await clients[0].close() == Closed(1000, "")
        assert (await clients[1].call(7, "Fake.say"))["id"] == 7
        await until(lambda: len(echo.open) == 1, "the first channel is closed at the device")
        await echo.leave()

    play(tmp_path, scenario, edges=2)


def test_commands_behind_the_upgrade_run_in_order(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with raw_connection(world.edge.address) as peer:
            await upgraded(peer, world, b"".join(raw_frame(TEXT, command(n), masked=True) for n in range(1, 6)))
            for number in range(1, 6):
                assert json.loads((await peer.receive()).payload)["id"] == number
        await echo.leave()

    play(tmp_path, scenario)


def test_what_the_device_says_before_the_101_is_heard_after_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        echo.greeting = {"method": "Fake.greeted", "params": {}}
        client = await world.client()
        assert (await client.receive_json())["method"] == "Fake.greeted"
        await echo.leave()

    play(tmp_path, scenario)


@pytest.mark.parametrize("early", [True, False], ids=["with the upgrade", "later"])
def test_a_binary_message_closes_the_channel(tmp_path: Path, early: bool) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with raw_connection(world.edge.address) as peer:
            await upgraded(peer, world, raw_frame(BINARY, command(1), masked=True) if early else b"")
            if not early:
                peer.send(BINARY, command(1))
            code, reason = await peer.receive_close()
            assert (code, reason[:11]) == (4502, "BAD_MESSAGE")
        await until(lambda: world.edge.parts.clients.channels == 0, "the channel is gone")
        assert echo.executed == []
        await echo.leave()

    play(tmp_path, scenario)


@pytest.mark.parametrize("early", [True, False], ids=["with the upgrade", "later"])
def test_browser_close_is_answered_and_ends_only_the_callers_channel(tmp_path: Path, early: bool) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        other = await world.client()
        async with raw_connection(world.edge.address) as peer:
            frame = raw_frame(TEXT, command(5, "Browser.close"), masked=True)
            await upgraded(peer, world, frame if early else b"")
            if not early:
                peer.writer.write(frame)
            assert json.loads((await peer.receive()).payload) == {"id": 5, "result": {}}
            assert await peer.receive_close() == (1000, "")
        assert (await other.call(1, "Fake.say"))["id"] == 1
        assert "Browser.close" not in echo.executed
        await echo.leave()

    play(tmp_path, scenario)


def test_commands_that_cannot_be_read_are_answered_here_and_the_channel_lives(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await world.client()
        client.send_text("nonsense")
        assert (await client.receive_json())["error"]["code"] == -32700
        client.send_text('{"id": 2147483648, "method": "Fake.say"}')
        assert (await client.receive_json())["error"]["code"] == -32600
        client.send_json({"id": 3, "method": "Hold.answer", "params": {}})
        client.send_json({"id": 3, "method": "Fake.say", "params": {}})
        assert "already in flight" in (await client.receive_json())["error"]["message"]
        assert (await client.call(4, "Fake.say"))["id"] == 4
        assert echo.executed == ["Hold.answer", "Fake.say"]
        await echo.leave()

    play(tmp_path, scenario)


def test_a_message_above_the_edges_limit_closes_with_1009(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await world.client()
        assert (await client.call(1, "Fake.say", {"padding": "x" * 60_000}))["id"] == 1
        client.send_json({"id": 2, "method": "Fake.say", "params": {"padding": "x" * 70_000}})
        assert (await client.closed()).code == 1009
        await echo.leave()

    play(tmp_path, scenario, max_client_message_bytes=64 << 10)


# --- ends -----------------------------------------------------------------------------------------------------


def test_a_channel_that_the_browser_ends_is_ended_with_errors_then_the_close(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await world.client()
        client.send_json({"id": 1, "method": "Hold.answer", "params": {}})
        await until(lambda: echo.executed == ["Hold.answer"], "the command is executed")
        echo.refuse_all(DeviceGone("the browser closed the connection"))
        answer = await client.receive_json()
        assert answer["id"] == 1
        assert "executed=unknown" in answer["error"]["data"]
        closed = await client.closed()
        assert (closed.code, closed.reason) == (4001, "CHANNEL_GONE: the browser closed the connection")
        await echo.leave()

    play(tmp_path, scenario)


def test_a_device_that_stays_away_longer_than_the_window_is_lost(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await world.client()
        client.send_json({"id": 1, "method": "Hold.answer", "params": {}})
        await until(lambda: echo.executed == ["Hold.answer"], "the command is executed")
        await echo.leave()
        answer = await client.receive_json()
        assert "reason=DEVICE_LOST executed=unknown" in answer["error"]["data"]
        assert (await client.closed()).code == 4001

    play(tmp_path, scenario, resume_window_s=0.3)


def test_a_device_that_restarts_meanwhile_is_said_to_have(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await world.client()
        assert (await client.call(1, "Fake.say"))["id"] == 1
        await echo.leave()
        again = await EchoDevice.start(world, registration(boot="boot-2"))
        closed = await client.closed()
        assert (closed.code, closed.reason.partition(":")[0]) == (4001, "DEVICE_RESTARTED")
        fresh = await world.client()
        assert (await fresh.call(1, "Fake.say"))["id"] == 1
        await again.leave()

    play(tmp_path, scenario)


def test_a_token_that_expires_ends_the_channel_with_4006(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await dial_socket(world.edge.address, LAPTOP, headers=world.bearer("cdp:laptop:full", ttl_s=2))
        client.send_json({"id": 1, "method": "Hold.answer", "params": {}})
        answer = await client.receive_json()
        assert "reason=TOKEN_EXPIRED" in answer["error"]["data"]
        assert (await client.closed()).code == 4006
        await until(lambda: not echo.open, "the device lets its channel go")
        await echo.leave()

    play(tmp_path, scenario)


def test_a_client_that_vanishes_frees_its_channel_at_the_device(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await world.client()
        client.connection.abort()
        await until(lambda: not echo.open, "the device lets its channel go")
        assert world.edge.parts.gate.counts()["cdp"] == 0
        await echo.leave()

    play(tmp_path, scenario)


def test_a_slow_client_holds_back_its_own_device_channel_and_no_other(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        slow, quick = await world.client(), await world.client()
        slow.connection.pause_reading()
        for number in range(300):
            echo.event("Fake.flooded", {"n": number, "filler": "x" * 100_000})
        flood = [await quick.receive_json() for _ in range(300)]
        assert [message["params"]["n"] for message in flood] == list(range(300))
        assert (await quick.call(1, "Fake.say"))["id"] == 1
        slow.connection.resume_reading()
        flood = [await slow.receive_json() for _ in range(300)]
        assert [message["params"]["n"] for message in flood] == list(range(300))
        await echo.leave()

    play(tmp_path, scenario)


def test_a_large_message_is_one_frame_as_chrome_writes_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with raw_connection(world.edge.address) as peer:
            await upgraded(peer, world, raw_frame(TEXT, command(1), masked=True))
            assert json.loads((await peer.receive()).payload)["id"] == 1
            for filler in ("x" * 5_000_000, "y"):
                echo.event("Fake.large", {"filler": filler})
            for filler in ("x" * 5_000_000, "y"):
                found = await peer.receive()
                assert (found.opcode, found.fin) == (TEXT, True)
                assert json.loads(found.payload) == {"method": "Fake.large", "params": {"filler": filler}}
        await echo.leave()

    play(tmp_path, scenario)
