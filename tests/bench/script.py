"""What the browsers of the bench answer, and how a client knows that an answer is whole and from its own browser.

Commands: `Runtime.evaluate` (a result of some 200 bytes), `Page.captureScreenshot` (1 MiB), `Bench.flood {n}` (n events
of some 250 bytes, then the answer). Every answer bears the browser's name, so that one gone astray is an error.
"""

import re
from typing import NamedTuple

_ID = re.compile(rb'"id"\s*:\s*(\d+)')
_COUNT = re.compile(rb'"n"\s*:\s*(\d+)')
_EVALUATE = (
    b'"method":"Runtime.evaluate","params":{"expression":"document.querySelector(\'#x\').textContent",'
    b'"returnByValue":true,"awaitPromise":true}}'
)
_PICTURE = b"iVBORw0KGgoAAAAN" * 65_536  # 1 MiB
_EVENT = (
    b'{"method":"Runtime.consoleAPICalled","params":{"requestId":"1000.1","timestamp":12345.678,"dataLength":%d,'
    b'"encodedDataLength":0,"note":"' + b"e" * 150 + b'"}}'
)


class Reply(NamedTuple):
    """The answer, and how many events come before it."""

    answer: bytes
    events: int = 0


def evaluate(number: int) -> bytes:
    """A small command."""
    return b'{"id":%d,%b' % (number, _EVALUATE)


def screenshot(number: int) -> bytes:
    """A command with a large answer."""
    return b'{"id":%d,"method":"Page.captureScreenshot","params":{"format":"png"}}' % number


def flood(number: int, events: int) -> bytes:
    """A command that is answered after so many events."""
    return b'{"id":%d,"method":"Bench.flood","params":{"n":%d}}' % (number, events)


def id_of(message: bytes) -> int | None:
    """The id of a command or an answer; None for an event."""
    if message.startswith(b'{"method"'):
        return None
    found = _ID.search(message, 0, 64)
    return int(found[1]) if found else None


def event(number: int) -> bytes:
    """One event of a flood."""
    return _EVENT % number


class Browser:
    """What the browser called `name` answers."""

    def __init__(self, name: str) -> None:
        self._stamp = stamp(name)
        value = b'"result":{"type":"string","value":"' + b"v" * 110 + b'"},"exceptionDetails":null'
        self._small = value + b"," + self._stamp
        self._large = b'"data":"' + _PICTURE + b'",' + self._stamp

    def reply(self, command: bytes) -> Reply | None:
        """The reply to a command; None for what is no command."""
        number = id_of(command)
        if number is None:
            found = _ID.search(command)
            if found is None:
                return None
            number = int(found[1])
        events = 0
        body = self._stamp
        if b'"Runtime.evaluate"' in command:
            body = self._small
        elif b'"Page.captureScreenshot"' in command:
            body = self._large
        elif b'"Bench.flood"' in command:
            counted = _COUNT.search(command)
            events = int(counted[1]) if counted else 0
        return Reply(b'{"id":%d,"result":{%b}}' % (number, body), events)


def stamp(name: str) -> bytes:
    """What stands at the end of every answer of this browser."""
    return b'"by":"%b"' % name.encode()


def is_right(answer: bytes, name: str, large: bool) -> bool:
    """Whether an answer is whole and from the browser of that name."""
    return answer.endswith(stamp(name) + b"}}") and (len(answer) > len(_PICTURE)) == large
