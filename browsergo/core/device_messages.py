"""Messages of /v2/device, both directions side by side (design/endpoints.md, "/v2/device").

One message is `{type, id?, timestamp, data, metadata?}` (timestamp: Unix ms). Reading raises BadMessage.

    server -> device  device:welcome       {connectionId, serverVersion, nonce,
                                            config{heartbeatInterval, messageTimeout}} (ms)
    device -> server  device:register      {deviceInfo{deviceId, name, version, type, capabilities{...},
                                            metadata, labels}, instanceId, bootId, previousEpoch?}
    server -> device  device:register:ack  {deviceId, state, epoch, heartbeatInterval, link{url, ticket, pool},
                                            resumeWindow, trace, tookOver}
    device -> server  device:heartbeat     {deviceId}
    server -> device  device:heartbeat:ack {deviceId, serverTime, status}
    device -> server  device:disconnect    {deviceId, reason}
    server -> device  device:drain         {reason}
    server -> device  device:taken_over    {retryAfter} (ms)
    server -> device  error                {error, message, connectionId?}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from browsergo.core.errors import BadMessage, InvalidDeviceId
from browsergo.core.ids import is_device_id
from browsergo.core.text import is_text

SUBPROTOCOL = "browsergo.device.v2"
LINK_SUBPROTOCOL = "browsergo.link.v2"
TICKET_PREFIX = "ticket."  # a link connection offers its ticket as a subprotocol: browsers cannot set headers

WELCOME = "device:welcome"
REGISTER = "device:register"
REGISTER_ACK = "device:register:ack"
HEARTBEAT = "device:heartbeat"
HEARTBEAT_ACK = "device:heartbeat:ack"
DISCONNECT = "device:disconnect"
DRAIN = "device:drain"
TAKEN_OVER = "device:taken_over"
ERROR = "error"

MAX_TEXT_CHARS = 512
MAX_PAIRS = 64
MAX_DOMAINS = 256

MessageId = str | int  # echoed as it came: whoever asked compares it with what was sent


class Envelope(NamedTuple):
    """What every message has."""

    type: str
    id: MessageId | None
    body: Mapping[str, Any]


def read_envelope(payload: bytes) -> Envelope:
    """The envelope of a message. Raises BadMessage."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadMessage("the message is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise BadMessage("a message is an object with a string 'type'")
    body, message_id = found.get("data", {}), found.get("id")
    if not isinstance(body, dict):
        raise BadMessage("'data' is not an object")
    if message_id is not None and type(message_id) not in {str, int}:
        raise BadMessage("'id' is neither a string nor a whole number")
    return Envelope(found["type"], message_id, body)


