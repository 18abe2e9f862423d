"""Which frame leaves next, on a trunk or a link: strict order inside a channel, turns by bytes between channels.

Frames wait in one lane a channel; those without a channel (HELLO, PATH_LOST, SPANS...) share a lane of the highest
class. A lane's class is the highest that is queued in it now, so a frame takes along what is before it in its channel.
It is a deficit round robin (Shreedhar and Varghese, 1995) inside each class, and between the classes as well:

- A lane at its turn may send what its credit allows and gets QUANTUM_BYTES of credit for its next turn. A chunk of
  128 KiB needs eight turns, so a small frame waits for a quantum of each other lane and not for a chunk of each.
- In a round a class may send its weight in quanta for each of its lanes, the highest class first. When no class that
  has frames has any of it left, the next round begins; what a class sent too much is taken from it then.

So critical, normal and low channels that all have frames get bytes as 64 : 8 : 1, and nobody starves. The bound (its
test computes it): with F the largest frame, Q the quantum and n the most lanes of its own class meanwhile, a lane needs
F/Q + 1 turns at most, and what each other one has saved up is below F + Q, so own = (n - 1) (2 F + 3 Q) bytes of its
class leave before its first frame. Its class (weight w) has sent as many after (own + F) / (w Q) + 1 rounds, in each
of which m lanes of another class (weight v) send v Q m. A lane that rises to a higher class begins to wait there anew.

What fits in one batch leaves as one, in order of arrival: lanes are made only when something must wait. Pushing and
taking cost the same whatever is queued, but for one step more for each quantum of a large frame. A channel without
frames is in no structure. Pure, without timers: who takes decides when.
"""

from collections import OrderedDict, deque
from typing import NamedTuple

from browsergo.core.channel.frames import BATCH_BYTES, HEADER_BYTES, Frame, Priority
from browsergo.core.ids import NO_CHANNEL

QUANTUM_BYTES = 16 << 10
WEIGHTS = {Priority.CRITICAL: 64, Priority.NORMAL: 8, Priority.LOW: 1}  # the highest class first


class Queued(NamedTuple):
    """A frame and when it was queued (Unix ns), for the span of its waiting."""

    frame: Frame
    since_ns: int


class _Lane:
    """The frames of one channel. `counts`: how many of each class; None while all are of `priority`."""

    __slots__ = ("channel", "counts", "credit", "frames", "priority")

    def __init__(self, channel: bytes, priority: int, credit: int) -> None:
        self.channel = channel
        self.priority = priority
        self.credit = credit
        self.frames: deque[Queued] = deque()
        self.counts: list[int] | None = None


class _Class:
    """The lanes of one class, in the order of their turns, and what it may still send in this round."""

    __slots__ = ("credit", "lanes", "share")

    def __init__(self, share: int) -> None:
        self.share = share  # of one lane in one round
        self.credit = share
        self.lanes: OrderedDict[bytes, _Lane] = OrderedDict()

    def refill(self) -> None:
        """A new round."""
        self.credit = min(self.credit, 0) + self.share * (len(self.lanes) or 1)

    def remove(self, channel: bytes) -> None:
        """A lane leaves, and its share of the round with it."""
        del self.lanes[channel]
        self.credit = min(self.credit, self.share * (len(self.lanes) or 1))


