"""A device that speaks /v2/device and browsergo.link.v2 over real sockets: by hand, or with a browser that echoes."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from browsergo.core import device_messages as messages
from browsergo.core.channel import frames, payloads
from browsergo.core.channel.device_end import DeviceEffect, DeviceEnd, Dial, Dispatch, HangUp, Transmit
from browsergo.core.channel.frames import NO_EDGE, Frame, Kind
from browsergo.core.device_messages import Acknowledgement, Registration
from browsergo.core.errors import BrowserGoError
from browsergo.core.ids import Binding
from browsergo.v2 import registry_pb2, types_pb2
from tests.fakes.edge_world import LocalEdge, World
from tests.fakes.websocket_client import TIMEOUT_S, Closed, Message, Socket, dial_socket


def registration(device: str = "laptop", instance: str = "instance-1", boot: str = "boot-1") -> Registration:
    """What such a device says of itself."""
    return Registration(device, instance, boot, labels={"room": "7"})


class LinkClient:
    """One link connection: frames out, frames in."""

    def __init__(self, socket: Socket, device: str, boot: str, epoch: int) -> None:
        self.socket = socket
        self._device, self._boot, self._epoch = device, boot, epoch
        self._arrived: deque[Frame] = deque()

    def send(self, *leaving: Frame) -> None:
        """These frames, as one message."""
        self.socket.connection.send_binary(frames.encode_link_message(leaving))

    def hello(
        self,
        edge: int = NO_EDGE,
        *,
        device: str | None = None,
        boot: str | None = None,
        epoch: int | None = None,
        named: dict[bytes, payloads.Named] | None = None,
    ) -> None:
        """A HELLO; what is not given is as it should be, of a device that has no channels."""
        named = named or {}
        body = payloads.Hello(device or self._device, boot or self._boot, named, frozenset(named))
        at = Binding(self._epoch if epoch is None else epoch, 1)
        self.send(Frame(Kind.HELLO, edge=edge, at=at, payload=payloads.encode_hello(body)))

    async def receive(self, timeout_s: float | None = TIMEOUT_S) -> Frame:
        """The next frame."""
        while not self._arrived:
            payload, is_text = await self.socket.receive(timeout_s)
            assert not is_text
            self._arrived.extend(frames.decode_link_message(payload))
        return self._arrived.popleft()

    async def receive_kind(self, kind: Kind) -> Frame:
        """The next frame of this kind; others before it are dropped."""
        while (frame := await self.receive()).kind != kind:
            pass
        return frame


class DeviceClient:
    """A device's control connection to one edge, after its welcome."""

    def __init__(self, edge: LocalEdge, control: Socket, welcome: Message, who: Registration) -> None:
        self.edge = edge
        self.control = control
        self.welcome = welcome
        self.who = who
        self.ack: Acknowledgement

    @classmethod
    async def connect(
        cls, world: World, who: Registration | None = None, edge: LocalEdge | None = None, scope: str = "device:*"
    ) -> "DeviceClient":
        """Dial /v2/device and take the welcome."""
        at = edge or world.edge
        control = await dial_socket(
            at.address, "/v2/device", headers=world.bearer(scope), subprotocols=[messages.SUBPROTOCOL]
        )
        return cls(at, control, await control.receive_json(), who or registration())

    @classmethod
    async def registered(
        cls, world: World, who: Registration | None = None, edge: LocalEdge | None = None
    ) -> "DeviceClient":
        """The same, and register."""
        device = await cls.connect(world, who, edge)
        await device.register()
        return device

    @classmethod
    async def active(
        cls, world: World, who: Registration | None = None, edge: LocalEdge | None = None
    ) -> "tuple[DeviceClient, LinkClient]":
        """The same, and one link that has said HELLO; returns once the edge has heard it."""
        device = await cls.registered(world, who, edge)
        link = await device.link()
        link.hello()
        session = device.edge.parts.devices.get(device.who.device_id)
        assert session is not None
        while not session.ready:  # noqa: ASYNC110 - a HELLO is not answered
            await asyncio.sleep(0.002)
        return device, link

    def say(self, kind: str, body: Message | None = None, message_id: Any = None) -> None:
        """One message on the control connection; `message_id` as JSON."""
        head = {"type": kind, "timestamp": 0, "data": body or {}}
        self.control.send_json(head if message_id is None else head | {"id": message_id})

    async def register(self) -> Acknowledgement:
        """Register and take the acknowledgement."""
        self.say(messages.REGISTER, messages.register_body(self.who))
        answer = await self.control.receive_json()
        assert answer["type"] == messages.REGISTER_ACK, answer
        self.ack = messages.read_acknowledgement(answer["data"])
        return self.ack

    async def link(self, *, ticket: str | None = None, in_subprotocol: bool = False) -> LinkClient:
        """One link connection. Raises HandshakeRefused."""
        shown = self.ack.link_ticket if ticket is None else ticket
        headers = {} if in_subprotocol else {"Authorization": f"Bearer {shown}"}
        subprotocols = [messages.LINK_SUBPROTOCOL]
        if in_subprotocol:
            subprotocols.append(messages.TICKET_PREFIX + shown)
        socket = await dial_socket(self.edge.address, self.ack.link_url, headers=headers, subprotocols=subprotocols)
        return LinkClient(socket, self.who.device_id, self.who.boot_id, self.ack.epoch)