def write_envelope(kind: str, body: Mapping[str, Any], timestamp_ms: int, message_id: MessageId | None = None) -> bytes:
    """One message as it goes out."""
    head: dict[str, Any] = {"type": kind} if message_id is None else {"type": kind, "id": message_id}
    return json.dumps({**head, "timestamp": timestamp_ms, "data": body}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the edge says first."""

    connection_id: str
    server_version: str
    nonce: str
    heartbeat_interval_ms: int
    message_timeout_ms: int


def welcome_body(welcome: Welcome) -> dict[str, Any]:
    """`data` of device:welcome."""
    config = {"heartbeatInterval": welcome.heartbeat_interval_ms, "messageTimeout": welcome.message_timeout_ms}
    return {
        "connectionId": welcome.connection_id,
        "serverVersion": welcome.server_version,
        "nonce": welcome.nonce,
        "config": config,
    }


def read_welcome(body: Mapping[str, Any]) -> Welcome:
    """The reverse."""
    config = _object(body, "config")
    return Welcome(
        _text(body, "connectionId"),
        _text(body, "serverVersion"),
        _text(body, "nonce"),
        _whole(config, "heartbeatInterval"),
        _whole(config, "messageTimeout"),
    )


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the browser behind a device is and can."""

    browser_name: str = ""
    browser_version: str = ""
    platform: str = ""
    user_agent: str = ""
    supported_domains: tuple[str, ...] = ()
    max_concurrent_requests: int = 0
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Registration:
    """What a device says of itself."""

    device_id: str
    instance_id: str
    boot_id: str
    name: str = ""
    version: str = ""
    type: str = "agent"
    capabilities: Capabilities = field(default_factory=Capabilities)
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    previous_epoch: int = 0


def register_body(registration: Registration) -> dict[str, Any]:
    """`data` of device:register."""
    able = registration.capabilities
    capabilities = {
        "browserName": able.browser_name,
        "browserVersion": able.browser_version,
        "platform": able.platform,
        "userAgent": able.user_agent,
        "supportedDomains": list(able.supported_domains),
        "maxConcurrentRequests": able.max_concurrent_requests,
        "features": list(able.features),
    }
    device = {
        "deviceId": registration.device_id,
        "name": registration.name,
        "version": registration.version,
        "type": registration.type,
        "capabilities": capabilities,
        "labels": dict(registration.labels),
        "metadata": dict(registration.metadata),
    }
    return {
        "deviceInfo": device,
        "instanceId": registration.instance_id,
        "bootId": registration.boot_id,
        "previousEpoch": registration.previous_epoch,
    }


def read_registration(body: Mapping[str, Any]) -> Registration:
    """The reverse. Raises BadMessage, or InvalidDeviceId for an id of another form."""
    device = _object(body, "deviceInfo")
    device_id = _text(device, "deviceId")
    if not is_device_id(device_id):
        raise InvalidDeviceId
    able = _object(device, "capabilities", optional=True)
    capabilities = Capabilities(
        _text(able, "browserName", optional=True),
        _text(able, "browserVersion", optional=True),
        _text(able, "platform", optional=True),
        _text(able, "userAgent", optional=True),
        _texts(able, "supportedDomains"),
        _whole(able, "maxConcurrentRequests", optional=True, below=2**32),
        _texts(able, "features"),
    )
    return Registration(
        device_id,
        _text(body, "instanceId"),
        _text(body, "bootId"),
        _text(device, "name", optional=True),
        _text(device, "version", optional=True),
        _text(device, "type", optional=True) or "agent",
        capabilities,
        _pairs(device, "labels"),
        _pairs(device, "metadata"),
        _whole(body, "previousEpoch", optional=True),
    )


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a registered device is given. `link_url` is a path on the edge that answered."""

    device_id: str
    state: str
    epoch: int
    heartbeat_interval_ms: int
    link_url: str
    link_ticket: str
    link_pool: int
    resume_window_ms: int
    trace: bool
    took_over: bool = False  # another instance held the device


def acknowledgement_body(ack: Acknowledgement) -> dict[str, Any]:
    """`data` of device:register:ack."""
    return {
        "deviceId": ack.device_id,
        "state": ack.state,
        "epoch": ack.epoch,
        "heartbeatInterval": ack.heartbeat_interval_ms,
        "link": {"url": ack.link_url, "ticket": ack.link_ticket, "pool": ack.link_pool},
        "resumeWindow": ack.resume_window_ms,
        "trace": ack.trace,
        "tookOver": ack.took_over,
    }


def read_acknowledgement(body: Mapping[str, Any]) -> Acknowledgement:
    """The reverse."""
    link = _object(body, "link")
    return Acknowledgement(
        _text(body, "deviceId"),
        _text(body, "state"),
        _whole(body, "epoch"),
        _whole(body, "heartbeatInterval"),
        _text(link, "url"),
        _text(link, "ticket"),
        _whole(link, "pool"),
        _whole(body, "resumeWindow"),
        body.get("trace") is True,
        body.get("tookOver") is True,
    )


def _object(body: Mapping[str, Any], name: str, *, optional: bool = False) -> Mapping[str, Any]:
    found = body.get(name, {} if optional else None)
    if not isinstance(found, dict):
        raise BadMessage(f"'{name}' is not an object")
    return found


def _text(body: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
    found = body.get(name, "" if optional else None)
    if not _is_short(found):
        raise BadMessage(f"'{name}' is not a string of at most {MAX_TEXT_CHARS} characters")
    return str(found)


def _is_short(found: object) -> bool:
    return is_text(found) and len(found) <= MAX_TEXT_CHARS


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = body.get(name, [])
    if not isinstance(found, list) or len(found) > MAX_DOMAINS:
        raise BadMessage(f"'{name}' is not an array of at most {MAX_DOMAINS} strings")
    if not all(map(_is_short, found)):
        raise BadMessage(f"'{name}' holds something that is no short string")
    return tuple(found)


def _pairs(body: Mapping[str, Any], name: str) -> dict[str, str]:
    found = _object(body, name, optional=True)
    if len(found) > MAX_PAIRS:
        raise BadMessage(f"'{name}' has more than {MAX_PAIRS} entries")
    if not all(_is_short(key) and _is_short(value) for key, value in found.items()):
        raise BadMessage(f"'{name}' holds something that is no short string")
    return dict(found)


def _whole(body: Mapping[str, Any], name: str, *, optional: bool = False, below: int = 2**63) -> int:
    found = body.get(name, 0 if optional else None)
    if type(found) is not int or not 0 <= found < below:
        raise BadMessage(f"'{name}' is not a whole number")
    return found
