"""What browsers and clients of the simulation see, command by command: invariants I1 to I5 and I8."""

import json
from collections import Counter
from typing import Any

from tests.simulation.cast import BIG_BYTES, ChromeSocket, Client, Mode, Violation

_PADDING = "".join(f"{number}." for number in range(BIG_BYTES))  # wherever a piece of it is missing, it shows


def padded(size: int) -> str:
    """Members of a body so large; `parsed` compares them."""
    return f'"size":{size},"pad":"{_PADDING[:size]}"'


def parsed(payload: bytes) -> dict[str, Any]:
    """A message that arrived whole."""
    try:
        found: dict[str, Any] = json.loads(payload)
    except ValueError:
        raise Violation("a payload arrived mangled") from None
    body: dict[str, Any] = found.get("params", {}) or found.get("result", {})
    if "pad" in body and body["pad"] != _PADDING[: body["size"]]:
        raise Violation("a payload arrived without a piece of it")
    return found


def is_refusal(payload: bytes) -> bool:
    """Whether this is an answer of the relay's own; Chrome's, here, are never errors."""
    return b'"error":' in payload


class Witness:
    """Remembers every command; what breaks an invariant raises Violation."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.stats: Counter[str] = Counter()
        self.executions: Counter[str] = Counter()
        self.answers: dict[str, str] = {}
        self.withdrawn: set[str] = set()
        self.said: dict[tuple[bytes, int], str] = {}  # what a browser's message answers; "": it is an event

    def executed(self, client: Client, socket: ChromeSocket, op: str) -> None:
        """A command reached the browser."""
        self.executions[op] += 1
        if self.executions[op] > 1:
            raise Violation("I1: executed twice")
        if self.answers.get(op) == "no":
            raise Violation("I3: executed after it was answered as not executed")
        while self.mode.hasty and socket.executed < len(client.issued) and client.issued[socket.executed] != op:
            self.withdrawn.add(client.issued[socket.executed])  # its time was over before it had a path
            socket.executed += 1
        if socket.executed >= len(client.issued) or client.issued[socket.executed] != op:
            raise Violation("I4: commands reached the browser out of order")
        socket.executed += 1

    def delivered(self, client: Client, message: dict[str, Any]) -> None:
        """A message reached the client."""
        if "error" in message:
            words = message["error"]["data"].split()
            self.answered(client, message["id"], "no" if "executed=no" in words else "unknown")
            return
        if message.get("method") == "Target.detachedFromTarget":
            if client.sessions.pop() != message["params"]["sessionId"]:
                raise Violation("sessions detached out of order")
            return
        if message == {"id": 0, "result": {}}:  # Browser.close
            return
        body = message["result"] if "result" in message else message["params"]
        self.took(client, body["no"])
        if message.get("method") == "Target.attachedToTarget":
            client.sessions.append(body["sessionId"])
        if "result" in message:
            if client.waiting.get(message["id"]) != body["op"]:
                raise Violation("I2, I5: an answer nobody waits for")
            self.answered(client, message["id"], "ok")

    def took(self, client: Client, number: int) -> None:
        """Messages come in order; the only ones that may be left out are answers that came too late."""
        client.got += 1
        while client.got < number and self.answers.get(self.said.get((client.channel, client.got), "")) == "unknown":
            self.stats["late answer"] += 1
            client.got += 1
        if number != client.got:
            raise Violation(f"I4: message {number} where {client.got} was due")

    def answered(self, client: Client, number: int, what: str) -> None:
        """`ok` by the browser; `no` or `unknown` by the relay."""
        op = client.waiting.pop(number, None)
        if op is None or op in self.answers:
            raise Violation("I2: answered twice")
        if what == "ok" and self.executions[op] != 1:
            raise Violation("I3: ok, but not executed once")
        if what == "no" and self.executions[op]:
            raise Violation("I3: answered as not executed, but it was")
        if op in self.withdrawn and what != "no":
            raise Violation(f"I4: {what}, but commands behind it were executed before it")
        if what != "ok" and self.mode.gentle:
            raise Violation(f"I8: {what} where nothing is lost")
        self.answers[op] = what
        client.answered += 1
        self.stats[what] += 1
