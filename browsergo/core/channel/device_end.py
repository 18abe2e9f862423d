"""The device end: all exactly-once state of one agent run, for all channels of its browser.

Commands are recorded before they are dispatched, once and in order; messages are kept until the
client end has received them (design/delivery.md). Pure.

A link is named by a number the shell gives it. Times: `now` monotonic seconds, `wall_ns` Unix ns.
"""

from contextlib import suppress

from browsergo.core import cdp, errors
from browsergo.core.channel import payloads, pieces, priorities
from browsergo.core.channel.device_bindings import DeviceBindings
from browsergo.core.channel.device_state import (
    DeviceChannel,
    DeviceEffect,
    DeviceLimits,
    Dial,
    Dispatch,
    HangUp,
    Message,
    Pause,
    Running,
    Transmit,
)
from browsergo.core.channel.frames import Flag, Frame, Kind
from browsergo.core.channel.pieces import Payload
from browsergo.core.tracing import NO_TRACE

__all__ = ["DeviceEffect", "DeviceEnd", "DeviceLimits", "Dial", "Dispatch", "HangUp", "Pause", "Transmit"]


class DeviceEnd(DeviceBindings):
    """All channels of one agent run: what clients say to their browser, and what it says to them."""

    # --- frames from client ends --------------------------------------------------------------------------------

    def frame(self, link: int, frame: Frame, now: float) -> list[DeviceEffect]:
        """One frame came down `link`; `frame.source` is the client's edge. Raises BadFrame."""
        kind = frame.kind
        if kind == Kind.CMD:
            return self._command(frame)
        if kind == Kind.ACK:
            return self._acked(frame, now)
        if kind == Kind.RESUME:
            return self._resume(frame, now)
        if kind == Kind.OPEN:
            return self._open(link, frame, now)
        if kind == Kind.CLOSE:
            return self._close(frame)
        if kind == Kind.PATH_LOST:
            return self._path_lost(link, frame.source, now)
        raise errors.BadFrame(f"{kind.name} is not for a device end")

    def _bound(self, frame: Frame) -> DeviceChannel | None:
        entry = self._channels.get(frame.channel)
        if entry is None or entry.dialing or frame.at != entry.at:
            self.stale_frames += 1
            return None
        return entry

    def _command(self, frame: Frame) -> list[DeviceEffect]:
        entry = self._bound(frame)
        if entry is None:
            return []
        if frame.seq != entry.last + 1 or not entry.assembler.follows(frame):
            self.duplicates += frame.seq <= entry.last  # else a gap: only a replay brings what is missing
            return []
        try:
            whole = entry.assembler.whole(frame)
        except errors.BrowserGoError as error:  # replayed, it would be as bad: the channel ends, not the link
            return self._free(entry, error)
        if whole is None:
            return []
        entry.last, payload = frame.seq, bytes(whole)
        with suppress(cdp.UnacceptableCommand):  # the browser will say so itself; only the answer's trace is lost
            entry.running[cdp.read_command(payload).id] = Running(frame.trace, frame.priority)
        effects: list[DeviceEffect] = []
        self._accept(entry, effects)
        effects.append(Dispatch(entry.id, payload, frame.trace))
        return effects

    def _accept(self, entry: DeviceChannel, effects: list[DeviceEffect]) -> None:
        """CACK, unless the browser takes no commands: the client end then keeps its own, and holds its client back."""
        if not entry.stalled:
            self._up(entry, Kind.CACK, effects, seq=entry.last)

    def browser_takes(self, channel: bytes, taking: bool) -> list[DeviceEffect]:
        """The browser reads commands slower than they come, or again."""
        entry = self._channels.get(channel)
        if entry is None or entry.stalled is not taking:
            return []
        entry.stalled = not taking
        effects: list[DeviceEffect] = []
        self._accept(entry, effects)
        return effects

    def _acked(self, frame: Frame, now: float) -> list[DeviceEffect]:
        entry = self._bound(frame)
        if entry is None:
            return []
        effects: list[DeviceEffect] = []
        entry.window = payloads.decode_window(frame.payload)
        self._trim(entry, frame.seq, now, effects)
        self._flush(entry, effects)
        return effects

    def _resume(self, frame: Frame, now: float) -> list[DeviceEffect]:
        """The client end confirms this binding: go on after what it has received."""
        entry = self._bound(frame)
        if entry is None:
            return []
        received, entry.window = payloads.decode_resume(frame.payload)
        effects: list[DeviceEffect] = []
        entry.confirm_by = None
        entry.full_since = now if entry.paused else None
        self._trim(entry, frame.seq, now, effects)
        entry.sent = max(entry.acked, received)
        entry.flying_bytes = sum(m.size for m in entry.out if m.seq <= entry.sent)
        self._accept(entry, effects)
        self._flush(entry, effects)
        return effects

    # --- messages from Chrome -----------------------------------------------------------------------------------

    def message(
        self, channel: bytes, payload: Payload, now: float, wall_ns: int, deflated: Payload | None = None
    ) -> list[DeviceEffect]:
        """Chrome said something on the channel's socket. An answer has its command's trace and class."""
        entry = self._channels.get(channel)
        if entry is None:
            return []
        head = pieces.read_head(payload)
        trace, priority = NO_TRACE, priorities.of_event(head.method)
        if head.id is not None:
            trace, priority = entry.running.pop(head.id, Running(trace, priority))
        if trace == NO_TRACE:
            trace = self._draw(128).to_bytes(16) + (self._draw(64) or 1).to_bytes(8)
        flags, leaving = (0, payload) if deflated is None else (Flag.COMPRESSED, deflated)
        entry.out.append(Message(entry.next_seq, leaving, trace, wall_ns, priority, flags, len(payload)))
        entry.next_seq += 1
        entry.out_bytes += len(payload)
        self._total_bytes += len(payload)
        effects: list[DeviceEffect] = []
        self._flush(entry, effects)
        if not entry.paused and self._is_full(entry):
            entry.paused, entry.full_since = True, now
            effects.append(Pause(channel, True))
        return effects

    def chrome_closed(self, channel: bytes, error: errors.BrowserGoError) -> list[DeviceEffect]:
        """Chrome's socket is gone (target closed, browser died): the channel ends."""
        entry = self._channels.get(channel)
        return [] if entry is None else self._free(entry, error)

    def _flush(self, entry: DeviceChannel, effects: list[DeviceEffect]) -> None:
        """Send while less than the window is in flight: a message may exceed what is left of it, whatever its size.

        Waiting until a large one fits could last for ever: the client end acknowledges in steps, not each message.
        """
        messages, size_bytes = entry.in_flight_limits(self._limits)
        for index in range(len(entry.out) - entry.unsent, len(entry.out)):
            message = entry.out[index]
            flying = message.seq - 1 - entry.acked
            if flying >= messages or entry.flying_bytes >= size_bytes:
                return
            self._up(entry, Kind.MSG, effects, seq=message.seq, message=message)
            entry.sent = message.seq
            entry.flying_bytes += message.size

    def _trim(self, entry: DeviceChannel, acked: int, now: float, effects: list[DeviceEffect]) -> None:
        if acked <= entry.acked:
            return
        entry.acked = acked
        while entry.out and entry.out[0].seq <= acked:
            size = entry.out.popleft().size
            entry.out_bytes -= size
            entry.flying_bytes -= size
            self._total_bytes -= size
        entry.flying_bytes = max(entry.flying_bytes, 0)
        entry.full_since = now if entry.paused else None
        self._read_on(effects)

    # --- ends ---------------------------------------------------------------------------------------------------

    def close_all(self, error: errors.BrowserGoError) -> list[DeviceEffect]:
        """The agent or its browser ends: every channel does, and is told."""
        return [effect for entry in list(self._channels.values()) for effect in self._free(entry, error)]

    def next_deadline(self) -> float | None:
        """When `tick` must be called next, on the monotonic clock."""
        times = [t for entry in self._channels.values() for t in entry.deadlines(self._limits) if t is not None]
        return min(times, default=None)

    def tick(self, now: float) -> list[DeviceEffect]:
        """Time passed: free orphans, and channels whose client takes nothing."""
        effects: list[DeviceEffect] = []
        for entry in list(self._channels.values()):
            orphan_at, unlinked_at, slow_at = entry.deadlines(self._limits)
            if slow_at is not None and now >= slow_at:
                effects.extend(self._free(entry, errors.SlowConsumer()))
            elif any(t is not None and now >= t for t in (orphan_at, unlinked_at)):
                effects.extend(self._free(entry, errors.DeviceGone("no client end claimed this channel")))
        return effects
