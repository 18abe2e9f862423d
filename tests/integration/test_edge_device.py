"""/v2/device of a real edge with a real registry: from welcome to goodbye, and everything that is not allowed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from browsergo.core import device_messages as messages
from browsergo.core.errors import HandshakeRefused
from edge import device_socket
from tests.fakes.device_client import DeviceClient, lease, registration, told, until_released
from tests.fakes.edge_world import World, play, until
from tests.fakes.websocket_client import Closed, Message, dial_socket

# --- registration ---------------------------------------------------------------------------------------------


def test_the_edge_speaks_first_and_acknowledges_with_all_that_a_link_needs(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.connect(world)
        assert device.control.connection.subprotocol == messages.SUBPROTOCOL
        assert device.welcome["type"] == "device:welcome"
        welcome = messages.read_welcome(device.welcome["data"])
        assert (welcome.heartbeat_interval_ms, len(welcome.nonce)) == (20_000, 32)
        device.say(messages.REGISTER, messages.register_body(device.who), message_id="r-1")
        answer = await device.control.receive_json()
        assert (answer["type"], answer["id"]) == ("device:register:ack", "r-1")
        ack = messages.read_acknowledgement(answer["data"])
        assert (ack.device_id, ack.state, ack.epoch, ack.link_url) == ("laptop", "REGISTERED", 1, "/v2/cdp/laptop")
        assert (ack.link_pool, ack.resume_window_ms, ack.heartbeat_interval_ms) == (2, 30_000, 20_000)
        assert len(ack.link_ticket) >= 32
        found = await lease(world)
        assert found is not None
        assert found.connection_id == welcome.connection_id
        assert found.identity.labels == {"room": "7"}

    play(tmp_path, scenario)


def test_two_devices_get_welcomes_and_tickets_of_their_own(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        one = await DeviceClient.registered(world, registration("one"))
        two = await DeviceClient.registered(world, registration("two"))
        assert one.welcome["data"]["nonce"] != two.welcome["data"]["nonce"]
        assert one.ack.link_ticket != two.ack.link_ticket

    play(tmp_path, scenario)


def test_who_does_not_register_in_time_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_socket, "REGISTER_WITHIN_S", 0.05)

    async def scenario(world: World) -> None:
        device = await DeviceClient.connect(world)
        code, closed = await told(device)
        assert (code, closed.code) == ("DEADLINE", 1013)

    play(tmp_path, scenario)


def test_who_registered_in_time_may_wait_for_a_slow_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_socket, "REGISTER_WITHIN_S", 0.1)

    async def scenario(world: World) -> None:
        world.epochs.open.clear()
        device = await DeviceClient.connect(world)
        registering = asyncio.create_task(device.register())
        await world.epochs.arrived.wait()
        await asyncio.sleep(0.15)
        world.epochs.open.set()
        assert (await registering).epoch == 1

    play(tmp_path, scenario)


def register_with(**changes: Any) -> Message:
    return {"type": messages.REGISTER, "data": messages.register_body(registration()) | changes}


@pytest.mark.parametrize(
    ("sent", "code", "close_code"),
    [
        ("nonsense", "BAD_MESSAGE", 4502),
        ("[]", "BAD_MESSAGE", 4502),
        ('{"type":7}', "BAD_MESSAGE", 4502),
        (json.dumps({"type": messages.HEARTBEAT}), "BAD_MESSAGE", 4502),
        (json.dumps({"type": "device:unknown"}), "BAD_MESSAGE", 4502),
        (json.dumps(register_with(instanceId=7)), "BAD_MESSAGE", 4502),
        (json.dumps(register_with(deviceInfo={"deviceId": "no such"})), "INVALID_DEVICE_ID", 4502),
        (json.dumps(register_with(deviceInfo={"deviceId": "any"})), "INVALID_DEVICE_ID", 4502),
        (json.dumps(register_with(bootId="")), "INVALID_ARGUMENT", 4502),
        (json.dumps(register_with(instanceId="\ud800")), "BAD_MESSAGE", 4502),
        (json.dumps(register_with(padding="x" * 8192)), "MESSAGE_TOO_BIG", 1009),
        ("[" * 8192, "BAD_MESSAGE", 4502),
    ],
    ids=range(12),
)
def test_what_comes_instead_of_a_registration_is_refused(tmp_path: Path, sent: str, code: str, close_code: int) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.connect(world)
        device.control.send_text(sent)
        error, closed = await told(device)
        assert (error, closed.code) == (code, close_code)
        assert closed.reason.startswith(code)
        assert await lease(world) is None

    play(tmp_path, scenario)


def test_a_binary_message_is_refused(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.connect(world)
        device.control.connection.send_binary(b"{}")
        assert (await told(device))[1].code == 4502

    play(tmp_path, scenario)


def test_a_token_for_one_device_registers_no_other(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.connect(world, scope="device:phone")
        device.say(messages.REGISTER, messages.register_body(registration("laptop")))
        error, closed = await told(device)
        assert (error, closed.code) == ("FORBIDDEN", 4501)
        assert await lease(world) is None

    play(tmp_path, scenario)


@pytest.mark.parametrize(("scope", "status"), [("cdp:laptop:full", 403), ("control:write", 403), (None, 401)])
def test_without_a_device_scope_there_is_no_welcome(tmp_path: Path, scope: str | None, status: int) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(HandshakeRefused) as refused:
            await dial_socket(world.edge.address, "/v2/device", headers=world.bearer(scope) if scope else {})
        assert refused.value.status == status

    play(tmp_path, scenario)


def test_a_second_registration_on_the_same_connection_ends_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        device.say(messages.REGISTER, messages.register_body(device.who))
        assert (await told(device))[0] == "BAD_MESSAGE"
        await until_released(world)

    play(tmp_path, scenario)


def test_two_registrations_in_one_segment_end_it_and_leave_no_lease(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.connect(world)
        for _ in range(2):
            device.say(messages.REGISTER, messages.register_body(device.who))
        assert (await told(device))[0] == "BAD_MESSAGE"
        await until(lambda: world.epochs.newest == {"laptop": 1}, "the first of them reaches the registry")
        await until_released(world)
        assert len(world.edge.parts.devices) == 0

    play(tmp_path, scenario)


def test_a_device_that_leaves_while_it_registers_leaves_no_lease(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.epochs.open.clear()
        device = await DeviceClient.connect(world)
        device.say(messages.REGISTER, messages.register_body(device.who))
        await world.epochs.arrived.wait()
        await device.control.close()
        world.epochs.open.set()
        await until(lambda: world.epochs.newest == {"laptop": 1}, "the registry gives an epoch")
        await until_released(world)

    play(tmp_path, scenario)


def test_a_registry_that_fails_is_told_and_the_device_may_try_again(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.epochs.broken = True
        device = await DeviceClient.connect(world)
        device.say(messages.REGISTER, messages.register_body(device.who))
        error, closed = await told(device)
        assert (error, closed.code) == ("SERVICE_UNAVAILABLE", 1013)
        world.epochs.broken = False
        assert (await DeviceClient.registered(world)).ack.epoch == 1

    play(tmp_path, scenario)


# --- life -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message_id", [None, "beat-1", 17])
def test_a_heartbeat_is_answered_under_its_id(tmp_path: Path, message_id: str | int | None) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        device.say(messages.HEARTBEAT, {"deviceId": "laptop"}, message_id)
        answer = await device.control.receive_json()
        assert answer["type"] == "device:heartbeat:ack"
        assert answer.get("id") == message_id
        assert (answer["data"]["deviceId"], answer["data"]["status"]) == ("laptop", "ok")
        assert abs(answer["data"]["serverTime"] - answer["timestamp"]) < 1000

    play(tmp_path, scenario)


def test_after_registration_larger_messages_pass_and_unknown_ones_end_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        device.say(messages.HEARTBEAT, {"padding": "x" * 20_000})
        assert (await device.control.receive_json())["type"] == "device:heartbeat:ack"
        device.say("device:unknown")
        assert (await told(device))[0] == "BAD_MESSAGE"
        await until_released(world)

    play(tmp_path, scenario)


def test_no_message_of_a_device_may_be_huge(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        for device in (await DeviceClient.connect(world), await DeviceClient.registered(world)):
            device.say(messages.HEARTBEAT, {"padding": "x" * (2 << 20)})
            assert (await device.control.closed()).code == 1009

    play(tmp_path, scenario)


def test_a_goodbye_gives_the_lease_back_and_closes_as_the_original_does(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        device.say(messages.DISCONNECT, {"reason": "bye"})
        assert await device.control.closed() == Closed(1000, "Device disconnect requested")
        assert [type(left) for left in device.control.pending()] == [Closed]  # and no error before it
        assert (await link.socket.closed()).code == 4001
        await until_released(world)
        with pytest.raises(HandshakeRefused) as refused:
            await world.client()
        assert (refused.value.status, refused.value.body[:14]) == (503, "DEVICE_OFFLINE")

    play(tmp_path, scenario)


def test_a_goodbye_before_registration_is_just_wrong(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device = await DeviceClient.connect(world)
        device.say(messages.DISCONNECT)
        assert (await told(device))[0] == "BAD_MESSAGE"

    play(tmp_path, scenario)


def test_a_silent_device_is_lost_and_its_lease_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_socket, "LOST_AFTER_INTERVALS", 0.1)

    async def scenario(world: World) -> None:
        device = await DeviceClient.registered(world)
        error, closed = await told(device)
        assert (error, closed.code) == ("DEVICE_LOST", 4001)
        assert "silent" in closed.reason
        await until_released(world)

    play(tmp_path, scenario, heartbeat_interval_s=1.0)


def test_any_byte_on_any_of_its_connections_is_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_socket, "LOST_AFTER_INTERVALS", 0.3)

    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        for _ in range(8):
            await asyncio.sleep(0.1)
            link.hello()
        assert device.control.connection.is_open
        assert (await told(device))[0] == "DEVICE_LOST"

    play(tmp_path, scenario, heartbeat_interval_s=1.0)


def test_a_lost_control_connection_ends_the_registration(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        device, link = await DeviceClient.active(world)
        device.control.connection.abort()
        assert (await link.socket.closed()).code == 4001
        await until_released(world)

    play(tmp_path, scenario)