class FrameQueue:
    """The frames that wait for one stream. It has no bound of its own: `queued_bytes` is for who feeds it.

    `batch_bytes`, for who empties it, is how large a batch may be.
    """

    def __init__(self, quantum_bytes: int = QUANTUM_BYTES, batch_bytes: int = BATCH_BYTES) -> None:
        self._quantum_bytes = quantum_bytes
        self.batch_bytes = batch_bytes
        self._arrived: list[Queued] = []  # since the last batch; in no lane yet
        self._lanes: dict[bytes, _Lane] = {}
        self._classes = {priority: _Class(weight * quantum_bytes) for priority, weight in WEIGHTS.items()}
        self.queued_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._arrived or self._lanes)

    def push(self, frame: Frame, now_ns: int) -> None:
        """Queue a frame that came at `now_ns` (Unix ns)."""
        self._arrived.append(Queued(frame, now_ns))
        self.queued_bytes += HEADER_BYTES + len(frame.payload)

    def take_batch(self) -> list[Queued]:
        """What makes one batch: at most `batch_bytes`, or one larger frame; [] if nothing is queued."""
        arrived, self._arrived = self._arrived, []
        if self.queued_bytes <= self.batch_bytes and not self._lanes:
            self.queued_bytes = 0
            return arrived
        for queued in arrived:
            self._sort_in(queued)
        taken = self._take_in_turn()
        self.queued_bytes -= sum(HEADER_BYTES + len(queued.frame.payload) for queued in taken)
        return taken

    def clear(self) -> None:
        """Drop all."""
        self._arrived.clear()
        self._lanes.clear()
        for each in self._classes.values():
            each.lanes.clear()
        self.queued_bytes = 0

    # --- into the lanes -----------------------------------------------------------------------------------------

    def _sort_in(self, queued: Queued) -> None:
        channel, priority = queued.frame.channel, queued.frame.priority
        lane = self._lanes.get(channel)
        if lane is None:
            lane = self._open_lane(channel, priority if channel != NO_CHANNEL else Priority.CRITICAL)
        elif priority != lane.priority or lane.counts is not None:
            self._count(lane, priority)
        lane.frames.append(queued)

    def _open_lane(self, channel: bytes, priority: int) -> _Lane:
        lane = _Lane(channel, priority, self._quantum_bytes)
        self._lanes[channel] = self._classes[priority].lanes[channel] = lane
        return lane

    def _count(self, lane: _Lane, priority: int) -> None:
        """A frame joins a lane that has, or has had, frames of several classes."""
        if lane.channel == NO_CHANNEL:
            return
        if lane.counts is None:
            lane.counts = [0] * len(WEIGHTS)
            lane.counts[lane.priority] = len(lane.frames)
        lane.counts[priority] += 1
        self._classify(lane, lane.counts)

    def _classify(self, lane: _Lane, counts: list[int]) -> None:
        """Put the lane last in the class that is the highest queued in it, unless it is there already."""
        highest = next(priority for priority in WEIGHTS if counts[priority])
        if highest != lane.priority:
            self._classes[lane.priority].remove(lane.channel)
            lane.priority = highest
            self._classes[highest].lanes[lane.channel] = lane

    # --- out of them --------------------------------------------------------------------------------------------

    def _take_in_turn(self) -> list[Queued]:
        taken: list[Queued] = []
        room = self.batch_bytes
        while self._lanes:
            due = self._due()
            lane = next(iter(due.lanes.values()))
            size = HEADER_BYTES + len(lane.frames[0].frame.payload)
            if size > lane.credit:
                lane.credit += self._quantum_bytes
                due.lanes.move_to_end(lane.channel)
            elif size > room and taken:
                break
            else:
                room -= self._serve(due, lane, max(size, room), taken)
        return taken

    def _due(self) -> _Class:
        """The highest class that has frames and may send in this round."""
        while True:
            for due in self._classes.values():
                if due.lanes and due.credit > 0:
                    return due
            for each in self._classes.values():
                each.refill()

    def _serve(self, due: _Class, lane: _Lane, room: int, taken: list[Queued]) -> int:
        """Take a lane's first frame, and more until its turn is over; how many bytes."""
        frames, counts = lane.frames, lane.counts
        allowed = min(lane.credit, room)
        spent = 0
        size = HEADER_BYTES + len(frames[0].frame.payload)
        while spent + size <= allowed:
            queued = frames.popleft()
            taken.append(queued)
            spent += size
            if counts is not None:
                counts[queued.frame.priority] -= 1
            if not frames or spent >= due.credit:
                break
            size = HEADER_BYTES + len(frames[0].frame.payload)
        lane.credit -= spent
        due.credit -= spent
        if not frames:
            del self._lanes[lane.channel]
            due.remove(lane.channel)
        elif counts is not None:
            self._classify(lane, counts)
        return spent
