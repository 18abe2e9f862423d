"""One client end and one device end under test, each spoken to as its shell and its peer would."""

import json
import random
from collections.abc import Sequence
from typing import Any, TypeVar

from browsergo.core.channel import payloads
from browsergo.core.channel.client_end import ClientEnds
from browsergo.core.channel.client_state import ClientLimits, Deliver, Effect, Ended, Path, Seek, Send
from browsergo.core.channel.device_end import DeviceEffect, DeviceEnd, DeviceLimits, Transmit
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.ids import Binding
from browsergo.core.tracing import Traceparent

T = TypeVar("T")

CHANNEL = bytes(range(16))
OTHER = bytes(range(16, 32))
DEVICE = "dev"
BROWSER = "/devtools/browser"
CLIENT_EDGE = 7
DEVICE_EDGE = 40
ROUTER = "router-1"
LINK = 3
PATH = Path(ROUTER, DEVICE_EDGE, LINK)
BOOT = "boot-1"
FIRST = Binding(1, 1)  # what an opened client end is bound to


def only(kind: type[T], effects: Sequence[object]) -> list[T]:
    """The effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def command(number: int, method: str = "Page.run", **more: object) -> bytes:
    return json.dumps({"id": number, "method": method, **more}).encode()


def answer(number: int, **result: object) -> bytes:
    return json.dumps({"id": number, "result": result}).encode()


def event(name: str = "Page.event", **params: object) -> bytes:
    return json.dumps({"method": name, "params": params}).encode()


class ClientSide:
    """ClientEnds of one edge; `now` is advanced by the test."""

    def __init__(self, limits: ClientLimits | None = None) -> None:
        self.ends = ClientEnds(CLIENT_EDGE, "edge-1", random.Random(1).getrandbits, limits)
        self.now = 100.0
        self.claims: dict[bytes, str] = {}

    def open(
        self,
        channel: bytes = CHANNEL,
        device: str = DEVICE,
        endpoint: str = BROWSER,
        caller: Traceparent | None = None,
    ) -> list[Effect]:
        effects = self.ends.open(channel, device, endpoint, self.now, caller)
        self.claims[channel] = payloads.decode_open(only(Seek, effects)[0].frame.payload).claim
        return effects

    def receive(self, kind: Kind, at: Binding, *, path: Path = PATH, **fields: Any) -> list[Effect]:
        frame = Frame(kind, edge=CLIENT_EDGE, source=path.edge, link=path.link, at=at)._replace(**fields)
        return self.ends.frame(path.router, frame, self.now, 5_000)

    def opened(
        self,
        at: Binding = FIRST,
        *,
        channel: bytes = CHANNEL,
        boot: str = BOOT,
        claim: str | None = None,
        last: int = 0,
        born: int = 1,
        path: Path = PATH,
    ) -> list[Effect]:
        body = payloads.Opened(boot, self.claims.get(channel, "") if claim is None else claim, last, born)
        return self.receive(Kind.OPENED, at, path=path, channel=channel, payload=payloads.encode_opened(body))

    def hello(
        self,
        at: Binding,
        named: dict[bytes, payloads.Named] | None = None,
        *,
        held: Sequence[bytes] = (),
        boot: str = BOOT,
        took_over: bool = False,
        path: Path = PATH,
    ) -> list[Effect]:
        body = payloads.Hello(DEVICE, boot, named or {}, frozenset(held) | frozenset(named or {}), took_over)
        return self.receive(Kind.HELLO, at, path=path, payload=payloads.encode_hello(body))

    def named(self, last: int = 0, born: int = 1, channel: bytes = CHANNEL) -> dict[bytes, payloads.Named]:
        return {channel: payloads.Named(last, born, self.claims[channel])}

    def message(self, seq: int, payload: bytes, at: Binding = FIRST, **fields: Any) -> list[Effect]:
        return self.receive(Kind.MSG, at, channel=CHANNEL, seq=seq, payload=payload, **fields)

    def recorded(self, last: int, at: Binding = FIRST) -> list[Effect]:
        return self.receive(Kind.CACK, at, channel=CHANNEL, seq=last)

    def command(self, payload: bytes, channel: bytes = CHANNEL) -> list[Effect]:
        return self.ends.command(channel, payload, self.now, 1_000)

    def pass_time(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.ends.tick(self.now)


def open_client(limits: ClientLimits | None = None, endpoint: str = BROWSER) -> ClientSide:
    """A client end whose channel is open, under binding (1, 1)."""
    side = ClientSide(limits)
    side.open(endpoint=endpoint)
    side.opened()
    return side


def sent(effects: Sequence[Effect], kind: Kind) -> list[Frame]:
    """Frames of `kind` that were put on paths."""
    return [effect.frame for effect in effects if isinstance(effect, Send) and effect.frame.kind == kind]


def told(effects: Sequence[Effect]) -> list[dict[str, object]]:
    """What the client was told, parsed."""
    return [json.loads(bytes(effect.payload)) for effect in only(Deliver, effects)]


def end_of(effects: Sequence[Effect]) -> str:
    """The code with which the channel was closed; the last thing that happens."""
    last = effects[-1]
    assert isinstance(last, Ended)
    return last.error.code if last.error else "1000"


def fates(effects: Sequence[Effect]) -> list[tuple[object, str]]:
    """(id, executed) of each relay error, in order."""
    found = []
    for message in told(effects):
        error = message.get("error")
        if isinstance(error, dict):
            words = dict(word.split("=", 1) for word in str(error["data"]).split())
            found.append((message["id"], words["executed"]))
    return found


class DeviceSide:
    """A DeviceEnd, registered under epoch 1."""

    def __init__(self, limits: DeviceLimits | None = None, *, links: Sequence[int] = (1,)) -> None:
        self.end = DeviceEnd(DEVICE, BOOT, random.Random(2).getrandbits, limits)
        self.now = 100.0
        self.end.registered(1)
        for link in links:
            self.link_up(link)

    def link_up(self, link: int) -> list[DeviceEffect]:
        return self.end.link_up(link, self.now)

    def link_lost(self, link: int) -> list[DeviceEffect]:
        return self.end.link_lost(link, self.now)

    def receive(self, kind: Kind, *, link: int = 1, **fields: Any) -> list[DeviceEffect]:
        frame = Frame(kind, source=CLIENT_EDGE, channel=CHANNEL)._replace(**fields)
        return self.end.frame(link, frame, self.now)

    def ask_open(
        self, claim: str = "c1", *, channel: bytes = CHANNEL, link: int = 1, source: int = CLIENT_EDGE
    ) -> list[DeviceEffect]:
        body = payloads.encode_open(payloads.Open(DEVICE, claim, BROWSER, "edge-1"))
        return self.receive(Kind.OPEN, link=link, channel=channel, source=source, payload=body)

    def dialed(self, channel: bytes = CHANNEL) -> list[DeviceEffect]:
        return self.end.dialed(channel, self.now)

    def command(self, seq: int, at: Binding, payload: bytes = command(1), **fields: Any) -> list[DeviceEffect]:
        return self.receive(Kind.CMD, at=at, seq=seq, payload=payload, **fields)

    def resume(self, at: Binding, *, consumed: int = 0, received: int = 0, link: int = 1) -> list[DeviceEffect]:
        return self.receive(
            Kind.RESUME, link=link, at=at, seq=consumed, payload=payloads.encode_resume(payloads.Resume(received))
        )

    def acknowledge(self, at: Binding, consumed: int) -> list[DeviceEffect]:
        return self.receive(Kind.ACK, at=at, seq=consumed)

    def says(self, payload: bytes, channel: bytes = CHANNEL) -> list[DeviceEffect]:
        return self.end.message(channel, payload, self.now, 9_000)

    def pass_time(self, seconds: float) -> list[DeviceEffect]:
        self.now += seconds
        return self.end.tick(self.now)


def open_device(limits: DeviceLimits | None = None, *, links: Sequence[int] = (1,)) -> tuple[DeviceSide, Binding]:
    """A device end with an open and confirmed channel, and its binding."""
    side = DeviceSide(limits, links=links)
    side.ask_open()
    at = up(side.dialed(), Kind.OPENED)[0].at
    side.resume(at)
    return side, at


def up(effects: Sequence[DeviceEffect], kind: Kind) -> list[Frame]:
    """Frames of `kind` that were put on links."""
    return [effect.frame for effect in effects if isinstance(effect, Transmit) and effect.frame.kind == kind]
