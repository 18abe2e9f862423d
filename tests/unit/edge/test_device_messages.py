"""Messages of /v2/device, there and back, and everything that is none."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from browsergo.core import device_messages as messages
from browsergo.core.device_messages import Acknowledgement, Capabilities, Envelope, Registration, Welcome
from browsergo.core.errors import BadMessage, InvalidDeviceId

FULL = Registration(
    "laptop",
    "instance-1",
    "boot-1",
    "a läptop",
    "1.2.3",
    "extension",
    Capabilities("Chromium", "141.0", "linux", "Mozilla/5.0", ("Page", "Runtime"), 16, ("screencast",)),
    {"room": "7"},
    {"pid": "42"},
    9,
)
WELCOME = Welcome("c0ffee", "0.1.0", "abad1dea", 20_000, 20_000)
ACK = Acknowledgement("laptop", "REGISTERED", 7, 20_000, "/v2/cdp/laptop", "tick.et", 2, 30_000, True, True)


def test_all_that_a_device_says_of_itself_arrives() -> None:
    assert messages.read_registration(messages.register_body(FULL)) == FULL


def test_what_may_be_left_out_has_its_default() -> None:
    body = {"deviceInfo": {"deviceId": "laptop"}, "instanceId": "i", "bootId": "b"}
    assert messages.read_registration(body) == Registration("laptop", "i", "b")


def test_welcome_and_acknowledgement_arrive() -> None:
    assert messages.read_welcome(messages.welcome_body(WELCOME)) == WELCOME
    assert messages.read_acknowledgement(messages.acknowledgement_body(ACK)) == ACK


# --- envelopes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message_id", [None, "a-1", 7, 0, -3, 2**60])
def test_an_id_comes_back_as_it_was_sent(message_id: str | int | None) -> None:
    """The original's clients compare it with what they sent, number or string."""
    sent: dict[str, Any] = {"type": "t", "data": {}}
    if message_id is not None:
        sent["id"] = message_id
    envelope = messages.read_envelope(json.dumps(sent).encode())
    answer = json.loads(messages.write_envelope("t:ack", {}, 5, envelope.id))
    assert answer.get("id") == message_id
    assert type(answer.get("id")) is type(message_id)


def test_an_envelope_is_written_with_type_id_time_and_data() -> None:
    written = messages.write_envelope("t", {"a": "ü"}, 1_700_000_000_000, "7")
    assert json.loads(written) == {"type": "t", "id": "7", "timestamp": 1_700_000_000_000, "data": {"a": "ü"}}


def test_data_may_be_left_out() -> None:
    assert messages.read_envelope(b'{"type":"t"}') == Envelope("t", None, {})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nonsense",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"type":7}',
        b'{"type":null}',
        b'{"type":"t","data":[]}',
        b'{"type":"t","data":"x"}',
        b'{"type":"t","data":null}',
        b'{"type":"t","id":{}}',
        b'{"type":"t","id":[1]}',
        b'{"type":"t","id":true}',
        b'{"type":"t","id":1.5}',
        b"\xff\xfe\xfd",
        b'{"type":"t"} {}',
        b"[" * 100_000,
        b'{"type":' * 5_000,
    ],
    ids=range(20),
)
def test_what_is_no_message_is_said_to_be_none(payload: bytes) -> None:
    with pytest.raises(BadMessage):
        messages.read_envelope(payload)


# --- registrations --------------------------------------------------------------------------------------------


def changed(path: str, value: Any) -> dict[str, Any]:
    """The full registration with the field at `path` replaced; `...` removes it."""
    body: dict[str, Any] = json.loads(json.dumps(messages.register_body(FULL)))
    *parents, last = path.split(".")
    inner = body
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return body


SURROGATE = json.loads('"\\ud800"')  # legal JSON, and nothing that can be passed on

BROKEN: list[tuple[str, Any]] = [
    ("deviceInfo", ...),
    ("deviceInfo", []),
    ("deviceInfo.deviceId", ...),
    ("deviceInfo.deviceId", 7),
    ("instanceId", ...),
    ("instanceId", None),
    ("instanceId", SURROGATE),
    ("bootId", ["b"]),
    ("bootId", "b" * 513),
    ("previousEpoch", -1),
    ("previousEpoch", 1.0),
    ("previousEpoch", True),
    ("previousEpoch", 2**63),
    ("previousEpoch", "1"),
    ("deviceInfo.name", 7),
    ("deviceInfo.name", "n" * 513),
    ("deviceInfo.name", f"a{SURROGATE}b"),
    ("deviceInfo.version", None),
    ("deviceInfo.type", {}),
    ("deviceInfo.capabilities", []),
    ("deviceInfo.capabilities.browserName", 1),
    ("deviceInfo.capabilities.userAgent", SURROGATE),
    ("deviceInfo.capabilities.supportedDomains", "Page"),
    ("deviceInfo.capabilities.supportedDomains", [1]),
    ("deviceInfo.capabilities.supportedDomains", ["x" * 513]),
    ("deviceInfo.capabilities.supportedDomains", ["x"] * 257),
    ("deviceInfo.capabilities.features", [SURROGATE]),
    ("deviceInfo.capabilities.maxConcurrentRequests", -1),
    ("deviceInfo.capabilities.maxConcurrentRequests", 2**32),
    ("deviceInfo.labels", ["a"]),
    ("deviceInfo.labels", {"a": 1}),
    ("deviceInfo.labels", {str(n): "" for n in range(65)}),
    ("deviceInfo.labels", {"k" * 513: ""}),
    ("deviceInfo.labels", {SURROGATE: ""}),
    ("deviceInfo.labels", {"a": SURROGATE}),
    ("deviceInfo.metadata", {"a": "v" * 513}),
]


@pytest.mark.parametrize(("path", "value"), BROKEN, ids=[f"{n}-{path}" for n, (path, _) in enumerate(BROKEN)])
def test_a_registration_with_anything_wrong_is_refused(path: str, value: Any) -> None:
    with pytest.raises(BadMessage):
        messages.read_registration(changed(path, value))


@pytest.mark.parametrize("device", ["", "no such", "any", "..", "x" * 129, "ä", "a/b"])
def test_an_ill_formed_device_id_is_said_to_be_one(device: str) -> None:
    with pytest.raises(InvalidDeviceId):
        messages.read_registration(changed("deviceInfo.deviceId", device))


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (messages.read_welcome, messages.welcome_body(WELCOME) | {"config": None}),
        (messages.read_welcome, messages.welcome_body(WELCOME) | {"nonce": 7}),
        (messages.read_acknowledgement, messages.acknowledgement_body(ACK) | {"link": {}}),
        (messages.read_acknowledgement, messages.acknowledgement_body(ACK) | {"epoch": -1}),
    ],
)
def test_an_agent_refuses_what_an_edge_would_not_say(read: Callable[[dict[str, Any]], object], body: Any) -> None:
    with pytest.raises(BadMessage):
        read(body)
