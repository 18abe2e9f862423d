"""The client end: all exactly-once state of the channels whose clients this process holds.

Commands get consecutive numbers, are kept until the device end has recorded them, and are replayed
in order when a new path binds; messages are taken in order, once; what cannot be saved is answered
once, truthfully (design/delivery.md). Pure: `happened(..., now) -> effects`, `next_deadline`, `tick`.

One ClientEnds serves one process. Times: `now` monotonic seconds, `wall_ns` Unix nanoseconds.
"""

from collections.abc import Callable, Iterator

from browsergo.core import cdp, errors, relay_messages
from browsergo.core.channel import (
    client_endings,
    client_flow,
    client_frames,
    client_orphans,
    payloads,
    pieces,
    priorities,
)
from browsergo.core.channel.client_state import (
    Channel,
    ClientLimits,
    Deliver,
    DeviceView,
    Effect,
    Ended,
    Path,
    Pending,
    Refused,
    Seek,
    Send,
    Sent,
    Upgraded,
)
from browsergo.core.channel.frames import NO_EDGE, Frame, Kind, chunked
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import UNBOUND, Binding
from browsergo.core.tracing import Traceparent

DEVICE_NOT_HERE = "DEVICE_NOT_HERE"  # REFUSED by an edge that does not hold the device: ask the registry again
NOT_OFFERED = frozenset({"Browser.crash", "Browser.crashGpuProcess"})


