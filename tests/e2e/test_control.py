"""/v2/control, as an operator's program meets it."""

import time
from typing import Any

import pytest
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed

from browsergo.core import tokens
from tests.e2e import faults
from tests.e2e.raw_cdp import RawClient
from tests.e2e.raw_control import RawOperator
from tests.e2e.steady_client import SteadyClient, evaluating
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

CONTROL_PROTOCOL = "browsergo.control.v2"
OVERLOADED = 4005
PAUSE_S = 5.0


def operator(stack: Stack, role: str = "control") -> RawOperator:
    """An operator with one of the stack's tokens."""
    return RawOperator.with_token(stack.urls.control_ws, stack.urls.tokens[role])


def check_status(message: dict[str, Any]) -> None:
    """A control:status of a healthy stack with one browser."""
    assert message["type"] == "control:status"
    status = message["data"]
    assert status["status"] == "ok"
    assert abs(status["timestamp"] - time.time() * 1000) < 60_000
    assert status["version"]
    assert 0 < status["uptime"] < 3600
    assert status["connections"]["total"] >= 1
    assert status["connections"]["active"] >= 0
    assert 10 << 20 < status["resources"]["memoryUsage"] < 4 << 30
    assert status["resources"]["queueSize"] >= 0
    assert status["commands"]["pending"] >= 0
    assert status["resources"]["connectionPoolSize"] == 1
    assert status["devices"] == {"total": 1, "active": 1}
    parts = {part["name"]: part for part in status["parts"]}
    assert {"registry", "edge edge-1", "edge edge-2"} <= set(parts)
    for edge in status["edges"]:
        assert edge["overload"] == "ok", edge
        assert 10 << 20 < edge["memoryUsage"] < edge["memoryLimit"]
    assert {edge["edgeId"] for edge in status["edges"]} == {"edge-1", "edge-2"}
    assert all(part["healthy"] and not part["detail"] for part in parts.values())
    assert status["insecureNoAuth"] is False


@pytest.mark.parametrize("role", ["control", "admin"])
def test_status_comes_first_and_unasked(relay: Stack, role: str) -> None:
    with operator(relay, role) as asking:
        check_status(asking.receive())


def test_a_browser_shows_its_token_as_a_subprotocol_that_is_not_echoed(relay: Stack) -> None:
    offered = [Subprotocol(CONTROL_PROTOCOL), Subprotocol(f"bearer.{relay.urls.tokens['control']}")]
    with RawOperator(relay.urls.control_ws, subprotocols=offered) as asking:
        assert asking.socket.subprotocol == CONTROL_PROTOCOL
        check_status(asking.receive())


def test_status_is_told_again_when_asked_with_the_id_echoed(relay: Stack) -> None:
    with operator(relay) as asking:
        assert "id" not in asking.receive()
        asking.send("control:status", message_id="again")
        answer = asking.receive()
        assert answer["id"] == "again"
        check_status(answer)


def test_open_channels_are_counted(relay: Stack) -> None:
    with operator(relay) as asking:
        before = asking.receive()["data"]["connections"]
        with RawClient(relay.urls.client_ws) as client:
            client.call("Browser.getVersion")
            asking.send("control:status")
            during = asking.receive()["data"]["connections"]
    assert during["active"] == before["active"] + 1
    assert during["total"] == before["total"] + 1


def test_commands_that_wait_for_an_answer_are_counted(relay: Stack) -> None:
    with operator(relay) as asking, RawClient(relay.urls.client_ws) as client:
        session = client.open_page()
        before = asking.receive()["data"]["commands"]["pending"]
        client.send(100, "Runtime.evaluate", {"expression": "new Promise(() => 0)", "awaitPromise": True}, session)
        assert client.evaluate("1", session) == 1  # so that the one before it has arrived, too
        asking.send("control:status")
        assert asking.receive()["data"]["commands"]["pending"] == before + 1


def test_devices_are_listed_with_who_and_where_they_are(relay: Stack) -> None:
    with operator(relay) as asking:
        devices = asking.devices()
    assert set(devices) == {"local"}
    local = devices["local"]
    assert local["state"] == "ACTIVE"
    assert local["edge"] in {"edge-1", "edge-2"}
    assert local["epoch"] >= 1
    assert 0 < local["registeredAt"] <= local["lastSeen"] <= (time.time() + 5) * 1000
    assert local["deviceInfo"]["capabilities"]["browserName"]
    assert local["deviceInfo"]["bootId"] != local["deviceInfo"]["instanceId"]


