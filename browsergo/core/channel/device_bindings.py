"""Which link each channel of a device end is on, how channels begin and end (design/delivery.md, "Bindings").

Every HELLO and every OPENED takes a fresh number, so that frames of an older path are recognised and ignored.
"""

from collections.abc import Callable, Iterable

from browsergo.core import errors
from browsergo.core.channel import payloads
from browsergo.core.channel.device_state import (
    DeviceChannel,
    DeviceEffect,
    DeviceLimits,
    Dial,
    HangUp,
    Message,
    Pause,
    Transmit,
)
from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, Frame, Kind, Priority, chunked
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import Binding
from browsergo.core.tracing import NO_TRACE

# A client waits for these, and nothing of their channel is before them. CACK and CLOSED keep its class: what is queued
# before them would rise with them.
_PRIORITIES = {Kind.OPENED: Priority.CRITICAL, Kind.REFUSED: Priority.CRITICAL}


class DeviceBindings:
    """The channels of one agent run, each on one link at a time, or waiting for one."""

    def __init__(self, device: str, boot: str, draw: Callable[[int], int], limits: DeviceLimits | None = None) -> None:
        self._device = device
        self._boot = boot
        self._draw = draw
        self._limits = limits or DeviceLimits()
        self._epoch = 0
        self._took_over = False
        self._n = 0
        self._links: list[int] = []
        self._channels: dict[bytes, DeviceChannel] = {}
        self._edges: dict[int, None] = {}  # client edges this boot has served, in order of first sight
        self._total_bytes = 0
        self._told_on: int | None = None  # the link on which every edge was told of this boot
        self.duplicates = 0
        self.stale_frames = 0

    def __len__(self) -> int:
        return len(self._channels)

    # --- links --------------------------------------------------------------------------------------------------

    def registered(self, epoch: int, *, took_over: bool = False) -> None:
        """The registry gave this boot an epoch, maybe over another instance; links that come up now belong to it."""
        self._epoch = max(self._epoch, epoch)
        self._took_over |= took_over

    def link_up(self, link: int, now: float) -> list[DeviceEffect]:
        """A link connection is there. The first one makes the device ACTIVE and brings all channels home."""
        self._links.append(link)
        effects: list[DeviceEffect] = []
        self._tell_every_edge(link, now, effects)
        self._hello(link, NO_EDGE, (), now, effects)
        if len(self._links) == 1:
            for edge in self._edges:
                self._hello(link, edge, self._owned_by(edge), now, effects)
        return effects

    def link_lost(self, link: int, now: float) -> list[DeviceEffect]:
        """A link connection is gone: its channels move to another, or wait for one."""
        if link not in self._links:
            return []
        self._links.remove(link)
        effects: list[DeviceEffect] = []
        homeless = [entry for entry in self._channels.values() if entry.link == link]
        for entry in homeless:
            entry.link, entry.sent = None, None
            entry.link_by = now + self._limits.hold_without_link_s
        if self._links:
            home = self._links[-1]
            self._tell_every_edge(home, now, effects)
            for edge in self._edges:
                self._hello(home, edge, [entry for entry in homeless if entry.edge == edge], now, effects)
        return effects

    def _path_lost(self, link: int, edge: int, now: float) -> list[DeviceEffect]:
        if link not in self._links:
            return []
        effects: list[DeviceEffect] = []
        mine = [entry for entry in self._owned_by(edge) if entry.link in (link, None)]
        self._hello(link, edge, mine, now, effects)
        return effects

    def _tell_every_edge(self, link: int, now: float, effects: list[DeviceEffect]) -> None:
        """No edge may go on with what an older boot had. Once a link: with its link, what was told may be lost."""
        if self._told_on not in self._links:
            self._told_on = link
            self._hello(link, EVERY_EDGE, (), now, effects)

    def _owned_by(self, edge: int) -> list[DeviceChannel]:
        return [entry for entry in self._channels.values() if entry.edge == edge and not entry.dialing]

    def _hello(
        self, link: int, edge: int, entries: Iterable[DeviceChannel], now: float, effects: list[DeviceEffect]
    ) -> None:
        """Say which channels of `edge` live on `link` from here on, under a new number."""
        at = self._number()
        named: dict[bytes, payloads.Named] = {}
        for entry in entries:
            if entry.dialing:
                continue
            self._bind(entry, link, at, now)
            named[entry.id] = payloads.Named(entry.last, entry.born, entry.claim)
        held = frozenset(entry.id for entry in self._channels.values() if edge in (entry.edge, EVERY_EDGE))
        body = payloads.Hello(self._device, self._boot, named, held, self._took_over)
        effects.append(Transmit(link, Frame(Kind.HELLO, edge=edge, at=at, payload=payloads.encode_hello(body))))

    def _bind(self, entry: DeviceChannel, link: int, at: Binding, now: float) -> None:
        entry.at, entry.link, entry.sent, entry.link_by = at, link, None, None
        if entry.confirm_by is None:  # many HELLOs in a row give an orphan no more time
            entry.confirm_by = now + self._limits.orphan_after_s
        entry.assembler.reset()

    def _number(self) -> Binding:
        self._n += 1
        return Binding(self._epoch, self._n)

    # --- channels that begin ------------------------------------------------------------------------------------

    def _open(self, link: int, frame: Frame, now: float) -> list[DeviceEffect]:
        opening = payloads.decode_open(frame.payload)
        self._remember(frame.source)
        entry = self._channels.get(frame.channel)
        if entry is None:
            home = link if link in self._links else None
            entry = DeviceChannel(frame.channel, opening.claim, frame.source, opening.endpoint, home)
            self._channels[frame.channel] = entry
            return [Dial(entry.id, entry.endpoint)]
        if entry.claim != opening.claim:
            conflict = errors.DeviceConflict("the channel exists")
            return [self._refusal(link, frame.source, frame.channel, opening.claim, conflict)]
        entry.link = link if link in self._links else entry.link
        return [] if entry.dialing else self._say_opened(entry, now)  # asked again: the same channel, a new binding

    def _remember(self, edge: int) -> None:
        if edge not in self._edges and len(self._edges) >= self._limits.remembered_edges:
            used = {entry.edge for entry in self._channels.values()}
            for old in [old for old in self._edges if old not in used]:
                del self._edges[old]
        self._edges[edge] = None

    def dialed(self, channel: bytes, now: float) -> list[DeviceEffect]:
        """Chrome's socket for the channel is open."""
        entry = self._channels.get(channel)
        if entry is None:
            return [HangUp(channel)]
        if not entry.dialing:
            return []
        entry.dialing = False
        return self._say_opened(entry, now)

    def dial_failed(self, channel: bytes, error: errors.BrowserGoError) -> list[DeviceEffect]:
        """Chrome has no such target, or does not answer."""
        entry = self._channels.pop(channel, None)
        if entry is None or entry.link is None:
            return []
        return [self._refusal(entry.link, entry.edge, channel, entry.claim, error)]

    def _say_opened(self, entry: DeviceChannel, now: float) -> list[DeviceEffect]:
        if entry.link is None:
            if not self._links:
                entry.link_by = now + self._limits.hold_without_link_s
                return []  # the client end asks again, or a HELLO names it
            entry.link = self._links[-1]
        self._bind(entry, entry.link, self._number(), now)
        entry.born = entry.born or entry.at.n
        effects: list[DeviceEffect] = []
        body = payloads.Opened(self._boot, entry.claim, entry.last, entry.born)
        self._up(entry, Kind.OPENED, effects, payload=payloads.encode_opened(body))
        return effects

    def _refusal(self, link: int, edge: int, channel: bytes, claim: str, error: errors.BrowserGoError) -> Transmit:
        body = payloads.encode_ending(payloads.Ending(claim, error.code, error.message))
        at = Binding(self._epoch, self._n)
        frame = Frame(Kind.REFUSED, edge=edge, channel=channel, at=at, payload=body, priority=Priority.CRITICAL)
        return Transmit(link, frame)

    # --- channels that end --------------------------------------------------------------------------------------

    def _close(self, frame: Frame) -> list[DeviceEffect]:
        entry = self._channels.get(frame.channel)
        if entry is None or entry.claim != payloads.decode_claim(frame.payload):
            return []
        return self._forget(entry)

    def _free(self, entry: DeviceChannel, error: errors.BrowserGoError) -> list[DeviceEffect]:
        """End the channel and announce it; if that is lost, the next HELLO's `held` says it."""
        effects: list[DeviceEffect] = []
        body = payloads.Ending(entry.claim, error.code, error.message)
        kind = Kind.REFUSED if entry.dialing else Kind.CLOSED
        self._up(entry, kind, effects, payload=payloads.encode_ending(body))
        return effects + self._forget(entry)

    def _forget(self, entry: DeviceChannel) -> list[DeviceEffect]:
        del self._channels[entry.id]
        self._total_bytes -= entry.out_bytes
        effects: list[DeviceEffect] = [HangUp(entry.id)]
        self._read_on(effects)
        return effects

    # --- what goes up, and how much may wait for it -------------------------------------------------------------

    def _up(
        self,
        entry: DeviceChannel,
        kind: Kind,
        effects: list[DeviceEffect],
        *,
        seq: int = 0,
        payload: Payload = b"",
        message: Message | None = None,
    ) -> None:
        if entry.link is None:
            return
        trace, stamp, priority, flags = NO_TRACE, 0, _PRIORITIES.get(kind, Priority.NORMAL), 0
        if message is not None:
            _, payload, trace, stamp, priority, flags, _ = message
        frame = Frame(kind, flags, entry.edge, NO_EDGE, 0, entry.id, entry.at, seq, trace, stamp, priority=priority)
        effects.extend(Transmit(entry.link, piece) for piece in chunked(frame, payload))

    def _is_full(self, entry: DeviceChannel) -> bool:
        """Whether it holds too much; of the last eighth of the total each has its share, whatever others hold."""
        spared = self._limits.total_bytes // 8
        short = self._total_bytes >= self._limits.total_bytes - spared
        return entry.out_bytes >= self._limits.channel_bytes or (
            short and entry.out_bytes > spared // len(self._channels)
        )

    def _read_on(self, effects: list[DeviceEffect]) -> None:
        """There is room again: for this channel, or for another one if it was the total that was full."""
        for entry in self._channels.values():
            if entry.paused and not self._is_full(entry):
                entry.paused, entry.full_since = False, None
                effects.append(Pause(entry.id, False))
