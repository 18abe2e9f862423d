"""Sends what hostile clients send, and sees what comes of it."""

import contextlib
from typing import NamedTuple

from websockets.exceptions import ConnectionClosed

from tests.e2e.hostile_messages import SESSION, Hostile, wire
from tests.e2e.raw_cdp import Message, RawClient

GOOD_ID = 2_000_000
PARSE_ERROR = -32700


class Outcome(NamedTuple):
    """The answers that came before that of the good command, and the close code if the connection ended instead."""

    answers: list[Message]
    close_code: int | None

    @property
    def text(self) -> str:
        """As it stands in the table."""
        words = [_text(answer) for answer in self.answers]
        if self.close_code is not None:
            words.append(f"closed {int(self.close_code)}")
        return "; ".join(words) or "lives"

    @property
    def comparable(self) -> list[Message]:
        """The answers; of those to bad JSON only the id: the relay has fewer words for it and counts otherwise."""
        return [{"bad": answer.get("id")} if _is_parse_error(answer) else answer for answer in self.answers]


def _is_parse_error(answer: Message) -> bool:
    return bool(answer.get("error", {}).get("code") == PARSE_ERROR)


def _text(answer: Message) -> str:
    what = f"ok{_value(answer)}" if "result" in answer else str(answer["error"]["code"])
    return f"{answer['id']}: {what}" if "id" in answer else what


def _value(answer: Message) -> str:
    """What an expression gave, if the answer tells of one."""
    value = answer["result"].get("result", {}).get("value")
    return "" if value is None else f" {value!r}"


def observe(client: RawClient, hostile: Hostile) -> Outcome:
    """Send it, then a good command: the outcome. The connection stays open if the other side left it so."""
    session = client.open_page() if hostile.needs_session else ""
    answers: list[Message] = []
    with contextlib.suppress(ConnectionClosed, ConnectionError):  # it may be closed before all is sent
        client.socket.socket.sendall(wire(hostile.pieces, session))
        if hostile.then:
            answers.append(client.receive())
            client.socket.socket.sendall(wire(hostile.then, session))
        _send_good_command(client, session)
    with contextlib.suppress(ConnectionClosed):
        while (message := client.receive()).get("id") != GOOD_ID:
            if "method" not in message:  # events tell of the page, not of what was sent
                answers.append(_without_name(message, session))
        assert "result" in message, message
        return Outcome(answers, None)
    return Outcome(answers, client.socket.close_code)


def _send_good_command(client: RawClient, session: str) -> None:
    """In the same session: answers of another one may overtake it."""
    if session:
        client.send(GOOD_ID, "Runtime.evaluate", {"expression": "1"}, session)
    else:
        client.send(GOOD_ID, "Browser.getVersion")


def _without_name(answer: Message, session: str) -> Message:
    """The answer with a session name that is the same in every run."""
    if answer.get("sessionId") == session:
        return answer | {"sessionId": SESSION.decode()}
    return answer