class EchoDevice:
    """A device with the real device end and a browser that answers every command with its own name and the method.

    Methods: `Hold.answer` is executed and never answered; anything else is answered
    `{id, result: {device, method, params}}`.
    """

    def __init__(self, device: DeviceClient, links: list[LinkClient]) -> None:
        self.device = device
        self.executed: list[str] = []
        self.open: set[bytes] = set()
        self.documents: dict[str, tuple[int, bytes]] = {}
        self.greeting: Message | None = None  # what the browser says on every new channel
        self._links = dict(enumerate(links, start=1))
        who = device.who
        self._end = DeviceEnd(who.device_id, who.boot_id, lambda bits: (1 << bits) - 1)
        self._end.registered(device.ack.epoch)
        self._reading = {number: asyncio.create_task(self._read(number, link)) for number, link in self._links.items()}

    @classmethod
    async def start(
        cls, world: World, who: Registration | None = None, edge: LocalEdge | None = None, pool: int = 1
    ) -> "EchoDevice":
        """Register, open the links, say HELLO; returns once the device is ACTIVE."""
        device = await DeviceClient.registered(world, who, edge)
        echo = cls(device, [await device.link() for _ in range(pool)])
        echo.say_hello()
        session = device.edge.parts.devices.get(device.who.device_id)
        assert session is not None
        while len(session.ready) < pool:  # noqa: ASYNC110 - a HELLO is not answered
            await asyncio.sleep(0.002)
        return echo

    def say_hello(self) -> None:
        """On every link."""
        for number in self._links:
            self._apply(self._end.link_up(number, time.monotonic()))

    def event(self, method: str, params: Message | None = None) -> None:
        """The browser says something on every channel."""
        for channel in list(self.open):
            self.say(channel, {"method": method, "params": params or {}})

    def say(self, channel: bytes, message: Message) -> None:
        """The browser says something on one channel."""
        self._apply(self._end.message(channel, json.dumps(message).encode(), time.monotonic(), time.time_ns()))

    async def _read(self, number: int, link: LinkClient) -> None:
        while True:
            frame = await link.receive(None)
            if frame.kind == Kind.FETCH:
                self._fetch(link, frame)
            else:
                self._apply(self._end.frame(number, frame, time.monotonic()))

    def _fetch(self, link: LinkClient, asked: Frame) -> None:
        status, body = self.documents.get(json.loads(asked.payload)["path"], (404, b"no such document"))
        link.send(Frame(Kind.FETCHED, edge=asked.source, channel=asked.channel, seq=status, payload=body))

    def _apply(self, effects: Iterable[DeviceEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Transmit):
                self._links[effect.link].send(effect.frame)
            elif isinstance(effect, Dial):
                self._dial(effect)
            elif isinstance(effect, Dispatch):
                self._execute(effect)
            elif isinstance(effect, HangUp):
                self.open.discard(effect.channel)

    def _dial(self, effect: Dial) -> None:
        self.open.add(effect.channel)
        self._apply(self._end.dialed(effect.channel, time.monotonic()))
        if self.greeting is not None:
            self.say(effect.channel, self.greeting)

    def _execute(self, effect: Dispatch) -> None:
        command = json.loads(effect.payload)
        self.executed.append(command["method"])
        if command["method"] != "Hold.answer":
            result = {"device": self.device.who.device_id, "method": command["method"], "params": command["params"]}
            self.say(effect.channel, {"id": command["id"], "result": result})

    def refuse_all(self, error: BrowserGoError) -> None:
        """The browser ends every channel."""
        self._apply(self._end.close_all(error))

    def lose_link(self, number: int) -> None:
        """A link connection breaks, and both sides notice at once."""
        self._reading[number].cancel()
        self._links.pop(number).socket.connection.abort()
        self._apply(self._end.link_lost(number, time.monotonic()))

    async def leave(self) -> None:
        """Close everything, without a goodbye."""
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        for socket in (self.device.control, *(link.socket for link in self._links.values())):
            if socket.connection.is_open:
                await socket.close()


async def told(device: DeviceClient) -> tuple[str, Closed]:
    """The error that comes next, and the close behind it."""
    message = await device.control.receive_json()
    assert message["type"] == "error", message
    assert message["data"]["connectionId"] == device.welcome["data"]["connectionId"]
    return message["data"]["error"], await device.control.closed()


async def lease(world: World, device: str = "laptop") -> types_pb2.Device | None:
    """What the registry knows of the device now."""
    listed = await world.registry.ListDevices(registry_pb2.ListDevicesRequest())
    return next((found for found in listed.devices if found.identity.device_id == device), None)


async def until_lease(world: World, is_so: Callable[[types_pb2.Device | None], bool]) -> None:
    """Ask the registry, which tells nobody, until the device's lease is as wanted."""
    async with asyncio.timeout(TIMEOUT_S):
        while not is_so(await lease(world)):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


async def until_released(world: World) -> None:
    """Wait until the device has no lease."""
    await until_lease(world, lambda found: found is None)
