"""How a client's channel ended: what it was told, and whether that is true."""

import re
import threading
import time
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from tests.e2e.raw_cdp import Message, RawClient

DEVICE_LOST, DEVICE_REPLACED, DRAINING, NO_CLOSE_FRAME = 4001, 4002, 4004, 1006
RELAY_ERROR = -32000
PATIENCE_S = 25.0
MOST_UNREAD = 5  # in a tenth of a second: as long as a busy client takes to see that it is closed


class Ending:
    """What a client was told while its device went: all messages since, and the close."""

    def __init__(self, client: RawClient, first_id: int, messages: list[Message], sent: list[int]) -> None:
        self.messages, self.sent = messages, sent
        self.code, self.reason = client.socket.close_code, client.socket.close_reason or ""
        self.closed_s = time.monotonic()
        self.answers = [message for message in messages if "id" in message and message["id"] >= first_id]
        self.errors = [message for message in self.answers if "error" in message]
        self.words = {message["id"]: self.executed(message) for message in self.errors}
        self.detached = [message for message in messages if message.get("method") == "Target.detachedFromTarget"]

    def executed(self, message: Message) -> str:
        """The `executed=` of a relay error, whose form is checked."""
        error = message["error"]
        assert error["code"] == RELAY_ERROR
        assert error["message"].startswith("Browser-Go: ")
        found = re.fullmatch(
            r"reason=[A-Z_]+ executed=(no|unknown) retry=(safe|unsafe) device=\S+ trace=[0-9a-f]{32}", error["data"]
        )
        assert found is not None, error
        assert (found[1] == "no") == (found[2] == "safe")
        return found[1]

    def check_truth(self, executions: Callable[[int], int]) -> None:
        """Each was answered at most once, and executed as often as its answer says.

        A client that lost its socket without a word was told nothing: at most once then.
        """
        ids = [message["id"] for message in self.answers]
        assert len(ids) == len(set(ids)), "answered twice"
        for number in self.sent:
            times = executions(number)
            told = self.words.get(number, "yes") if number in ids else "unknown"
            assert times in {"yes": {1}, "no": {0}, "unknown": {0, 1}}[told], (
                f"{number}: {told}, executed {times} times"
            )

    def check(self, session: str, code: int = DEVICE_LOST) -> None:
        """All answered once, errors in send order and last, `no` only after the last `unknown`, then detached."""
        answered = sorted(message["id"] for message in self.answers)
        assert answered == self.sent, (
            f"answered {answered[:3]}..{answered[-3:]}, sent {self.sent[:3]}..{self.sent[-3:]}"
        )
        ids = [message["id"] for message in self.errors]
        assert ids == sorted(ids)
        words = list(self.words.values())
        assert words == sorted(words, reverse=True), "what was not written came after what was"
        assert all(message["sessionId"] == session for message in self.errors)
        assert self.messages[-1 - len(self.errors) :] == [*self.errors, *self.detached]
        assert [message["params"]["sessionId"] for message in self.detached] == [session]
        assert self.code == code, self.reason
        assert self.reason


def talk_to_the_end(
    client: RawClient, first_id: int, say_next: Callable[[int], None], break_it: Callable[[], object]
) -> Ending:
    """A command that hangs was sent as `first_id`; send on, every 20 ms, while `break_it` happens, until the close."""
    sent, messages, ended = [first_id], list[Message](), threading.Event()

    def listen() -> None:
        messages.extend(client.receive_rest())
        ended.set()

    listening = threading.Thread(target=listen)
    listening.start()
    number = first_id
    while not ended.wait(0.02):
        number += 1
        if number == first_id + 20:
            break_it()
        try:
            say_next(number)
        except ConnectionClosed:
            break  # what was not sent is owed no answer
        sent.append(number)
    listening.join(PATIENCE_S)
    assert ended.is_set(), f"never closed; {messages[-3:]}"
    answered = {message.get("id") for message in messages}
    # The last ones may have been written into a connection that was closing: nothing behind them was answered.
    unread = next((place for place, number_sent in enumerate(reversed(sent)) if number_sent in answered), len(sent))
    return Ending(client, first_id, messages, sent[: len(sent) - min(unread, MOST_UNREAD)])
