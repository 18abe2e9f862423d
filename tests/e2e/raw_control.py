"""An operator on /v2/control without any library of its own."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Message = dict[str, Any]
TIMEOUT_S = 15.0


class RawOperator:
    """One control socket."""

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, subprotocols: Sequence[Subprotocol] = ()
    ) -> None:
        self._url, self._headers, self._subprotocols = url, dict(headers or {}), list(subprotocols) or None
        self._ids = itertools.count(1)
        self.socket: ClientConnection

    @classmethod
    def with_token(cls, url: str, token: str) -> Self:
        """An operator with its token in the header."""
        return cls(url, {"Authorization": f"Bearer {token}"})

    def __enter__(self) -> Self:
        self.socket = connect(
            self._url, additional_headers=self._headers, subprotocols=self._subprotocols, proxy=None,
            open_timeout=TIMEOUT_S,
        ).__enter__()  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, kind: str, body: object = None, message_id: str | None = None) -> None:
        """One message; `id` is left out when None."""
        message: Message = {"type": kind, "timestamp": 0, "data": {} if body is None else body}
        self.socket.send(json.dumps(message if message_id is None else message | {"id": message_id}))

    def receive(self, timeout_s: float = TIMEOUT_S) -> Message:
        """The next message."""
        message = json.loads(self.socket.recv(timeout=timeout_s))
        assert isinstance(message, dict)
        return message

    def receive_rest(self) -> list[Message]:
        """All messages until the other side closes."""
        messages = []
        try:
            while True:
                messages.append(self.receive())
        except ConnectionClosed:
            return messages

    def command(self, name: str, params: Message | None = None) -> Message:
        """Ask for a command under a fresh id: the answer to that id, whatever it says."""
        message_id = f"ask-{next(self._ids)}"
        self.send("control:command", {"command": name, "params": params or {}}, message_id)
        while (message := self.receive()).get("id") != message_id:
            pass
        return message

    def devices(self) -> dict[str, Message]:
        """What listDevices answers, by device id."""
        answer = self.command("listDevices")
        assert answer["type"] == "control:command", answer
        return {device["deviceId"]: device for device in answer["data"]["result"]}
