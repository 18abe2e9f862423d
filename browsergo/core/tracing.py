"""Trace context of a message, span records, and how both travel. Pure.

A frame carries 24 bytes of trace context: trace id (16) and the id of the span that is the parent
of every hop's span (8), which is the command's or event's own span.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from browsergo.core.text import is_text

TRACE_BYTES = 24
NO_TRACE = bytes(TRACE_BYTES)
_INT64_MAX = 2**63 - 1

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?\Z")

Attributes = Mapping[str, str | int | bool]


class SpanRecord(NamedTuple):
    """One finished span. Ids are raw bytes (trace 16, span and parent 8; no parent: b""); times are Unix ns."""

    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start_ns: int
    end_ns: int
    attributes: Attributes
    error: str | None = None


class Traceparent(NamedTuple):
    """A caller's W3C trace context."""

    trace_id: bytes
    span_id: bytes
    sampled: bool


def parse_traceparent(text: str) -> Traceparent | None:
    """A `traceparent` header (W3C Trace Context, 3.2); None if it is not a valid one."""
    match = _TRACEPARENT.match(text.strip())
    if match is None or match[1] == "ff" or (match[1] == "00" and len(text.strip()) != 55):
        return None
    trace_id, span_id = bytes.fromhex(match[2]), bytes.fromhex(match[3])
    if not any(trace_id) or not any(span_id):
        return None
    return Traceparent(trace_id, span_id, bool(int(match[4], 16) & 1))


def encode_records(records: Iterable[SpanRecord]) -> bytes:
    """Span records as the payload of a SPANS frame: a JSON array of arrays."""
    return json.dumps([_encode_row(record) for record in records], separators=(",", ":")).encode()


def _encode_row(record: SpanRecord) -> list[object]:
    ids = (record.trace_id.hex(), record.span_id.hex(), record.parent_id.hex())
    return [record.name, *ids, record.start_ns, record.end_ns, dict(record.attributes), record.error]


def decode_records(payload: bytes) -> list[SpanRecord]:
    """The reverse. Raises ValueError for anything that is not exactly such an array."""
    try:
        rows = json.loads(payload)
    except RecursionError:
        raise ValueError("span records are not nested") from None
    if not isinstance(rows, list):
        raise ValueError("not an array of span records")
    return [_decode_row(row) for row in rows]


def _decode_row(row: object) -> SpanRecord:
    if not isinstance(row, list) or len(row) != 8:
        raise ValueError("a span record has eight fields")
    name, trace_id, span_id, parent_id, start_ns, end_ns, attributes, error = row
    if not all(isinstance(text, str) for text in (trace_id, span_id, parent_id)):
        raise ValueError("a span record's ids are hex digits")
    ids = bytes.fromhex(trace_id), bytes.fromhex(span_id), bytes.fromhex(parent_id)
    sizes = (len(ids[0]), len(ids[1]), len(ids[2]))
    if sizes not in ((16, 8, 8), (16, 8, 0)) or not is_text(name) or not isinstance(attributes, dict):
        raise ValueError("a span record's ids, name or attributes are wrong")
    times_fit = all(type(time_ns) is int and 0 <= time_ns < 2**64 for time_ns in (start_ns, end_ns))
    if not times_fit or not (error is None or is_text(error)):
        raise ValueError("a span record's times or error are wrong")
    if not all(is_text(key) and _is_value(value) for key, value in attributes.items()):
        raise ValueError("a span record's attributes are wrong")
    return SpanRecord(name, *ids, start_ns, end_ns, attributes, error)


def _is_value(found: object) -> bool:
    """What OTLP can carry as an attribute: one that does not fit would spoil the whole export."""
    if isinstance(found, int):
        return -_INT64_MAX - 1 <= found <= _INT64_MAX
    return is_text(found)