def test_a_disconnected_device_comes_back_under_a_higher_epoch_and_its_client_sees_a_pause(fresh_relay: Stack) -> None:
    before = faults.wait_whole(fresh_relay)
    with SteadyClient(fresh_relay.urls.client_ws, evaluating()) as client, operator(fresh_relay) as asking:
        client.more(60)
        began_s = time.monotonic()
        answer = asking.command("disconnectDevice", {"deviceId": "local", "reason": "for a test"})
        assert answer["type"] == "control:command"
        result = {"deviceId": "local", "wasConnected": True}
        assert answer["data"] == {"command": "disconnectDevice", "success": True, "result": result}
        client.more(100)
        print(f"disconnected device: a pause of {client.longest_pause_s(began_s) * 1000:.0f} ms")
        assert client.longest_pause_s(began_s) < PAUSE_S
        after = asking.devices()["local"]
        client.finish(lambda raw, session: raw.evaluate("executed", session))
    client.check_complete()
    assert client.last_word == list(range(1, client.sent + 1))
    assert after["epoch"] > before["epoch"]
    assert after["deviceInfo"]["bootId"] == before["deviceInfo"]["bootId"]
    logs = fresh_relay.logs()
    assert "for a test" in logs["control.log"], "who asked for what is on record"


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("control:command", {"command": "disconnectDevice", "params": {"deviceId": "nobody"}}, "DEVICE_NOT_FOUND"),
    ("control:command", {"command": "disconnectDevice", "params": {"deviceId": "no such id"}}, "INVALID_DEVICE_ID"),
    ("control:command", {"command": "disconnectDevice"}, "INVALID_DEVICE_ID"),
    ("control:command", {"command": "makeCoffee"}, "INVALID_ARGUMENT"),
    ("control:command", {"command": "listDevices", "params": []}, "BAD_MESSAGE"),
    ("control:command", {}, "BAD_MESSAGE"),
    ("device:register", {}, "BAD_MESSAGE"),
]


@pytest.mark.parametrize(("kind", "body", "code"), REFUSALS)
def test_what_cannot_be_done_is_answered_with_its_id_and_the_socket_lives_on(
    relay: Stack, kind: str, body: dict[str, Any], code: str
) -> None:
    with operator(relay) as asking:
        asking.receive()
        asking.send(kind, body, "odd one")
        answer = asking.receive()
        assert (answer["type"], answer["id"], answer["data"]["error"]) == ("error", "odd one", code)
        assert answer["data"]["message"]
        assert "local" in asking.devices()


@pytest.mark.parametrize("text", ["nonsense", "[]", '{"type": 5}', '{"type": "control:status", "data": 5}'])
def test_what_is_no_message_is_an_error_and_the_socket_lives_on(relay: Stack, text: str) -> None:
    with operator(relay) as asking:
        asking.receive()
        asking.socket.send(text)
        answer = asking.receive()
        assert (answer["type"], answer["data"]["error"]) == ("error", "BAD_MESSAGE")
        assert "local" in asking.devices()


def test_commands_are_answered_in_the_order_they_came(relay: Stack) -> None:
    with operator(relay) as asking:
        asking.receive()
        for number in range(20):
            asking.send("control:command", {"command": "listDevices", "params": {}}, str(number))
        assert [asking.receive()["id"] for _ in range(20)] == [str(number) for number in range(20)]


def test_an_operator_that_asks_without_end_is_let_go(relay: Stack) -> None:
    with operator(relay) as asking:
        for number in range(500):
            try:
                asking.send("control:status", message_id=str(number))
            except ConnectionClosed:
                break
        asking.receive_rest()
        assert asking.socket.close_code == OVERLOADED


def test_a_reader_may_look_but_not_touch(relay: Stack) -> None:
    key = tokens.load_key(relay.signing_key)
    token = tokens.mint(
        key, subject="reader", scopes=["control:read"], now_unix_s=int(time.time()), ttl_s=60, token_id="reader"
    )
    with RawOperator.with_token(relay.urls.control_ws, token) as asking:
        check_status(asking.receive())
        answer = asking.command("disconnectDevice", {"deviceId": "local"})
        assert (answer["type"], answer["data"]["error"]) == ("error", "FORBIDDEN")
        assert asking.devices()["local"]["state"] == "ACTIVE"


def test_a_part_that_is_down_is_named(fresh_relay: Stack) -> None:
    faults.wait_whole(fresh_relay)
    with operator(fresh_relay) as asking:
        asking.receive()
        with faults.stopped(faults.process(fresh_relay, faults.REGISTRY)):
            asking.send("control:status", message_id="degraded")
            answer = asking.receive()["data"]
        assert answer["status"] == "degraded"
        [registry] = [part for part in answer["parts"] if part["name"] == "registry"]
        assert not registry["healthy"]
        assert registry["detail"]
