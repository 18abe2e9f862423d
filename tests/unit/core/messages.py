"""Well-formed CDP messages of every spelling, quickly made from a seed; and damage done to them.

Well-formed is what Chrome takes (docs/protocol/hostile-clients.md): of a client, the four known keys, each once; of the
browser, any. Control characters stand in strings as they are, and every number is a finite double.
"""

import json
import random
from collections.abc import Callable, Sequence

BLANKS = ("", "", "", "", " ", "\t", "\n", "\r\n", "  ")
WORDS = (
    "Page", "navigate", "x", " ", "{", "}", "[", "]", ",", ":", "id", "method", "sessionId", "0123456789ABCDEF",
    '\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0041", "\\u00e9", "\\u20AC", "\\u0000", "\\uFFFF",
    "\\ud83d\\ude00", "\\uD800", "\\udc00", "\\ud800\\ud800", "\x7f", "é", "\u20ac", "\u2028", "\ufeff", "\uffff",
    "\U0001f600", "\U0010ffff", "\x00", "\x1f", "\n",
)  # fmt: skip
ASCII_WORDS = (*[word for word in WORDS if word.isascii() and "\\u" not in word.lower()], "\\u0041", "\\u007F")
NUMBERS = (
    "0", "-0", "1", "-1", "10", "2147483647", "-2147483648", "9007199254740993", "123456789012345678901234567890",
    "0.0", "-0.0", "1.5", "0.1e1", "1e1", "1E1", "1e+1", "1E-1", "-1.25e-300", "1e-400", "12.000e00",
    "1.7976931348623157e308", "1e0000000001", "0e999", "9" * 308,
)  # fmt: skip
LITERALS = ("true", "false", "null", "{}", "[]", '""')
INNER_KEYS = ("id", "method", "sessionId", "a", "a", "params", "", "\\u0069d", "é", "\\ud800")  # may stand twice
OUTER_KEYS = ("params", "more", "Id", "ID", "id ", "sessionid", "", "\\u0000id", "é", "\\ud800", "i\\\\u0064")
IDS = (0, 1, -1, 9, 10, 2**31 - 1, -(2**31))
DAMAGE = b'{}[],:"\\ \n\t019eE+-.utrfnabx\x00\x1f\x7f\x80\xc3\xff'
DEEPEST = 300  # containers within one another, the message included
LONG = 20_000


class Messages:
    """An endless supply."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def command(self) -> bytes:
        """A message that Chrome reads as a command."""
        chance = self.chance
        number = chance.choice(IDS) if chance.random() < 0.2 else chance.randrange(-(2**31), 2**31)
        members = [("id", str(number)), ("method", self._method())]
        if chance.random() < 0.5:
            members.append(("sessionId", f'"{self._hex() if chance.random() < 0.5 else self._text(ASCII_WORDS)}"'))
        if chance.random() < 0.8:
            members.append(("params", self._params()))
        return self._object(members)

    def answer(self, number: int) -> bytes:
        """What a browser might answer to the command `number`."""
        return self._object([("id", str(number)), ("result", self._outer_value()), *self._more()])

    def event(self) -> bytes:
        """A message of the browser that has no id."""
        return self._object([("method", self._method()), *self._more()])

    def change(self) -> bytes:
        """An event by which a session comes or goes, spelled as Chrome spells it."""
        chance = self.chance
        method = chance.choice(("Target.attachedToTarget", "Target.detachedFromTarget"))
        title = json.dumps("".join(chance.choices(WORDS, k=chance.randrange(40))))
        params = f'{{"sessionId":"{self._hex()}","targetInfo":{{"title":{title},"sessionId":"{self._hex()}"}}}}'
        outer = f',"sessionId":"{self._hex()}"' if chance.random() < 0.5 else ""
        return f'{{"method":"{method}","params":{params}{outer}}}'.encode()

    def damaged(self, message: bytes) -> bytes:
        """With one byte replaced, inserted or left out, or cut off."""
        chance = self.chance
        place = chance.randrange(len(message))
        kind = chance.randrange(4)
        if kind == 3:
            return message[:place]
        byte = b"" if kind == 2 else bytes((chance.choice(DAMAGE),))
        return message[:place] + byte + message[place + (kind != 1) :]

    def _object(self, members: list[tuple[str, str]]) -> bytes:
        chance = self.chance
        chance.shuffle(members)
        gap = chance.choice(BLANKS)
        between = f"{gap},{chance.choice(BLANKS)}"
        colon = f"{chance.choice(BLANKS)}:{gap}"
        body = between.join([f'"{self._key(key)}"{colon}{value}' for key, value in members])
        return f"{gap}{{{gap}{body}{gap}}}{gap}".encode()

    def _more(self) -> list[tuple[str, str]]:
        """Members of which nothing is known."""
        chance = self.chance
        return [(key, self._outer_value()) for key in chance.sample(OUTER_KEYS, chance.randrange(3))]

    def _key(self, key: str) -> str:
        """Now and then in another spelling."""
        if "\\" in key or self.chance.random() < 0.8:
            return key
        return "".join([self._escaped(char) if self.chance.random() < 0.5 else char for char in key])

    def _escaped(self, char: str) -> str:
        return f"\\u{ord(char):04x}" if self.chance.random() < 0.5 else f"\\u{ord(char):04X}"

    def _method(self) -> str:
        draw = self.chance.random()
        if draw < 0.7:
            return '"Page.navigate"'
        return f'"{self._key("Page.navigate")}"' if draw < 0.85 else f'"M{self._text(ASCII_WORDS)}"'

    def _hex(self) -> str:
        return f"{self.chance.getrandbits(128):032X}"

    def _text(self, words: Sequence[str] = WORDS) -> str:
        return "".join(self.chance.choices(words, k=self.chance.randrange(8)))

    def _params(self) -> str:
        value = self._outer_value()
        if value[0] in "[{":
            return value
        return f'{{"a":{value}}}' if self.chance.random() < 0.9 else "null"

    def _outer_value(self) -> str:
        draw = self.chance.random()
        if draw < 0.003:
            return f'"{self.chance.choice(WORDS) * (LONG // 8)}"'
        return self._deep() if draw < 0.012 else self._value(4)

    def _deep(self) -> str:
        """Containers within one another; the deepest lies as deep as Chrome reads."""
        depth = self.chance.choice((6, 7, 50, DEEPEST - 1))
        kinds = self.chance.choices((("[", "]"), ('{"a":', "}"), ("[1,", ',{"a":[]}]')), k=depth - 2)
        opening, closing = zip(*kinds, strict=True)
        return "".join(opening) + self._scalar() + "".join(reversed(closing))

    def _value(self, depth: int) -> str:
        draw = self.chance.random()
        if depth == 0 or draw < 0.5:
            return self._scalar()
        inner: Callable[[], str] = self._item if draw < 0.75 else self._member
        gap = self.chance.choice(BLANKS)
        body = f"{gap},{gap}".join([inner() + self._value(depth - 1) for _ in range(self.chance.randrange(4))])
        return f"[{gap}{body}{gap}]" if inner == self._item else f"{{{gap}{body}{gap}}}"

    def _item(self) -> str:
        return ""

    def _member(self) -> str:
        return f'"{self.chance.choice(INNER_KEYS)}"{self.chance.choice(BLANKS)}:'

    def _scalar(self) -> str:
        draw = self.chance.random()
        if draw < 0.4:
            return self.chance.choice(NUMBERS)
        return f'"{self._text()}"' if draw < 0.8 else self.chance.choice(LITERALS)
