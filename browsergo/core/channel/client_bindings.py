"""Which path each channel of a client end is on, and what happens while there is none (design/delivery.md, "Bindings").

A channel is bound by OPENED and HELLO, to one path at a time. When its path is gone it waits for the next one,
announces itself, and gives up when the resume window is over.
"""

from collections.abc import Iterator

from browsergo.core import errors
from browsergo.core.channel import client_deadlines, client_flow, client_frames, client_orphans, payloads
from browsergo.core.channel.client_state import Channel, DeviceView, Effect, Path, Upgraded
from browsergo.core.channel.client_table import ClientTable
from browsergo.core.channel.frames import NO_EDGE, Frame
from browsergo.core.ids import UNBOUND, Binding

DEVICE_NOT_HERE = "DEVICE_NOT_HERE"  # REFUSED by an edge that does not hold the device: ask the registry again


class ClientBindings(ClientTable):
    """The channels, bound and lost."""

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
            return self._new_boot(entry, path, at, hello, now) if at.epoch > entry.at.epoch else []
        if entry.id not in hello.held and at > entry.at:
            return self._fail(entry, errors.DeviceGone("the device no longer has this channel"))
        return []

    def _new_boot(self, entry: Channel, path: Path, at: Binding, hello: payloads.Hello, now: float) -> list[Effect]:
        if entry.exchanged:
            entry.path = path
            return self._fail(entry, errors.DeviceReplaced() if hello.took_over else errors.DeviceRestarted())
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
        times += [queue[0].due for e in entries for queue in (e.deadlines, e.orphans) if queue]
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
            if entry.id in self._channels:
                self._settle(entry, now, effects)
        return effects + self._announce(silent)

    def _settle(self, entry: Channel, now: float, effects: list[Effect]) -> None:
        """Answer commands that the browser will not answer, or not in time."""
        if entry.deadlines:
            client_deadlines.settle(entry, now, self._limits, self._edge, effects)
        if entry.orphans:
            client_orphans.settle(entry, now, self._limits, self._edge, effects)
