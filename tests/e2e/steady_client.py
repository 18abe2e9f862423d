"""A client that keeps commands in flight and remembers exactly what came, and when."""

import threading
from collections.abc import Callable
from itertools import pairwise
from math import inf
from time import monotonic, sleep
from typing import Any, NamedTuple, Self

from tests.e2e.raw_cdp import Message, RawClient

IN_FLIGHT = 20
PATIENCE_S = 25.0


class Speech(NamedTuple):
    """What a steady client says: `prepare` gives the session, `command(n)` the n-th command, `stamp` reads it back.

    `stamp` gives ("event", n) or ("answer", n); None for a message that does not count.
    """

    prepare: Callable[[RawClient], str]
    command: Callable[[int], tuple[str, Message]]
    stamp: Callable[[Message], tuple[str, int] | None]


def counting(name: str) -> Speech:
    """Speech with a FakeBrowser, which counts how often it executed `NAME:n`."""

    def stamp(message: Message) -> tuple[str, int]:
        kind = "answer" if "id" in message else "event"
        key: str = message["result" if kind == "answer" else "params"]["key"]
        assert key.startswith(f"{name}:"), f"another client's: {message}"
        number = int(key.rpartition(":")[2])
        assert message.get("id", number) == number, message
        return kind, number

    return Speech(lambda _: "", lambda number: ("Fake.count", {"key": f"{name}:{number}"}), stamp)


def evaluating() -> Speech:
    """Speech with a real browser: each command appends its number to the page's `executed` and logs it."""

    def prepare(client: RawClient) -> str:
        session = client.open_page()
        client.evaluate("window.executed = []", session)
        client.call("Runtime.enable", session=session)
        return session

    def command(number: int) -> tuple[str, Message]:
        expression = f"executed.push({number}), console.log({number}), {number}"
        return "Runtime.evaluate", {"expression": expression, "returnByValue": True}

    def stamp(message: Message) -> tuple[str, int] | None:
        if message.get("method") == "Runtime.consoleAPICalled":
            return "event", message["params"]["args"][0]["value"]
        return ("answer", message["result"]["result"]["value"]) if "id" in message else None

    return Speech(prepare, command, stamp)


class SteadyClient:
    """Sends commands 1, 2, 3... with IN_FLIGHT of them unanswered, from a thread, until the context ends.

    At the end it waits for the last answer. `more(n)` waits until n more answers have come. With `pace_s` it sends no
    quicker than one command in that time, so that others have the machine.
    """

    def __init__(self, url: str, speech: Speech, pace_s: float = 0.0) -> None:
        self.seen: list[tuple[str, int]] = []
        self.sent = 0
        self._url, self._speech, self._pace_s = url, speech, pace_s
        self._times: list[float] = []
        self._progress = threading.Condition()
        self._answers = 0
        self._stopping = False
        self._failure: BaseException | None = None
        self._last_wish: Callable[[RawClient, str], Any] | None = None
        self.last_word: Any = None
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self, last_wish: Callable[[RawClient, str], Any] | None = None) -> None:
        """Send no more, wait for what is in flight; then `last_wish(client, session)`, kept as `last_word`."""
        self._last_wish = last_wish
        self._stopping = True
        self._thread.join(2 * PATIENCE_S)
        assert not self._thread.is_alive(), "still waits for answers"
        if self._failure is not None:
            raise self._failure

    def more(self, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until `count` more answers have come. Raises what went wrong."""
        with self._progress:
            wanted = self._answers + count
            self._progress.wait_for(lambda: self._answers >= wanted or self._failure is not None, timeout_s)
            if self._failure is not None:
                raise self._failure
            assert self._answers >= wanted, f"{wanted - self._answers} of {count} answers are missing"

    def longest_pause_s(self, since_s: float, until_s: float = inf) -> float:
        """The longest time between two messages from `since_s` to `until_s` (monotonic)."""
        times = [since_s, *(time for time in self._times if since_s <= time <= until_s)]
        return max(later - earlier for earlier, later in pairwise(times))

    def check_complete(self) -> None:
        """Each command had its event, then its answer, once, in the order they were sent."""
        expected = [(kind, number) for number in range(1, self.sent + 1) for kind in ("event", "answer")]
        wrong = next(
            (index for index, pair in enumerate(zip(self.seen, expected, strict=False)) if len(set(pair)) > 1), None
        )
        assert wrong is None, (
            f"from message {wrong} on: {self.seen[wrong : wrong + 5]}, not {expected[wrong : wrong + 5]}"
        )
        assert len(self.seen) == len(expected)

    def _live(self) -> None:
        try:
            with RawClient(self._url) as client:
                session = self._speech.prepare(client)
                self._converse(client, session)
                if self._last_wish is not None:
                    self.last_word = self._last_wish(client, session)
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's own thread
            self._failure = failure
        with self._progress:
            self._progress.notify_all()

    def _converse(self, client: RawClient, session: str) -> None:
        while True:
            while not self._stopping and self.sent - self._answers < IN_FLIGHT:
                self.sent += 1
                method, params = self._speech.command(self.sent)
                client.send(self.sent, method, params, session)
                sleep(self._pace_s)
            if self._answers == self.sent:
                return
            stamp = self._speech.stamp(client.receive(PATIENCE_S))
            if stamp is None:
                continue
            self.seen.append(stamp)
            self._times.append(monotonic())
            if stamp[0] == "answer":
                with self._progress:
                    self._answers += 1
                    self._progress.notify_all()
