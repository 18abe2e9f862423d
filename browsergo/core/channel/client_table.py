"""The table of the channels of a client end: what there is, what is sent for it, and how each ends.

Times: `now` monotonic seconds, `wall_ns` Unix nanoseconds.
"""

from collections.abc import Callable

from browsergo.core import errors
from browsergo.core.channel import client_endings, client_flow, client_frames
from browsergo.core.channel.client_state import (
    Channel,
    ClientLimits,
    DeviceView,
    Effect,
    Ended,
    Refused,
    Seek,
    Send,
    Sent,
)
from browsergo.core.channel.frames import Frame, chunked


class ClientTable:
    """The channels of one process. `edge` is its address, `draw(bits)` gives random numbers."""

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
        return sum(not each.answered for entry in self._channels.values() for each in entry.pending.values())

    def has_channels(self, device: str) -> bool:
        """Whether clients of the device are here."""
        known = self._devices.get(device)
        return known is not None and bool(known.channels)

    def buffered_bytes(self) -> dict[bytes, int]:
        """What is kept here of each channel, for its client and for its browser; costs a look at every message."""
        return {entry.id: client_flow.buffered_bytes(entry) for entry in self._channels.values()}

    def _device(self, device: str) -> DeviceView:
        """Its record; kept when its last channel is gone (it fences old epochs), but only so many."""
        if device not in self._devices and len(self._devices) >= self._limits.remembered_devices:
            for name in [name for name, known in self._devices.items() if not known.channels]:
                del self._devices[name]
        return self._devices.setdefault(device, DeviceView())

    def _bound(self, frame: Frame) -> Channel | None:
        entry = self._channels.get(frame.channel)
        if entry is None or entry.opening or frame.at != entry.at:
            self.stale_frames += 1
            return None
        return entry

    def _put(self, entry: Channel, sent: Sent, effects: list[Effect], stamp: int) -> None:
        if entry.path is not None:
            entry.written = max(entry.written, sent.seq)
            frame = client_frames.command(entry, entry.path, sent, self._edge, stamp)
            effects.extend(Send(entry.path, piece) for piece in chunked(frame, frame.payload))

    def _ask_open(self, entry: Channel) -> Seek:
        return client_frames.open_request(entry, self._edge, self._edge_id)

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
