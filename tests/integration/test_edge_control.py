"""/v2/control of a real edge over a control service that answers as told."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from browsergo.chassis import websocket
from browsergo.core.errors import DeviceNotFound, HandshakeRefused, ServiceUnavailable
from browsergo.v2 import router_pb2, types_pb2
from edge import control_socket
from edge.upgrade import Upgrade
from tests.fakes.devices import EDGE_1, identity
from tests.fakes.edge_world import World, play, until
from tests.fakes.raw_peer import TEXT, raw_connection, upgrade_lines
from tests.fakes.websocket_client import Message, Socket, dial_socket


def asked(name: str, params: Message | None = None, message_id: Any = "ask") -> Message:
    message: Message = {"type": "control:command", "data": {"command": name, "params": params or {}}}
    return message if message_id is None else message | {"id": message_id}


async def answer(operator: Socket, message: Message) -> Message:
    operator.send_json(message)
    return await operator.receive_json()


def test_the_status_comes_first_and_again_when_asked(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        operator = await dial_socket(
            world.edge.address,
            "/v2/control",
            headers=world.bearer("control:read"),
            subprotocols=["browsergo.control.v2", "bearer.ignored"],
        )
        assert operator.connection.subprotocol == "browsergo.control.v2"
        first = await operator.receive_json()
        assert (first["type"], "id" in first) == ("control:status", False)
        status = first["data"]
        assert (status["status"], status["version"], status["uptime"]) == ("ok", "9.9.9", 1.5)
        assert set(status["connections"]) == {"total", "active", "errors"}
        assert set(status["resources"]) == {"memoryUsage", "queueSize", "connectionPoolSize"}
        assert status["parts"] == [{"name": "registry", "healthy": True, "detail": ""}]
        assert abs(status["timestamp"] - time.time() * 1000) < 10_000
        again = await answer(operator, {"type": "control:status", "id": "s"})
        assert (again["type"], again["id"]) == ("control:status", "s")

    play(tmp_path, scenario)


def test_the_status_says_how_loaded_each_edge_is(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.control.edges = [
            router_pb2.EdgeDescription(
                edge=EDGE_1, overload="refusing", memory_bytes=850, memory_limit_bytes=1000, loop_lag_ms=7
            )
        ]
        operator = await world.operator()
        status = (await answer(operator, {"type": "control:status"}))["data"]
        load = {"overload": "refusing", "memoryUsage": 850, "memoryLimit": 1000, "loopLagMs": 7}
        assert status["edges"] == [{"edgeId": EDGE_1.edge_id} | load]

    play(tmp_path, scenario)


def test_devices_are_listed_with_all_that_the_registry_knows(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.control.devices = [
            types_pb2.Device(
                identity=identity("laptop"),
                connection_id="c-1",
                state=types_pb2.DEVICE_STATE_ACTIVE,
                edge=EDGE_1,
                epoch=7,
                registered_unix_ms=1_700_000_000_000,
                last_seen_unix_ms=1_700_000_001_000,
            )
        ]
        operator = await world.operator()
        listed = await answer(operator, asked("listDevices"))
        assert (listed["type"], listed["id"], listed["data"]["success"]) == ("control:command", "ask", True)
        [device] = listed["data"]["result"]
        assert (device["deviceId"], device["state"], device["epoch"], device["edge"]) == (
            "laptop",
            "ACTIVE",
            7,
            EDGE_1.edge_id,
        )
        assert (device["registeredAt"], device["lastSeen"]) == (1_700_000_000_000, 1_700_000_001_000)
        assert device["deviceInfo"]["capabilities"]["browserName"] == "Chromium"

    play(tmp_path, scenario)


def test_disconnecting_needs_the_right_to_write_and_names_who_asks(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        reader = await world.operator("control:read")
        refused = await answer(reader, asked("disconnectDevice", {"deviceId": "laptop"}))
        assert (refused["type"], refused["id"], refused["data"]["error"]) == ("error", "ask", "FORBIDDEN")
        assert world.control.disconnected == []
        writer = await world.operator("control:read", "control:write")
        done = await answer(writer, asked("disconnectDevice", {"deviceId": "laptop", "reason": "x" * 500}))
        assert done["data"]["result"] == {"deviceId": "laptop", "wasConnected": True}
        [request] = world.control.disconnected
        assert (request.device_id, request.reason, request.actor) == ("laptop", "x" * 200, "test")

    play(tmp_path, scenario)


@pytest.mark.parametrize("message_id", ["a-1", 7, 0, None])
def test_ids_are_echoed_as_they_came_also_in_errors(tmp_path: Path, message_id: Any) -> None:
    async def scenario(world: World) -> None:
        operator = await world.operator()
        for name in ("listDevices", "noSuchCommand"):
            found = await answer(operator, asked(name, message_id=message_id))
            assert found.get("id") == message_id
            assert type(found.get("id")) is type(message_id)

    play(tmp_path, scenario)


BROKEN: list[tuple[str, str]] = [
    ("nonsense", "BAD_MESSAGE"),
    ("", "BAD_MESSAGE"),
    ("[]", "BAD_MESSAGE"),
    ("[" * 50_000, "BAD_MESSAGE"),
    ('{"type":"control:unknown"}', "BAD_MESSAGE"),
    ('{"type":"device:register"}', "BAD_MESSAGE"),
    ('{"type":"control:command"}', "BAD_MESSAGE"),
    ('{"type":"control:command","data":{"command":7}}', "BAD_MESSAGE"),
    ('{"type":"control:command","data":{"command":"drop"}}', "INVALID_ARGUMENT"),
    ('{"type":"control:command","data":{"command":"disconnectDevice"}}', "INVALID_DEVICE_ID"),
    ('{"type":"control:command","data":{"command":"disconnectDevice","params":{"deviceId":"\\ud800"}}}',
     "INVALID_DEVICE_ID"),
]  # fmt: skip


def test_what_cannot_be_read_is_answered_with_an_error_and_the_operator_stays(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        operator = await world.operator("control:read", "control:write")
        for sent, code in BROKEN:
            operator.send_text(sent)
            found = await operator.receive_json()
            assert (found["type"], found["data"]["error"]) == ("error", code), sent[:80]
        operator.connection.send_binary(json.dumps(asked("listDevices")).encode())
        assert (await operator.receive_json())["data"]["error"] == "BAD_MESSAGE"
        assert (await answer(operator, asked("listDevices")))["data"]["success"]

    play(tmp_path, scenario)


@pytest.mark.parametrize("reason", ["\ud800", 7, None, {"a": 1}, "größer"])
def test_a_reason_of_any_kind_is_passed_on_as_text(tmp_path: Path, reason: Any) -> None:
    async def scenario(world: World) -> None:
        operator = await world.operator("control:read", "control:write")
        done = await answer(operator, asked("disconnectDevice", {"deviceId": "laptop", "reason": reason}))
        assert done["data"]["success"], done
        assert len(world.control.disconnected) == 1

    play(tmp_path, scenario)


def test_what_control_says_or_that_it_is_away_is_told_and_the_operator_stays(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        operator = await world.operator("control:read", "control:write")
        for failure in (
            DeviceNotFound("no device laptop has ever connected here"),
            ServiceUnavailable("the disk is full"),
        ):
            world.control.failure = failure
            found = await answer(operator, asked("disconnectDevice", {"deviceId": "laptop"}))
            assert found["data"] == {"error": failure.code, "message": failure.message}
        world.control.failure = None
        assert (await answer(operator, asked("listDevices")))["data"]["success"]

    play(tmp_path, scenario)


def test_requests_are_answered_in_order_and_too_many_end_the_connection(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        operator = await world.operator()
        for number in range(control_socket.MAX_WAITING):
            operator.send_json(asked("listDevices", message_id=number))
        assert [(await operator.receive_json())["id"] for _ in range(control_socket.MAX_WAITING)] == list(
            range(control_socket.MAX_WAITING)
        )
        for number in range(10 * control_socket.MAX_WAITING):
            operator.send_json(asked("listDevices", message_id=number))
        closed = await operator.closed()
        assert (closed.code, closed.reason.partition(":")[0]) == (4005, "OVERLOADED")

    play(tmp_path, scenario)


def test_a_huge_request_closes_with_1009(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        operator = await world.operator()
        operator.send_json(asked("x" * (2 << 20)))
        assert (await operator.closed()).code == 1009

    play(tmp_path, scenario)


def test_after_its_token_expired_an_operator_gets_nothing_more(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        operator = await dial_socket(world.edge.address, "/v2/control", headers=world.bearer("control:read", ttl_s=2))
        await operator.receive_json()
        await asyncio.sleep(2.05)
        operator.send_json(asked("listDevices"))
        closed = await operator.closed()
        assert (closed.code, len(operator.pending())) == (4006, 1)

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        (None, "/v2/control", 401),
        ("cdp:*:full", "/v2/control", 403),
        ("control:write", "/v2/control", 403),
        ("control:read", "/v2/control/x", 404),
        ("control:read", "/v2/control/", 101),
    ],
)
def test_who_gets_in(tmp_path: Path, scope: str | None, path: str, status: int) -> None:
    async def scenario(world: World) -> None:
        headers = world.bearer(scope) if scope else {}
        if status == 101:
            await dial_socket(world.edge.address, path, headers=headers)
            return
        with pytest.raises(HandshakeRefused) as refused:
            await dial_socket(world.edge.address, path, headers=headers)
        assert refused.value.status == status

    play(tmp_path, scenario)


def test_a_token_in_the_url_opens_no_control_socket(tmp_path: Path) -> None:
    """Only CDP clients can give nothing but a URL; URLs end up in logs and histories."""

    async def scenario(world: World) -> None:
        token = world.token("control:read")
        for place in ("token", "ticket"):
            with pytest.raises(HandshakeRefused) as refused:
                await dial_socket(world.edge.address, f"/v2/control?{place}={token}")
            assert refused.value.status == 401
        await dial_socket(world.edge.address, "/v2/control", subprotocols=[f"bearer.{token}"])

    play(tmp_path, scenario)


def test_an_operator_that_leaves_is_no_longer_counted(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        operator = await world.operator()
        assert world.edge.parts.gate.counts()["control"] == 1
        operator.connection.abort()
        await until(lambda: world.edge.parts.gate.counts()["control"] == 0, "it is gone")

    play(tmp_path, scenario)


def test_an_operator_that_takes_no_answers_is_asked_no_more(tmp_path: Path) -> None:
    """What it has asked waits; the edge keeps two or three answers, whatever their size."""

    async def scenario(world: World) -> None:
        world.control.devices = [types_pb2.Device(identity=identity("d" * 128)) for _ in range(1500)]
        requests = 16
        async with raw_connection(world.edge.address) as peer:
            authorization = world.bearer("control:read")["Authorization"]
            peer.writer.write(upgrade_lines(world.edge.address, "/v2/control", Authorization=authorization))
            assert "101" in (await peer.read_head())[0]
            open_now: list[object] = list(world.edge.parts.server.server_state.connections)
            [upgrade] = [found for found in open_now if isinstance(found, Upgrade)]
            for _ in range(requests):
                peer.send(TEXT, json.dumps(asked("listDevices")).encode())
            unsent = 0
            while unsent < 1 << 20 or unsent != upgrade.unsent_bytes:  # until it grows no more
                unsent = upgrade.unsent_bytes
                await asyncio.sleep(0.1)
            sizes = [len((await peer.receive()).payload) for _ in range(1 + requests)]
            assert unsent < websocket.WRITE_HIGH_BYTES + 2 * max(sizes)

    play(tmp_path, scenario)
