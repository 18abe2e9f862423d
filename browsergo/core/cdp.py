"""What routing needs of a CDP message, read without parsing it.

The scanner reads the top level only and checks the rest for well-formedness (json_text.py): no recursion, no objects
built, no copy but of a slice and of the top level's keys. It exists because parsers fail where real CDP goes: `json` at
~500 levels of DOM nesting, `orjson` at a legal lone surrogate (design/delivery.md, "Rules"). Error texts and codes are
Chrome's own (measured on Chromium 156).
"""

import json
import re
from collections.abc import Generator
from typing import NamedTuple, TypeVar, cast

from browsergo.core import semconv
from browsergo.core.json_text import (
    SLICE_BYTES,
    STRING,
    WS,
    Malformed,
    after_space,
    flat_value,
    skip_members,
    skip_value,
)
from browsergo.core.relay_messages import error_answer

_T = TypeVar("_T")

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
MAX_DEPTH = 300  # containers within one another, the message included; deeper input is a parse error in Chrome
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


class Command(NamedTuple):
    """A command as the client end sees it."""

    id: int
    method: str
    session_id: str | None


class MessageHead(NamedTuple):
    """A message from the browser: a response (`id`), an event, or neither: an id-less error.

    `method` is an event's as the browser spells it, read from the head only; empty if it does not stand there.
    """

    id: int | None
    is_event: bool
    method: bytes = b""


class UnacceptableCommand(Exception):
    """A message that is answered here and never sent. `answer` is the CDP error, as Chrome would give it."""

    def __init__(self, code: int, message: str, command_id: int | None = None, session_id: str | None = None) -> None:
        super().__init__(message)
        self.answer = error_answer(command_id, session_id, code, message)


_KEY = re.compile(WS + rb"(" + STRING + rb")" + WS + rb":" + WS)
_DELIMITER = re.compile(WS + rb"([,}])")
_COMMON_LEVELS = 5  # of containers within one another
_ENVELOPE_VALUE_BYTES = 1024  # more of a value is never looked at: ids, methods and session ids are short
_MEMBERS = 32  # of the message itself, read one by one; Chrome finds fault with one of the first five
_UTF8_SLICE_BYTES = 1 << 20
_UTF8_TAIL_BYTES = 3  # bytes of a character after its first
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]*)\Z")


def _common_command() -> bytes:
    """`{id, method, params, sessionId}` and Puppeteer 24's `{method, params, id, sessionId}`, blanks allowed."""
    blank, comma = rb" ?+", rb" ?+, ?+"
    integer = rb"(-?(?:0|[1-9][0-9]{0,9}))(?![0-9.eE])"
    early_id = rb'(?:"id":' + blank + integer + comma + rb")?"
    method = rb'"method":' + blank + rb'"([A-Za-z]++\.[A-Za-z]++)"'
    params = rb"(?:" + comma + rb'"params":' + blank + rb"(?=[\[{n])" + flat_value(_COMMON_LEVELS) + rb")?"
    late_id = rb"(?:" + comma + rb'"id":' + blank + integer + rb")?"
    session = rb"(?:" + comma + rb'"sessionId":' + blank + rb'"([A-Za-z0-9-]++)")?'
    return rb"\{" + early_id + method + params + late_id + session + blank + rb"\}\Z"


# Nearly every command is spelled so and read in one match; any other spelling takes the general way, and any long one.
_COMMON_COMMAND = re.compile(_common_command())

_RESPONSE_HEAD = re.compile(rb'[ \t\n\r]*\{[ \t\n\r]*"id"[ \t\n\r]*:[ \t\n\r]*(-?[0-9]{1,10})[ \t\n\r]*[,}]')
_EVENT_HEAD = re.compile(rb'[ \t\n\r]*\{[ \t\n\r]*"method"[ \t\n\r]*:[ \t\n\r]*(?:"([A-Za-z]+\.[A-Za-z]+)")?')


def read_command(message: bytes) -> Command:
    """The envelope of a client's message (UTF-8 bytes). Raises UnacceptableCommand.

    Refused here is whatever Chrome answers without an id, and what it reads in a way of its own: a top-level key
    that stands twice, an id that is not a plainly spelled int32 (design/delivery.md, "Rules").
    """
    return _finished(reading(message))


