"""A CDP client without any library of its own: chosen ids, messages in the order they came."""

import json
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Self

from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Message = dict[str, Any]
TIMEOUT_S = 20.0


class RawClient:
    """One CDP socket. Ids of `call` count from 1, as every client's do."""

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, subprotocols: Sequence[Subprotocol] = ()
    ) -> None:
        self._url, self._headers, self._subprotocols = url, dict(headers or {}), list(subprotocols) or None
        self.socket: ClientConnection
        self.events: list[Message] = []
        self._last_id = 0

    def __enter__(self) -> Self:
        self.socket = connect(
            self._url,
            additional_headers=self._headers,
            subprotocols=self._subprotocols,
            max_size=None,
            compression=None,
            proxy=None,
            open_timeout=TIMEOUT_S,
        ).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, number: int, method: str, params: Message | None = None, session: str = "") -> None:
        """Send one command with the id `number`."""
        message: Message = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        self.socket.send(json.dumps(message))

    def receive(self, timeout_s: float = TIMEOUT_S) -> Message:
        """The next message, whatever it is."""
        message = json.loads(self.socket.recv(timeout=timeout_s))
        assert isinstance(message, dict)
        return message

    def receive_answers(self, count: int, timeout_s: float = TIMEOUT_S) -> list[Message]:
        """Messages until `count` of them were answers: answers and events as they came."""
        deadline, messages, answers = monotonic() + timeout_s, list[Message](), 0
        while answers < count:
            messages.append(self.receive(deadline - monotonic()))
            answers += "id" in messages[-1]
        return messages

    def receive_rest(self, timeout_s: float = TIMEOUT_S) -> list[Message]:
        """All messages until the other side closes."""
        messages = []
        try:
            while True:
                messages.append(self.receive(timeout_s))
        except ConnectionClosed:
            return messages

    def call(
        self, method: str, params: Message | None = None, session: str = "", timeout_s: float = TIMEOUT_S
    ) -> Message:
        """Send a command under the next id and return its `result`; events meanwhile are kept in `events`."""
        self._last_id += 1
        self.send(self._last_id, method, params, session)
        while "id" not in (message := self.receive(timeout_s)):
            self.events.append(message)
        assert message["id"] == self._last_id, message
        assert "result" in message, message
        result = message["result"]
        assert isinstance(result, dict)
        return result

    def open_page(self, url: str = "about:blank") -> str:
        """A new page, attached to: its session."""
        target = self.call("Target.createTarget", {"url": url})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        assert isinstance(session, str)
        return session

    def evaluate(self, expression: str, session: str, timeout_s: float = TIMEOUT_S) -> Any:
        """The value of an expression in a page."""
        params = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        return self.call("Runtime.evaluate", params, session, timeout_s)["result"].get("value")