class ClientEnds:
    """All client ends of one process. `edge` is its address, `draw(bits)` gives random numbers."""

    def __init__(self, edge: int, edge_id: str, draw: Callable[[int], int], limits: ClientLimits | None = None) -> None:
        self._edge = edge
        self._edge_id = edge_id
        self._draw = draw
        self._limits = self._full_limits = limits or ClientLimits()
        self._channels: dict[bytes, Channel] = {}
        self._devices: dict[str, DeviceView] = {}
        self.late_answers = 0
        self.stale_frames = 0

    def __len__(self) -> int:
        return len(self._channels)

    @property
    def pending_commands(self) -> int:
        """Commands of all clients that have no answer yet."""
        return sum(len(entry.pending) for entry in self._channels.values())

    def has_channels(self, device: str) -> bool:
        """Whether clients of the device are here."""
        known = self._devices.get(device)
        return known is not None and bool(known.channels)

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

    def _device(self, device: str) -> DeviceView:
        """Its record; kept when its last channel is gone (it fences old epochs), but only so many."""
        if device not in self._devices and len(self._devices) >= self._limits.remembered_devices:
            for name in [name for name, known in self._devices.items() if not known.channels]:
                del self._devices[name]
        return self._devices.setdefault(device, DeviceView())

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
        return self._accept(entry, command, payload, wall_ns)

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

    def buffered_bytes(self) -> dict[bytes, int]:
        """What is kept here of each channel, for its client and for its browser; costs a look at every message."""
        return {entry.id: client_flow.buffered_bytes(entry) for entry in self._channels.values()}

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

    def _accept(self, entry: Channel, command: cdp.Command, payload: bytes, wall_ns: int) -> list[Effect]:
        entry.seq += 1
        caller = entry.caller
        trace_id = caller.trace_id if caller else self._draw(128).to_bytes(16)
        trace = trace_id + (self._draw(64) or 1).to_bytes(8)
        entry.pending[command.id] = Pending(
            entry.seq, command.session_id, command.method, trace, caller.span_id if caller else b"", wall_ns
        )
        sent = Sent(entry.seq, payload, trace, priorities.of_command(command.method))
        client_flow.keep(entry, sent)
        effects: list[Effect] = []
        if not entry.lost:
            self._put(entry, sent, effects, wall_ns)
        client_flow.regulate(entry, self._limits, effects)
        return effects

    def _put(self, entry: Channel, sent: Sent, effects: list[Effect], stamp: int) -> None:
        if entry.path is not None:
            entry.written = max(entry.written, sent.seq)
            frame = client_frames.command(entry, entry.path, sent, self._edge, stamp)
            effects.extend(Send(entry.path, piece) for piece in chunked(frame, frame.payload))

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

    def _bound(self, frame: Frame) -> Channel | None:
        entry = self._channels.get(frame.channel)
        if entry is None or entry.opening or frame.at != entry.at:
            self.stale_frames += 1
            return None
        return entry

    def _message(self, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        entry = self._bound(frame)
        if entry is None or frame.seq <= entry.received:
            return []
        if frame.seq != entry.received + 1:
            return self._gap(entry, frame.seq)
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

    def _gap(self, entry: Channel, seq: int) -> list[Effect]:
        """On a lost path, what is missing went down with it, and the next binding brings it again; else it is a bug."""
        if entry.lost:
            return []
        return self._fail(entry, errors.BadFrame(f"message {seq} after {entry.received}: a gap"))

    def _answer(self, entry: Channel, command_id: int, payload: Payload, effects: list[Effect], wall_ns: int) -> None:
        pending = entry.pending.pop(command_id, None)
        if pending is None:  # Playwright asserts on an answer it did not ask for
            self.late_answers += 1
            client_flow.skip(entry, len(payload), self._limits, self._edge, effects)
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

    # --- bindings -----------------------------------------------------------------------------------------------

    def _fresh(self, device: str, at: Binding) -> DeviceView | None:
        """The device's record, unless `at` is of an epoch that is over."""
        known = self._devices.get(device)
        if known is None:
            return DeviceView()  # nothing of it lives here; what the frame names is closed
        if at.epoch < known.epoch:
            self.stale_frames += 1
            return None
        known.epoch = at.epoch
        return known

    def _hello(self, path: Path, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        hello = payloads.decode_hello(frame.payload)
        device = self._fresh(hello.device, frame.at)
        if device is None:
            return []
        device.last_hello = max(device.last_hello, frame.at)
        effects: list[Effect] = []
        for channel, named in hello.named.items():
            entry = device.channels.get(channel)
            if entry is None or entry.claim != named.claim:
                effects.append(client_frames.close(path, frame.at, channel, named.claim, self._edge))
            elif entry.opening:  # the OPENED was lost: ask again
                effects.append(self._ask_open(entry))
            elif frame.at > entry.at:
                body = payloads.Opened(hello.boot, named.claim, named.last, named.born)
                effects.extend(self._bind(entry, path, frame.at, body, wall_ns))
        for entry in list(device.channels.values()):
            if entry.id not in hello.named and not entry.opening:
                effects.extend(self._unnamed(entry, path, frame.at, hello, now))
        return effects

    def _unnamed(self, entry: Channel, path: Path, at: Binding, hello: payloads.Hello, now: float) -> list[Effect]:
        if entry.boot != hello.boot:
            return self._new_boot(entry, path, at, now) if at.epoch > entry.at.epoch else []
        if entry.id not in hello.held and at > entry.at:
            return self._fail(entry, errors.DeviceGone("the device no longer has this channel"))
        return []

    def _new_boot(self, entry: Channel, path: Path, at: Binding, now: float) -> list[Effect]:
        if entry.exchanged:
            entry.path = path
            return self._fail(entry, errors.DeviceRestarted())
        # Nothing was ever exchanged: open afresh. The old binding ends now, or a late event of it would count.
        entry.opening, entry.lost, entry.path, entry.at = True, True, None, Binding(at.epoch, 0)
        entry.deadline, entry.retry_at = now + self._limits.resume_window_s, now + self._limits.open_retry_s
        entry.assembler.reset()
        return [self._ask_open(entry)]

    def _opened(self, path: Path, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        opened = payloads.decode_opened(frame.payload)
        entry = self._channels.get(frame.channel)
        if entry is None or entry.claim != opened.claim:
            return [client_frames.close(path, frame.at, frame.channel, opened.claim, self._edge)]
        device = self._fresh(entry.device, frame.at)
        if device is None:
            return []
        effects: list[Effect] = []
        if entry.opening:
            if frame.at < device.last_hello:  # a HELLO since may have said that it is gone
                return [self._ask_open(entry)]
            entry.opening, entry.boot, entry.born = False, opened.boot, opened.born
            if not entry.upgraded:
                entry.upgraded = True
                effects.append(Upgraded(entry.id))
        elif frame.at <= entry.at:
            return []
        return effects + self._bind(entry, path, frame.at, opened, wall_ns)

    def _bind(self, entry: Channel, path: Path, at: Binding, opened: payloads.Opened, wall_ns: int) -> list[Effect]:
        """A newer path: say where we are, then replay in order what was not recorded."""
        if (opened.boot, opened.born) != (entry.boot, entry.born):
            if entry.exchanged:
                entry.path = path  # the CLOSE must reach the agent that just named it
                return self._fail(entry, errors.DeviceRestarted())
            entry.boot, entry.born = opened.boot, opened.born
        entry.at, entry.path, entry.lost = at, path, False
        entry.deadline = entry.retry_at = None
        entry.assembler.reset()
        client_flow.trim(entry, opened.last)
        entry.granted, entry.ungranted_bytes = entry.consumed, 0
        effects: list[Effect] = [client_frames.resume(entry, path, self._edge, self._limits.window)]
        for sent in entry.unaccepted:
            self._put(entry, sent, effects, wall_ns)
        client_flow.regulate(entry, self._limits, effects)
        return effects

    def _ask_open(self, entry: Channel) -> Seek:
        return client_frames.open_request(entry, self._edge, self._edge_id)

    def _refused(self, frame: Frame) -> list[Effect]:
        refusal = payloads.decode_ending(frame.payload)
        entry = self._channels.get(frame.channel)
        if entry is None or not entry.opening or entry.claim != refusal.claim or refusal.code == DEVICE_NOT_HERE:
            return []
        if UNBOUND.epoch < frame.at.epoch < entry.at.epoch:  # of a boot that is over; an edge's own is of no epoch
            self.stale_frames += 1
            return []
        return self._fail(entry, errors.from_code(refusal.code, refusal.message))

    def _freed(self, frame: Frame) -> list[Effect]:
        ending = payloads.decode_ending(frame.payload)
        entry = self._channels.get(frame.channel)
        if entry is None or entry.opening or entry.claim != ending.claim or frame.at.epoch < entry.at.epoch:
            return []
        return self._fail(entry, errors.from_code(ending.code, ending.message))

    # --- paths that die -----------------------------------------------------------------------------------------

    def router_lost(self, router: str, now: float) -> list[Effect]:
        """The trunk to this router is gone: channels on it announce themselves through another."""
        lost = self._lose((e for e in self._channels.values() if e.path and e.path.router == router), now)
        return self._announce({(entry.device, entry.path.edge) for entry in lost if entry.path})

    def edge_lost(self, edge: int, now: float, router: str = "") -> list[Effect]:
        """The router ("": any) has no trunk to this edge run any more: ask where the device is now."""
        on_it = (entry for entry in self._channels.values() if entry.path and entry.path.edge == edge)
        lost = self._lose((e for e in on_it if e.path and router in ("", e.path.router)), now)
        return self._announce({(entry.device, NO_EDGE) for entry in lost})

    def link_lost(self, edge: int, link: int, now: float) -> list[Effect]:
        """A link connection (0: all) of the device's edge is gone; the agent will say where its channels live now."""
        self._lose(
            (e for e in self._channels.values() if e.path and e.path.edge == edge and link in (0, e.path.link)), now
        )
        return []

    def _lose(self, entries: Iterator[Channel], now: float) -> list[Channel]:
        lost = [entry for entry in entries if not entry.lost]
        for entry in lost:
            entry.lost = True
            entry.deadline = now + self._limits.resume_window_s
            entry.retry_at = now + self._limits.announce_every_s
        return lost

    def _announce(self, devices: set[tuple[str, int]]) -> list[Effect]:
        """Once for all channels of a device: the HELLO that answers names them all."""
        return [client_frames.announcement(device, edge, self._edge) for device, edge in sorted(devices)]

    def next_deadline(self) -> float | None:
        """When `tick` must be called next, on the monotonic clock."""
        entries = self._channels.values()
        times = [t for e in entries for t in (e.deadline, e.retry_at) if t is not None]
        times += [e.orphans[0].due for e in entries if e.orphans]
        return min(times, default=None)

    def tick(self, now: float) -> list[Effect]:
        """Time passed: ask again, or give up."""
        effects: list[Effect] = []
        silent: set[tuple[str, int]] = set()  # lost devices; the edge that had them may be what was lost
        for entry in list(self._channels.values()):
            if entry.deadline is not None and now >= entry.deadline:
                late = errors.DeadlineExceeded("the device did not answer the OPEN in time")
                lost = errors.DeviceLost("the device did not come back in time")
                effects.extend(self._fail(entry, lost if entry.upgraded else late))
            elif entry.retry_at is not None and now >= entry.retry_at:
                limits = self._limits
                entry.retry_at = now + (limits.open_retry_s if entry.opening else limits.announce_every_s)
                if entry.opening:
                    effects.append(self._ask_open(entry))
                else:
                    silent.add((entry.device, NO_EDGE))
            elif entry.orphans:
                client_orphans.settle(entry, now, self._limits, self._edge, effects)
        return effects + self._announce(silent)

    # --- ends ---------------------------------------------------------------------------------------------------

    def _fail(self, entry: Channel, error: errors.BrowserGoError) -> list[Effect]:
        """Tell the device end, then the client: errors, detached events, close (or the refusal of its upgrade)."""
        effects = self._drop(entry)
        if not entry.upgraded:
            return [*effects, Refused(entry.id, error)]
        return [*effects, *client_endings.last_words(entry, error), Ended(entry.id, error)]

    def _drop(self, entry: Channel) -> list[Effect]:
        """Forget the channel. The CLOSE goes by its last path; if that is lost, the next HELLO that names it asks."""
        del self._channels[entry.id]
        del self._devices[entry.device].channels[entry.id]
        if entry.path is None:
            return []
        return [client_frames.close(entry.path, entry.at, entry.id, entry.claim, self._edge)]