def reading(message: bytes) -> Generator[None, None, Command]:
    """`read_command` in slices of some milliseconds, for whoever has other things to do meanwhile."""
    if not message.isascii():
        yield from _check_utf8(message)
    match = _COMMON_COMMAND.match(message) if len(message) <= SLICE_BYTES else None
    if match is not None:
        early, method, late, session = match.groups()
        command_id = _int32(early or late)
        if command_id is not None and (early is None or late is None):
            return Command(command_id, method.decode(), session.decode() if session is not None else None)
    return (yield from _read_uncommon(message))


def _finished(work: Generator[None, None, _T]) -> _T:
    """Its result, without a pause."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        return cast("_T", end.value)


def _check_utf8(message: bytes) -> Generator[None, None, None]:
    """In slices that cut no character: as a whole it would be up to four times as large, decoded."""
    start = 0
    while start < len(message):
        end = start + _UTF8_SLICE_BYTES
        for _ in range(_UTF8_TAIL_BYTES):
            if end < len(message) and message[end] & 0xC0 == 0x80:
                end -= 1
        try:
            message[start:end].decode("utf-8")
        except UnicodeDecodeError as error:
            position = start + error.start
            raise UnacceptableCommand(PARSE_ERROR, f"JSON: invalid string at position {position}") from None
        start = end
        yield


def _read_uncommon(message: bytes) -> Generator[None, None, Command]:
    try:
        members = yield from _top_level(message, MAX_DEPTH)
    except Malformed as error:
        raise UnacceptableCommand(PARSE_ERROR, f"JSON: invalid input at position {error.position}") from None
    if members is None:
        raise UnacceptableCommand(INVALID_REQUEST, "Message must be an object")
    return _command(members)


def _command(members: list[tuple[str, bytes]]) -> Command:
    """As Chrome does it: key by key, and the first fault is answered, with the id if that stands before the fault.

    Chrome's own id-less answer would end the channel, since nobody could say whose it is.
    """
    read: dict[str, bytes] = {}
    session_id = _text(dict(reversed(members)).get("sessionId"))  # of two the first counts, as in Chrome
    for key, value in members:
        fault = _fault(key, value, read)
        if fault is not None:
            raise UnacceptableCommand(*fault, _int32(read.get("id")), session_id)
        read[key] = value
    command_id, method = _int32(read.get("id")), _text(read.get("method"))
    if command_id is None:
        raise UnacceptableCommand(*_NO_ID)
    if not method:
        raise UnacceptableCommand(*_NO_METHOD, command_id, session_id)
    return Command(command_id, method, session_id)


_Fault = tuple[int, str]
_NO_ID: _Fault = (INVALID_REQUEST, "Message must have integer 'id' property")
_NO_METHOD: _Fault = (INVALID_REQUEST, "Message must have string 'method' property")
_BAD_PARAMS: _Fault = (INVALID_REQUEST, "Message may have object 'params' property")
_BAD_SESSION: _Fault = (INVALID_REQUEST, "Message may have string 'sessionId' property")
_UNKNOWN_KEY: _Fault = (INVALID_REQUEST, "Message has property other than 'id', 'method', 'sessionId', 'params'")


def _fault(key: str, value: bytes, read: dict[str, bytes]) -> _Fault | None:
    """What Chrome has against this member after those in `read`: code and words."""
    if not key.isascii():
        return PARSE_ERROR, "JSON: invalid top-level key"
    if key in read:
        return PARSE_ERROR, "JSON: duplicate top-level key"
    if key == "id":
        return _NO_ID if _int32(value) is None else None
    if key == "params":
        return None if value[:1] in b"{[" or value == b"null" else _BAD_PARAMS
    bad = {"method": _NO_METHOD, "sessionId": _BAD_SESSION}.get(key)
    if bad is None:
        return _UNKNOWN_KEY
    text = _text(value)
    return None if text is not None and text.isascii() else bad


def read_head(message: bytes) -> MessageHead:
    """What a message from the browser is. Unreadable input counts as an id-less error."""
    response = _RESPONSE_HEAD.match(message)
    if response is not None:
        return MessageHead(int(response[1]), is_event=False)
    event = _EVENT_HEAD.match(message)
    if event is not None:
        return MessageHead(None, is_event=True, method=event[1] or b"")
    try:
        members = dict(_finished(_top_level(message, None)) or ())
    except Malformed:
        return MessageHead(None, is_event=False)
    return MessageHead(_int32(members.get("id")), is_event="method" in members and "id" not in members)


def _top_level(message: bytes, deepest: int | None) -> Generator[None, None, list[tuple[str, bytes]] | None]:
    """Keys (unescaped) and raw values of the top-level object; None if the message is another JSON value.

    More than `deepest` containers within one another are malformed; None: any depth is read. Of more than _MEMBERS
    members the last are not told.
    """
    start = after_space(message, 0)
    if message[start : start + 1] != b"{":
        _expect_end(message, (yield from skip_value(message, start, deepest)))
        return None
    members: list[tuple[str, bytes]] = []
    position = after_space(message, start + 1)
    if message[position : position + 1] == b"}":
        _expect_end(message, position + 1)
        return members
    while True:
        key = _KEY.match(message, position)
        if key is None:
            raise Malformed(position)
        start = key.end()
        end = yield from skip_value(message, start, deepest and deepest - 1)
        delimiter = _DELIMITER.match(message, end)
        if delimiter is None:
            raise Malformed(end)
        members.append((_key(key[1]), message[start : min(end, start + _ENVELOPE_VALUE_BYTES)]))
        position = delimiter.end()
        if delimiter[1] == b"," and len(members) < _MEMBERS:
            continue
        if delimiter[1] == b",":
            position = yield from skip_members(message, position - 1, deepest)
        _expect_end(message, position)
        return members


def _expect_end(message: bytes, position: int) -> None:
    end = after_space(message, position)
    if end != len(message):
        raise Malformed(end)


def _key(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return str(json.loads(text, strict=False)) if "\\" in text else text[1:-1]


def _text(raw: bytes | None) -> str | None:
    if raw is None or raw[:1] != b'"':
        return None
    # Cut off, it may end within an escape; no method and no session is spelled so, and the browser will say that.
    return _key(raw) if len(raw) < _ENVELOPE_VALUE_BYTES else raw[1:].decode("utf-8", "replace")


def _int32(raw: bytes | None) -> int | None:
    if raw is None or len(raw) > 11 or _INTEGER.match(raw) is None or raw == b"-0":
        return None
    number = int(raw)
    return number if INT32_MIN <= number <= INT32_MAX else None


_ATTACHED = b'{"method":"Target.attachedToTarget"'
_DETACHED = b'{"method":"Target.detachedFromTarget"'
_INSPECTOR_DETACHED = b'{"method":"Inspector.detached"'
_SESSION_PARAM = re.compile(rb'"params":\{"sessionId":"([^"\\]{1,128})"')
_OUTER_SESSION = re.compile(rb'"sessionId":"([^"\\]{1,128})"\}\s*\Z')


class SessionChange(NamedTuple):
    """A flat session came or went; `parent` is the session that announced it (None: the root)."""

    session_id: str
    parent: str | None
    attached: bool


def session_change(message: bytes) -> SessionChange | None:
    """Reads Target.attachedToTarget and Target.detachedFromTarget as Chrome spells them; None for all else."""
    attached = message.startswith(_ATTACHED)
    if not attached and not message.startswith(_DETACHED):
        return None
    match = _SESSION_PARAM.search(message, 0, 256)
    if match is None:
        return None
    outer = _OUTER_SESSION.search(message, max(0, len(message) - 160))
    return SessionChange(match[1].decode(), outer[1].decode() if outer else None, attached)


def is_inspector_detached(message: bytes) -> bool:
    """Whether Chrome itself says that the page of this connection is gone (not one of its child sessions)."""
    return (
        message.startswith(_INSPECTOR_DETACHED) and _OUTER_SESSION.search(message, max(0, len(message) - 160)) is None
    )


_METHOD_FORM = re.compile(r"[A-Z][A-Za-z]{1,40}\.[a-z][A-Za-z]{0,60}\Z")


def traced_method(method: str) -> str:
    """The method as spans may show it: anything not spelled like `Domain.name` is `other` (it may carry a secret)."""
    return method if _METHOD_FORM.match(method) else semconv.OTHER_METHOD
