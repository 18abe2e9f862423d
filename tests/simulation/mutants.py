"""The cores with one rule of design/delivery.md broken each: the simulation must catch every one, or it proves nothing.

Some rules guard the same thing twice (a duplicate is stopped by its binding and by its number); those are broken
together.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from browsergo.core import errors
from browsergo.core.channel import payloads
from browsergo.core.channel.client_end import ClientEnds
from browsergo.core.channel.client_state import Channel, Effect, Path, Seek
from browsergo.core.channel.device_end import DeviceEffect, DeviceEnd, Transmit
from browsergo.core.channel.device_state import DeviceChannel
from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, Frame, Kind
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import Binding
from tests.simulation.cast import Mode

# --- the device end ---------------------------------------------------------------------------------------------------


class _NoBindingAtTheDevice(DeviceEnd):
    def _bound(self, frame: Frame) -> DeviceChannel | None:
        entry = self._channels.get(frame.channel)
        return None if entry is None or entry.dialing else entry


class ExecutesDuplicates(_NoBindingAtTheDevice):
    def _command(self, frame: Frame) -> list[DeviceEffect]:
        entry = self._channels.get(frame.channel)
        if entry is not None and frame.seq <= entry.last:
            entry.last = frame.seq - 1
        return super()._command(frame)


class ExecutesAfterGaps(DeviceEnd):
    def _command(self, frame: Frame) -> list[DeviceEffect]:
        entry = self._bound(frame)
        if entry is not None and frame.seq > entry.last:
            entry.last = frame.seq - 1
        return super()._command(frame)


class TrimsOnSend(DeviceEnd):
    def _flush(self, entry: DeviceChannel, effects: list[DeviceEffect]) -> None:
        if entry.sent is not None:  # what a RESUME asks for and is trimmed cannot be sent again
            entry.sent = max(entry.sent, entry.next_seq - 1 - len(entry.out))
        super()._flush(entry, effects)
        while entry.sent is not None and entry.out and entry.out[0].seq <= entry.sent:
            entry.out_bytes -= entry.out.popleft().size


class PathLostIgnored(DeviceEnd):
    def _path_lost(self, link: int, edge: int, now: float) -> list[DeviceEffect]:
        return []


class PathLostKeepsNumber(DeviceEnd):
    def _path_lost(self, link: int, edge: int, now: float) -> list[DeviceEffect]:
        self._n -= 1
        return super()._path_lost(link, edge, now)


class HelloOnlyIfNamed(DeviceEnd):
    """Says nothing to client edges none of whose channels move, nor that the boot is new; absence would have spoken."""

    def _hello(
        self, link: int, edge: int, entries: Iterable[DeviceChannel], now: float, effects: list[DeviceEffect]
    ) -> None:
        named = [entry for entry in entries if not entry.dialing]
        if named or edge == NO_EDGE:  # the latter is for the device's own edge: its link counts
            super()._hello(link, edge, named, now, effects)


class FreesSilently(DeviceEnd):
    def _free(self, entry: DeviceChannel, error: errors.BrowserGoError) -> list[DeviceEffect]:
        return self._forget(entry)


class OpenAgainResets(DeviceEnd):
    def _open(self, link: int, frame: Frame, now: float) -> list[DeviceEffect]:
        entry = self._channels.get(frame.channel)
        if entry is not None:
            entry.last, entry.next_seq, entry.acked = 0, 1, 0
            entry.out.clear()
        return super()._open(link, frame, now)


class _NamesMore(DeviceEnd):
    """Names also what does not move to this link."""

    def _named_too(self, entry: DeviceChannel, link: int, edge: int) -> bool:
        raise NotImplementedError

    def _hello(
        self, link: int, edge: int, entries: Iterable[DeviceChannel], now: float, effects: list[DeviceEffect]
    ) -> None:
        super()._hello(link, edge, entries, now, effects)
        hello = effects[-1]
        if edge in (NO_EDGE, EVERY_EDGE) or not isinstance(hello, Transmit):
            return
        body = payloads.decode_hello(hello.frame.payload)
        for entry in self._channels.values():
            if not entry.dialing and self._named_too(entry, link, edge):
                body.named[entry.id] = payloads.Named(entry.last, entry.born, entry.claim)
        effects[-1] = hello._replace(frame=hello.frame._replace(payload=payloads.encode_hello(body)))


class NamesAllOnEveryLink(_NamesMore):
    def _named_too(self, entry: DeviceChannel, link: int, edge: int) -> bool:
        return entry.edge == edge


class NamesChannelsOfOtherEdges(_NamesMore):
    def _named_too(self, entry: DeviceChannel, link: int, edge: int) -> bool:
        return entry.link == link


class ObeysAnyClaim(DeviceEnd):
    def _close(self, frame: Frame) -> list[DeviceEffect]:
        entry = self._channels.get(frame.channel)
        return [] if entry is None else self._forget(entry)


class NoCredit(DeviceEnd):
    def _flush(self, entry: DeviceChannel, effects: list[DeviceEffect]) -> None:
        limits = self._limits
        self._limits = replace(limits, credit_messages=1 << 30, credit_bytes=1 << 30)
        super()._flush(entry, effects)
        self._limits = limits


class WaitsForRoom(DeviceEnd):
    """A message that exceeds the rest of the window waits until it fits, or is alone."""

    def _flush(self, entry: DeviceChannel, effects: list[DeviceEffect]) -> None:
        first = entry.out[len(entry.out) - entry.unsent] if entry.unsent else None
        flying = first is not None and first.seq - 1 > entry.acked
        if first is None or not flying or entry.flying_bytes + first.size <= self._limits.credit_bytes:
            super()._flush(entry, effects)


class NeverSendsLarge(DeviceEnd):
    """A message that exceeds the whole window waits for ever."""

    def _flush(self, entry: DeviceChannel, effects: list[DeviceEffect]) -> None:
        first = entry.out[len(entry.out) - entry.unsent] if entry.unsent else None
        if first is None or first.size <= self._limits.credit_bytes:
            super()._flush(entry, effects)


class SlowAtOnce(DeviceEnd):
    def message(
        self, channel: bytes, payload: Payload, now: float, wall_ns: int, deflated: Payload | None = None
    ) -> list[DeviceEffect]:
        effects = super().message(channel, payload, now, wall_ns, deflated)
        entry = self._channels.get(channel)
        return [*effects, *self._free(entry, errors.SlowConsumer())] if entry and entry.paused else effects


# --- the client end ---------------------------------------------------------------------------------------------------


class TakesAnyPartOfAMessage(ClientEnds):
    def _message(self, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        entry = self._bound(frame)
        if entry is not None:
            entry.assembler._next = frame.part
        return super()._message(frame, now, wall_ns)


class BindingIgnored(ClientEnds):
    def _bound(self, frame: Frame) -> Channel | None:
        return self._channels.get(frame.channel)


class HelloOfTheSameEpochIgnored(ClientEnds):
    """Binds by epochs alone."""

    def _hello(self, path: Path, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        hello = payloads.decode_hello(frame.payload)
        for channel in list(hello.named):
            entry = self._channels.get(channel)
            if entry is not None and not entry.opening and frame.at.epoch == entry.at.epoch:
                del hello.named[channel]
        return super()._hello(path, frame._replace(payload=payloads.encode_hello(hello)), now, wall_ns)


class HelloCompletesOpen(ClientEnds):
    """Takes a HELLO that names an opening channel for its OPENED."""

    def _hello(self, path: Path, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        hello = payloads.decode_hello(frame.payload)
        effects: list[Effect] = []
        for channel, named in hello.named.items():
            entry = self._channels.get(channel)
            if entry is not None and entry.opening:
                body = payloads.encode_opened(payloads.Opened(hello.boot, named.claim, named.last, named.born))
                opened = frame._replace(kind=Kind.OPENED, channel=channel, payload=body)
                effects += self._opened(path, opened, now, wall_ns)
        return effects + super()._hello(path, frame, now, wall_ns)


class TakesMessagesTwice(BindingIgnored):
    def _message(self, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        entry = self._bound(frame)
        if entry is not None and frame.seq <= entry.received:
            entry.received = frame.seq - 1
        return super()._message(frame, now, wall_ns)


class ReplaysReversed(ClientEnds):
    def _bind(self, entry: Channel, path: Path, at: Binding, opened: payloads.Opened, wall_ns: int) -> list[Effect]:
        while entry.unaccepted and entry.unaccepted[0].seq <= opened.last:
            entry.unaccepted_bytes -= len(entry.unaccepted.popleft().payload)
        entry.unaccepted.reverse()
        effects = super()._bind(entry, path, at, opened, wall_ns)
        entry.unaccepted.reverse()
        return effects


class NoReplay(ClientEnds):
    def _bind(self, entry: Channel, path: Path, at: Binding, opened: payloads.Opened, wall_ns: int) -> list[Effect]:
        entry.unaccepted.clear()
        return super()._bind(entry, path, at, opened, wall_ns)


class NoIfUnacknowledged(ClientEnds):
    def _fail(self, entry: Channel, error: errors.BrowserGoError) -> list[Effect]:
        if entry.unaccepted:
            entry.written = min(entry.written, entry.unaccepted[0].seq - 1)
        return super()._fail(entry, error)


class ResumeGrantsWhatIsReceived(ClientEnds):
    def _bind(self, entry: Channel, path: Path, at: Binding, opened: payloads.Opened, wall_ns: int) -> list[Effect]:
        consumed, entry.consumed = entry.consumed, entry.received
        effects = super()._bind(entry, path, at, opened, wall_ns)
        entry.consumed = consumed
        return effects


class AbsenceIgnored(ClientEnds):
    def _unnamed(self, entry: Channel, path: Path, at: Binding, hello: payloads.Hello, now: float) -> list[Effect]:
        return [] if entry.boot == hello.boot else super()._unnamed(entry, path, at, hello, now)


class AbsentIsUnnamed(ClientEnds):
    def _unnamed(self, entry: Channel, path: Path, at: Binding, hello: payloads.Hello, now: float) -> list[Effect]:
        return super()._unnamed(entry, path, at, hello._replace(held=frozenset()), now)


class AbsenceOfAnyAge(ClientEnds):
    """Believes that a channel was freed before it was opened."""

    def _unnamed(self, entry: Channel, path: Path, at: Binding, hello: payloads.Hello, now: float) -> list[Effect]:
        newer = at if entry.boot != hello.boot else max(at, entry.at._replace(n=entry.at.n + 1))
        return super()._unnamed(entry, path, newer, hello, now)


class BirthIgnored(ClientEnds):
    """Takes a channel that the same boot has made anew for the one it was."""

    def _bind(self, entry: Channel, path: Path, at: Binding, opened: payloads.Opened, wall_ns: int) -> list[Effect]:
        entry.born = opened.born
        return super()._bind(entry, path, at, opened, wall_ns)


class BootLearntLate(ClientEnds):
    """Binds a channel to the boot of the HELLO that comes next, not to the one that opened it."""

    def _opened(self, path: Path, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        effects = super()._opened(path, frame, now, wall_ns)
        entry = self._channels.get(frame.channel)
        if entry is not None and entry.at == frame.at:
            entry.boot = ""
        return effects

    def _bind(self, entry: Channel, path: Path, at: Binding, opened: payloads.Opened, wall_ns: int) -> list[Effect]:
        if entry.boot == "":
            entry.boot, entry.born = opened.boot, opened.born
        return super()._bind(entry, path, at, opened, wall_ns)

    def _new_boot(self, entry: Channel, path: Path, at: Binding, hello: payloads.Hello, now: float) -> list[Effect]:
        written, received = entry.written, entry.received
        if entry.boot == "":
            entry.written = entry.received = 0
        effects = super()._new_boot(entry, path, at, hello, now)
        entry.written, entry.received = written, received
        return effects


class RoutesById(ClientEnds):
    """An answer goes to the first client that waits for its id."""

    def _answer(self, entry: Channel, command_id: int, payload: Payload, effects: list[Effect], wall_ns: int) -> None:
        first = next((other for other in self._channels.values() if command_id in other.pending), entry)
        super()._answer(first, command_id, payload, effects, wall_ns)


class NewBootIgnored(ClientEnds):
    def _unnamed(self, entry: Channel, path: Path, at: Binding, hello: payloads.Hello, now: float) -> list[Effect]:
        return [] if entry.boot != hello.boot else super()._unnamed(entry, path, at, hello, now)


class NeverAnnounces(ClientEnds):
    def _announce(self, devices: set[tuple[str, int]]) -> list[Effect]:
        return []


class UnknownClaimKept(ClientEnds):
    def _opened(self, path: Path, frame: Frame, now: float, wall_ns: int) -> list[Effect]:
        known = frame.channel in self._channels
        return super()._opened(path, frame, now, wall_ns) if known else []


class SaysNoOfWhatWentOut(ClientEnds):
    """Commands whose deadline passes are answered `no` although they were written."""

    def _settle(self, entry: Channel, now: float, effects: list[Effect]) -> None:
        written, entry.written = entry.written, 0
        super()._settle(entry, now, effects)
        entry.written = written


class OpenNotRepeated(ClientEnds):
    def _ask_open(self, entry: Channel) -> Seek:
        entry.retry_at = None
        return super()._ask_open(entry)


class Mutant(NamedTuple):
    """A broken rule and the world in which it shows."""

    name: str
    mode: Mode


def _device(cls: type[DeviceEnd], *, gentle: bool = False, patient: bool = False) -> Mutant:
    return Mutant(cls.__name__, Mode(gentle=gentle, patient=patient, device_end=cls))


def _client(cls: type[ClientEnds], *, gentle: bool = False, patient: bool = False) -> Mutant:
    return Mutant(cls.__name__, Mode(gentle=gentle, patient=patient, client_ends=cls))


MUTANTS = [
    _device(ExecutesDuplicates),
    _device(ExecutesAfterGaps, gentle=True),
    _device(TrimsOnSend),
    _device(PathLostIgnored, gentle=True),
    _device(PathLostKeepsNumber),
    _device(HelloOnlyIfNamed, patient=True),
    _device(FreesSilently, patient=True),
    _device(OpenAgainResets),
    _device(NamesAllOnEveryLink, gentle=True),
    _device(NamesChannelsOfOtherEdges),
    _device(ObeysAnyClaim, gentle=True),
    _device(NoCredit),
    _device(WaitsForRoom, gentle=True),
    _device(NeverSendsLarge),
    _device(SlowAtOnce, gentle=True),
    _client(BindingIgnored, gentle=True),
    _client(HelloOfTheSameEpochIgnored, gentle=True),
    _client(HelloCompletesOpen, gentle=True),
    _client(TakesMessagesTwice),
    _client(ReplaysReversed),
    _client(NoReplay),
    _client(NoIfUnacknowledged),
    _client(ResumeGrantsWhatIsReceived),
    _client(AbsentIsUnnamed, gentle=True),
    _client(BootLearntLate, patient=True),
    _client(RoutesById),
    _client(NewBootIgnored, patient=True),
    _client(NeverAnnounces, patient=True),
    _client(UnknownClaimKept, patient=True),
    _client(OpenNotRepeated, patient=True),
    Mutant("TakesAnyPartOfAMessage", Mode(torn=True, big=0.5, client_ends=TakesAnyPartOfAMessage)),
    Mutant("SaysNoOfWhatWentOut", Mode(hasty=True, client_ends=SaysNoOfWhatWentOut)),
    Mutant("AbsenceIgnored", Mode(late_open=True, patient=True, client_ends=AbsenceIgnored)),
    Mutant("AbsenceOfAnyAge", Mode(moving=True, gentle=True, client_ends=AbsenceOfAnyAge)),
    Mutant("BirthIgnored", Mode(late_open=True, patient=True, client_ends=BirthIgnored)),
    Mutant("FramesHop", Mode(frames_hop=True)),
    Mutant("EpochsRestart", Mode(epochs_restart=True)),
]
