"""The client end: all exactly-once state of the channels whose clients this process holds.

Commands get consecutive numbers, are kept until the device end has recorded them, and are replayed
in order when a new path binds; messages are taken in order, once; what cannot be saved is answered
once, truthfully (design/delivery.md). Pure: `happened(..., now) -> effects`, `next_deadline`, `tick`.

One ClientEnds serves one process. Times: `now` monotonic seconds, `wall_ns` Unix nanoseconds.
"""

from browsergo.core import cdp, errors, relay_messages
from browsergo.core.channel import (
    client_deadlines,
    client_endings,
    client_flow,
    client_orphans,
    pieces,
    priorities,
)
from browsergo.core.channel.client_bindings import ClientBindings
from browsergo.core.channel.client_state import (
    Channel,
    Deliver,
    Due,
    Effect,
    Ended,
    Path,
    Pending,
    Sent,
)
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.channel.pieces import Payload
from browsergo.core.tracing import Traceparent

NOT_OFFERED = frozenset({"Browser.crash", "Browser.crashGpuProcess"})


class ClientEnds(ClientBindings):
    """All client ends of one process: what clients say, and what browsers say to them."""

    # --- the client ---------------------------------------------------------------------------------------------

    def open(
        self, channel: bytes, device: str, endpoint: str, now: float, caller: Traceparent | None = None
    ) -> list[Effect]:
        """A client wants `endpoint` of `device`. Ends in Upgraded or Refused."""
        limits = self._limits
        claim = f"{self._draw(64):016x}"
        entry = Channel(
            channel, device, claim, endpoint, now + limits.open_timeout_s, now + limits.open_retry_s, caller
        )
        self._channels[channel] = entry
        self._device(device).channels[channel] = entry
        return [self._ask_open(entry)]

    def unresolved(self, channel: bytes, error: errors.BrowserGoError) -> list[Effect]:
        """The shell found no edge for the device (Seek failed). Final before the upgrade, else asked again."""
        entry = self._channels.get(channel)
        if entry is None or entry.upgraded or not entry.opening:
            return []
        return self._fail(entry, error)

    def command(self, channel: bytes, payload: bytes, now: float, wall_ns: int) -> list[Effect]:
        """The client sent one message."""
        entry = self._channels.get(channel)
        if entry is None:
            return []
        try:
            command = cdp.read_command(payload)
            self._check(entry, command)
        except cdp.UnacceptableCommand as refusal:
            return self._answered_here(entry, refusal.answer)
        if command.method == "Browser.close":
            return self._closed_by_client(entry, command)
        return self._accept(entry, command, payload, now, wall_ns)

    def client_gone(self, channel: bytes) -> list[Effect]:
        """The client's socket is closed: tell the device end, forget everything."""
        entry = self._channels.get(channel)
        return [] if entry is None else self._drop(entry)

    def writable(self, channel: bytes, writable: bool) -> list[Effect]:
        """The client's socket takes messages (again), or no longer."""
        entry = self._channels.get(channel)
        if entry is None:
            return []
        entry.writable = writable
        effects: list[Effect] = []
        client_flow.drain(entry, self._limits, self._edge, effects)
        client_flow.regulate(entry, self._limits, effects)
        return effects

    def save_credit(self, saving: bool) -> list[Effect]:
        """Give channels no more credit than a live one needs, or as much as ever; their device ends are told."""
        self._limits = client_flow.saving(self._full_limits) if saving else self._full_limits
        effects: list[Effect] = []
        for entry in self._channels.values():
            client_flow.grant(entry, self._limits, self._edge, effects)
        return effects

    def end(self, channel: bytes, error: errors.BrowserGoError) -> list[Effect]:
        """This side ends the channel (drain, token expired, misuse): every pending command is answered first."""
        entry = self._channels.get(channel)
        return [] if entry is None else self._fail(entry, error)

    def _check(self, entry: Channel, command: cdp.Command) -> None:
        if command.id in entry.pending:
            raise cdp.UnacceptableCommand(
                cdp.INVALID_REQUEST, "Browser-Go: this id is already in flight", command.id, command.session_id
            )
        if command.method in NOT_OFFERED:
            raise cdp.UnacceptableCommand(
                errors.CDP_SERVER_ERROR,
                f"Browser-Go: {command.method} is not offered: the browser is shared",
                command.id,
                command.session_id,
            )

    def _answered_here(self, entry: Channel, answer: bytes) -> list[Effect]:
        """A refusal, in its turn: a client that takes nothing may not make us keep more and more of them."""
        effects: list[Effect] = []
        client_flow.pass_on(entry, answer, self._limits, self._edge, effects)
        client_flow.regulate(entry, self._limits, effects)
        return effects

    def _accept(self, entry: Channel, command: cdp.Command, payload: bytes, now: float, wall_ns: int) -> list[Effect]:
        entry.seq += 1
        caller = entry.caller
        trace_id = caller.trace_id if caller else self._draw(128).to_bytes(16)
        trace = trace_id + (self._draw(64) or 1).to_bytes(8)
        entry.pending[command.id] = Pending(
            entry.seq, command.session_id, command.method, trace, caller.span_id if caller else b"", wall_ns
        )
        if self._limits.command_deadline_s is not None:
            client_deadlines.watch(entry, Due(now + self._limits.command_deadline_s, command.id, trace))
        sent = Sent(entry.seq, payload, trace, priorities.of_command(command.method))
        client_flow.keep(entry, sent)
        effects: list[Effect] = []
        if not entry.lost:
            self._put(entry, sent, effects, wall_ns)
        client_flow.regulate(entry, self._limits, effects)
        return effects

    def _closed_by_client(self, entry: Channel, command: cdp.Command) -> list[Effect]:
        """Browser.close ends only the caller's channel; it is the one command the relay answers itself."""
        effects = [*client_endings.settled(entry, errors.DeviceGone("the client closed its channel"))]
        effects.append(Deliver(entry.id, relay_messages.empty_result(command.id, command.session_id)))
        effects.extend(self._drop(entry))
        effects.append(Ended(entry.id, None))
        return effects

    # --- frames from device ends --------------------------------------------------------------------------------

    def frame(self, router: str, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        """One frame came up through `router`. Raises BadFrame if it is no frame for a client end.

        A bad CDP payload ends its channel; other channels of the trunk are not concerned by either.
        """
        path = Path(router, frame.source, frame.link)
        if frame.kind == Kind.MSG:
            return self._message(frame, now, wall_ns)
        if frame.kind == Kind.CACK:
            return self._recorded(frame)
        if frame.kind == Kind.HELLO:
            return self._hello(path, frame, now, wall_ns)
        if frame.kind == Kind.OPENED:
            return self._opened(path, frame, now, wall_ns)
        if frame.kind == Kind.REFUSED:
            return self._refused(frame)
        if frame.kind == Kind.CLOSED:
            return self._freed(frame)
        raise errors.BadFrame(f"{frame.kind.name} is not for a client end")

    def _recorded(self, frame: Frame) -> list[Effect]:
        entry = self._bound(frame)
        if entry is None:
            return []
        effects: list[Effect] = []
        client_flow.trim(entry, frame.seq)
        client_flow.regulate(entry, self._limits, effects)
        return effects

    def _message(self, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        entry = self._bound(frame)
        if entry is None or frame.seq <= entry.received:
            return []
        if frame.seq != entry.received + 1 or not entry.assembler.follows(frame):
            return self._gap(entry, frame)
        try:
            payload = entry.assembler.whole(frame)
        except errors.BrowserGoError as error:
            return self._fail(entry, error)
        if payload is None:
            return []
        entry.received = frame.seq
        effects: list[Effect] = []
        head = pieces.read_head(payload)
        if head.id is not None:
            self._answer(entry, head.id, payload, effects, wall_ns)
        elif head.is_event:
            self._event(entry, payload, effects, now)
        else:
            return self._fail(
                entry, errors.BadMessage("the browser answered without an id; it could not read a command")
            )
        return effects

    def _gap(self, entry: Channel, frame: Frame) -> list[Effect]:
        """On a lost path, what is missing went down with it, and the next binding brings it again; else it is a bug."""
        if entry.lost:
            return []
        gap = f"part {frame.part} of message {frame.seq} after {entry.received}: a gap"
        return self._fail(entry, errors.BadFrame(gap))

    def _answer(self, entry: Channel, command_id: int, payload: Payload, effects: list[Effect], wall_ns: int) -> None:
        pending = entry.pending.pop(command_id, None)
        if pending is None or pending.answered:  # Playwright asserts on an answer it does not wait for
            self.late_answers += 1
            client_flow.skip(entry, len(payload), self._limits, self._edge, effects)
            client_flow.regulate(entry, self._limits, effects)
            return
        effects.append(
            client_endings.finished(entry, command_id, pending, size=len(payload), end_ns=wall_ns, error=None)
        )
        client_flow.pass_on(entry, payload, self._limits, self._edge, effects)
        client_flow.regulate(entry, self._limits, effects)

    def _event(self, entry: Channel, payload: Payload, effects: list[Effect], now: float) -> None:
        words = pieces.ends(payload)
        change = cdp.session_change(words)
        if change is not None and not change.attached:
            client_orphans.session_gone(entry, change.session_id, now + self._limits.orphan_patience_s)
        elif change is not None and len(entry.sessions) < self._limits.remembered_sessions:
            entry.sessions[change.session_id] = change.parent
        elif cdp.is_inspector_detached(words):
            entry.page_gone = True
        client_flow.pass_on(entry, payload, self._limits, self._edge, effects)
