"""Payloads of the frames that are not CDP: JSON objects, one NamedTuple each, both directions side by side.

They are rare (per channel, per reconnect), so they may be parsed. A payload that does not fit
raises BadFrame. Channels are written as 32 hex digits.
"""

import json
from typing import Any, NamedTuple

from browsergo.core.errors import BadFrame
from browsergo.core.ids import CHANNEL_ID_BYTES


class Open(NamedTuple):
    """OPEN: `endpoint` is a path of Chrome's server, `/devtools/browser` or `/devtools/page/ID`."""

    device: str
    claim: str
    endpoint: str
    edge_id: str


class Opened(NamedTuple):
    """OPENED: the binding is the frame's; `last` the last command recorded, `born` the n of the channel's creation."""

    boot: str
    claim: str
    last: int
    born: int


class Ending(NamedTuple):
    """REFUSED and CLOSED: whose claim, and why (an error code and words)."""

    claim: str
    code: str
    message: str


class Window(NamedTuple):
    """ACK and RESUME: how much may be on its way to the client end, both from 1; None: as much as the agent allows."""

    messages: int
    size_bytes: int


class Resume(NamedTuple):
    """RESUME: where to replay from, and within which window; what was consumed is the frame's seq."""

    received: int
    window: Window | None = None


class Named(NamedTuple):
    """One channel in a HELLO."""

    last: int
    born: int
    claim: str


class Hello(NamedTuple):
    """HELLO: `named` live on this link, `held` are all that this boot holds for the addressed edge.

    `took_over`: another instance held the device when this boot got it.
    """

    device: str
    boot: str
    named: dict[bytes, Named]
    held: frozenset[bytes]
    took_over: bool = False


def encode_open(body: Open) -> bytes:
    """The payload of an OPEN: an object with the fields of `Open`, all strings."""
    return _dump(body._asdict())


def decode_open(payload: bytes) -> Open:
    """The reverse of `encode_open`. Raises BadFrame."""
    return Open(*_strings(_load(payload), "device", "claim", "endpoint", "edge_id"))


def encode_opened(body: Opened) -> bytes:
    """The payload of an OPENED: an object with the fields of `Opened`."""
    return _dump(body._asdict())


def decode_opened(payload: bytes) -> Opened:
    """The reverse of `encode_opened`. Raises BadFrame."""
    found = _load(payload)
    boot, claim = _strings(found, "boot", "claim")
    return Opened(boot, claim, _count(found, "last"), _count(found, "born"))


def encode_ending(body: Ending) -> bytes:
    """The payload of a REFUSED or CLOSED: an object with the fields of `Ending`, all strings."""
    return _dump(body._asdict())


def decode_ending(payload: bytes) -> Ending:
    """The reverse of `encode_ending`. Raises BadFrame."""
    return Ending(*_strings(_load(payload), "claim", "code", "message"))


def encode_hello(body: Hello) -> bytes:
    """The payload of a HELLO: `{device, boot, named: {channel: [last, born, claim]}, held: [channel], took_over?}`."""
    found: dict[str, Any] = {
        "device": body.device,
        "boot": body.boot,
        "named": {channel.hex(): list(named) for channel, named in body.named.items()},
        "held": sorted(channel.hex() for channel in body.held),
    }
    return _dump(found | ({"took_over": True} if body.took_over else {}))


def decode_hello(payload: bytes) -> Hello:
    """The reverse of `encode_hello`. Raises BadFrame."""
    found = _load(payload)
    named, held = found.get("named"), found.get("held")
    if not isinstance(named, dict) or not isinstance(held, list):
        raise BadFrame("HELLO names no channels")
    device, boot = _strings(found, "device", "boot")
    return Hello(
        device,
        boot,
        {_channel(channel): _named(row) for channel, row in named.items()},
        frozenset(_channel(channel) for channel in held),
        found.get("took_over") is True,
    )


def encode_claim(claim: str) -> bytes:
    """CLOSE names the client end that is gone."""
    return _dump({"claim": claim})


def decode_claim(payload: bytes) -> str:
    """The reverse of `encode_claim`. Raises BadFrame."""
    (claim,) = _strings(_load(payload), "claim")
    return claim


def encode_resume(body: Resume) -> bytes:
    """The payload of a RESUME: `{received}`, and `window: [messages, bytes]` where there is one."""
    return _dump({"received": body.received} | _window_field(body.window))


def decode_resume(payload: bytes) -> Resume:
    """The reverse of `encode_resume`. Raises BadFrame."""
    found = _load(payload)
    return Resume(_count(found, "received"), _window(found))


def encode_window(window: Window | None) -> bytes:
    """The payload of an ACK: nothing, or `{window: [messages, bytes]}`."""
    return _dump(_window_field(window)) if window is not None else b""


def decode_window(payload: bytes) -> Window | None:
    """The reverse of `encode_window`. Raises BadFrame."""
    return _window(_load(payload)) if payload else None


def encode_device(device: str) -> bytes:
    """ANNOUNCE names the device whose channels move to the router it came through."""
    return _dump({"device": device})


def decode_device(payload: bytes) -> str:
    """The reverse of `encode_device`. Raises BadFrame."""
    (device,) = _strings(_load(payload), "device")
    return device


def _window_field(window: Window | None) -> dict[str, Any]:
    return {"window": list(window)} if window is not None else {}


def _window(found: dict[str, Any]) -> Window | None:
    row = found.get("window")
    if row is None:
        return None
    if not isinstance(row, list) or len(row) != 2 or any(type(count) is not int or count < 1 for count in row):
        raise BadFrame("a window is two numbers above 0")
    return Window(*row)


def _named(row: object) -> Named:
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[2], str):
        raise BadFrame("HELLO names a channel wrongly")
    last, born, claim = row
    if type(last) is not int or type(born) is not int or last < 0 or born < 0:
        raise BadFrame("HELLO names a channel with wrong numbers")
    return Named(last, born, claim)


def _channel(text: object) -> bytes:
    try:
        channel = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        channel = b""
    if len(channel) != CHANNEL_ID_BYTES:
        raise BadFrame("a channel is 32 hex digits")
    return channel


def _dump(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _load(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadFrame("a control payload is not JSON") from None
    if not isinstance(found, dict):
        raise BadFrame("a control payload is not an object")
    return found


def _strings(found: dict[str, Any], *names: str) -> list[str]:
    values = [found.get(name) for name in names]
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, str):
            raise BadFrame(f"a control payload lacks {name}")
    return values  # type: ignore[return-value]  # all were just seen to be strings


def _count(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if type(value) is not int or value < 0:
        raise BadFrame(f"a control payload lacks {name}")
    return value
