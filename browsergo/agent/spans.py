"""The agent's own spans. It has no exporter: they travel up the link and its edge sends them on."""

import random
from collections import deque

from browsergo.core import semconv
from browsergo.core.channel.frames import Flag, Frame, Kind
from browsergo.core.tracing import SpanRecord, encode_records

MAX_HELD = 20_000
PER_FRAME = 512
MAX_UNANSWERED = 20_000


class SpanRecorder:
    """Records what the agent did with each message while `enabled`; the oldest records give way."""

    def __init__(self, device: str) -> None:
        self.enabled = False
        self._device = device
        self._held: deque[SpanRecord] = deque(maxlen=MAX_HELD)
        self._written: dict[bytes, int] = {}
        self._told: dict[bytes, int] = {}  # channel -> the last message of it that has its spans

    def dispatched(self, channel: bytes, trace: bytes, arrived_ns: int, written_ns: int) -> None:
        """A command was written to the browser."""
        if not self.enabled:
            return
        if len(self._written) >= MAX_UNANSWERED:
            self._written.pop(next(iter(self._written)))
        self._written[trace] = written_ns
        self._add(semconv.SPAN_AGENT_DISPATCH, trace, channel, semconv.DIRECTION_DOWN, arrived_ns, written_ns)

    def sent_up(self, frame: Frame, now_ns: int) -> None:
        """A message of the browser was put on a link; one that is replayed on a new path has its spans already."""
        if not self.enabled or frame.kind != Kind.MSG or frame.flags & Flag.MORE:
            return
        if frame.seq <= self._told.get(frame.channel, 0):
            return
        self._told[frame.channel] = frame.seq
        written_ns = self._written.pop(frame.trace, None)
        if written_ns is None:
            self._event(frame, now_ns)
            return
        self._add(semconv.SPAN_BROWSER, frame.trace, frame.channel, semconv.DIRECTION_UP, written_ns, frame.stamp)
        self._add(semconv.SPAN_AGENT_ANSWER, frame.trace, frame.channel, semconv.DIRECTION_UP, frame.stamp, now_ns)

    def forget(self, channel: bytes) -> None:
        """The channel is over."""
        self._told.pop(channel, None)

    def take(self) -> bytes | None:
        """The payload of the next SPANS frame; None if there is nothing to report."""
        if not self._held:
            return None
        count = min(PER_FRAME, len(self._held))
        return encode_records([self._held.popleft() for _ in range(count)])

    def _event(self, frame: Frame, now_ns: int) -> None:
        attributes = self._attributes(frame.channel, semconv.DIRECTION_UP)
        trace_id, span_id = frame.trace[:16], frame.trace[16:]
        self._held.append(SpanRecord(semconv.SPAN_EVENT, trace_id, span_id, b"", frame.stamp, now_ns, attributes))

    def _add(self, name: str, trace: bytes, channel: bytes, direction: str, start_ns: int, end_ns: int) -> None:
        span_id = (random.getrandbits(64) or 1).to_bytes(8)
        attributes = self._attributes(channel, direction)
        self._held.append(SpanRecord(name, trace[:16], span_id, trace[16:], start_ns, end_ns, attributes))

    def _attributes(self, channel: bytes, direction: str) -> dict[str, str | int | bool]:
        return {
            semconv.ATTR_DEVICE: self._device,
            semconv.ATTR_CHANNEL: channel.hex(),
            semconv.ATTR_DIRECTION: direction,
        }
