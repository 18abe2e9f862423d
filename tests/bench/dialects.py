"""How devices and clients of one relay speak: where they connect, with which headers, and how a message is wrapped."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

Headers = Mapping[str, str]
WrapState = dict[str, Any]  # what a device has to remember of a relay's own protocol


class Place(NamedTuple):
    """Where a relay listens; `token` only where there are tokens."""

    port: int
    device_port: int
    client_token: str = ""
    device_token: str = ""


class Dialect:
    """CDP messages as they are. `listens`: the device is a server, as a browser is."""

    listens = False
    on_link = False  # the device is an agent that speaks browsergo.link.v2

    def __init__(self, place: Place) -> None:
        self.place = place

    def device_url(self, device: str) -> str:
        """Where a device dials."""
        return f"ws://127.0.0.1:{self.place.port}/v2/device/{device}"

    def client_url(self, device: str) -> str:
        """Where a client of that device dials."""
        return f"ws://127.0.0.1:{self.place.port}/v2/cdp/{device}"

    def client_headers(self) -> Headers:
        """What its request carries besides."""
        return {}

    def greetings(self, device: str) -> list[bytes]:
        """What a device says first."""
        return []

    def unwrap(self, message: bytes, state: WrapState, device: str) -> tuple[bytes | None, list[bytes]]:
        """The command in a message, if there is one, and what the relay's own protocol wants to be answered."""
        return message, []

    def wrap(self, message: bytes, state: WrapState) -> bytes:
        """A browser's message as the relay takes it."""
        return message


class Server(Dialect):
    """The device listens; a client dials it, or a reverse proxy before it."""

    listens = True

    def client_url(self, device: str) -> str:
        return f"ws://127.0.0.1:{self.place.port}/devtools/browser/{device}"


class Chii(Dialect):
    """chii: targets and clients."""

    def device_url(self, device: str) -> str:
        page = "url=http%3A%2F%2Fx%2F&title=t&favicon=f"
        return f"ws://127.0.0.1:{self.place.port}/target/{device}?{page}"

    def client_url(self, device: str) -> str:
        return f"ws://127.0.0.1:{self.place.port}/client/c{device}?target={device}"


class ReactNative(Dialect):
    """React Native's dev-middleware: events as JSON in JSON."""

    def device_url(self, device: str) -> str:
        return f"ws://127.0.0.1:{self.place.port}/inspector/device?device={device}&name=n{device}&app=a"

    def client_url(self, device: str) -> str:
        return f"ws://127.0.0.1:{self.place.port}/inspector/debug?device={device}&page=1"

    def client_headers(self) -> Headers:
        return {"Origin": f"http://127.0.0.1:{self.place.port}"}

    def greetings(self, device: str) -> list[bytes]:
        able = {"nativePageReloads": True, "nativeSourceCodeFetching": True}
        page = {"id": "1", "title": "T", "vm": "v", "app": "a", "capabilities": able}
        return [json.dumps({"event": "getPages", "payload": [page]}).encode()]

    def unwrap(self, message: bytes, state: WrapState, device: str) -> tuple[bytes | None, list[bytes]]:
        told = json.loads(message)
        if told["event"] == "getPages":
            return None, self.greetings(device)
        state["session"] = told["payload"].get("sessionId", state.get("session"))
        wrapped = told["payload"].get("wrappedEvent") if told["event"] == "wrappedEvent" else None
        return (None if wrapped is None else str(wrapped).encode()), []

    def wrap(self, message: bytes, state: WrapState) -> bytes:
        payload = {"pageId": "1", "wrappedEvent": message.decode(), "sessionId": state.get("session")}
        return json.dumps({"event": "wrappedEvent", "payload": payload}).encode()


class BrowserGo(Dialect):
    """This project: a client with its token in the header, a device that is an agent's device end."""

    on_link = True

    def client_headers(self) -> Headers:
        return {"Authorization": f"Bearer {self.place.client_token}"}


DIALECTS: dict[str, type[Dialect]] = {
    "raw": Dialect,
    "server": Server,
    "chii": Chii,
    "react-native": ReactNative,
    "browsergo": BrowserGo,
}
