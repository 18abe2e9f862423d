"""What hostile (or merely broken) clients send, what Chrome does about it, and where the relay does otherwise.

Each is followed by a good command on the same connection, and the outcome is what came before its answer: `7: ok` a
result for the id 7 (and what an expression gave), `7: -32600` an error, `-32700` an error without an id, `closed N` the
end of the connection with this close code (1006: without a close frame), `lives` nothing at all.
docs/protocol/hostile-clients.md shows this table to people; a test compares the two.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.fakes.raw_peer import BINARY, CLOSE, CONTINUATION, PING, TEXT, Raw, raw_frame

SESSION = b"A-SESSION-OF-THIS-CLIENT"  # replaced by one; the good command is then sent in it, too
MARK = "payload-of-a-hostile-client"  # what no log may show
TEN_MB = 10_000_000
DEEP = 100_000

PLAIN = "Chrome reads the number; no client spells its ids so, and here ids are compared as they are spelled"
ONE_ANSWER = "Chrome gives the error to the first and the result to the second; here the first command keeps its id"
AT_ONCE = "Chrome's browser endpoint answers both in turn; here an id is free again when its answer has passed"
UTF8 = "it is not UTF-8, which RFC 6455 section 8.1 asks of a text message; Chrome lets lone surrogates through"
SAID = "Chrome drops the connection without a word; the relay says why"
CLOSING = "Chrome answers every close frame with 1000; the relay repeats a good code and says what is bad"
FRAMING = "RFC 6455 sections 5.4 and 5.5 forbid it; Chrome overlooks it"


class Hostile(NamedTuple):
    """One thing that is sent. `relay` and `why` are given where the relay differs from Chrome on purpose."""

    sent: str
    pieces: tuple[Raw | bytes, ...]
    chrome: str
    relay: str = ""
    why: str = ""
    then: tuple[Raw, ...] = ()  # sent when the first answer has come

    @property
    def needs_session(self) -> bool:
        return any(SESSION in piece.payload for piece in self.pieces if isinstance(piece, Raw))


def wire(pieces: Iterable[Raw | bytes], session: str) -> bytes:
    """The bytes on the connection; `bytes` are sent as they are."""
    return b"".join(piece if isinstance(piece, bytes) else _masked(piece, session) for piece in pieces)


def _masked(piece: Raw, session: str) -> bytes:
    payload = piece.payload.replace(SESSION, session.encode())
    return raw_frame(piece.opcode, payload, fin=piece.fin, masked=True)


def text(*messages: str | bytes) -> tuple[Raw, ...]:
    """Each a text message of one frame."""
    return tuple(Raw(TEXT, m.encode() if isinstance(m, str) else m, fin=True) for m in messages)


def with_id(spelled: str) -> tuple[Raw, ...]:
    """A command that is good but for its id."""
    return text(f'{{"id":{spelled},"method":"Browser.getVersion","params":{{"x":"{MARK}"}}}}')


def params(spelled: str | bytes) -> tuple[Raw, ...]:
    """A command that is good but for its params."""
    value = spelled.encode() if isinstance(spelled, str) else spelled
    return text(b'{"id":7,"method":"Browser.getVersion","params":' + value + b"}")


def members(members: str) -> tuple[Raw, ...]:
    """An object of these members."""
    return text(f"{{{members}}}")


def evaluate(number: int, expression: str) -> str:
    """Runtime.evaluate in the client's session; waits for a promise."""
    return (
        f'{{"id":{number},"method":"Runtime.evaluate","sessionId":"{SESSION.decode()}",'
        f'"params":{{"expression":"{expression}","awaitPromise":true,"returnByValue":true}}}}'
    )


GOOD = f'{{"id":7,"method":"Browser.getVersion","params":{{"x":"{MARK}"}}}}'


def fragments_of_one_byte(message: str) -> Iterator[Raw]:
    """A text message in frames of one byte each."""
    encoded = message.encode()
    for place, byte in enumerate(encoded):
        yield Raw(CONTINUATION if place else TEXT, bytes([byte]), fin=place == len(encoded) - 1)


def closing(code: int) -> Raw:
    """A close frame with this code."""
    return Raw(CLOSE, code.to_bytes(2), fin=True)


HALF, OTHER_HALF = GOOD[:20].encode(), GOOD[20:].encode()
COMPRESSED = b"\xc1" + raw_frame(TEXT, GOOD.encode(), masked=True)[1:]
ENDLESS = b"\x81\xff" + b"\xff" * 8 + b"mask" + HALF

IDS = (
    Hostile("id `2147483647`", with_id("2147483647"), "2147483647: ok"),
    Hostile("id `2147483648`", with_id("2147483648"), "-32600"),
    Hostile("id `-1`", with_id("-1"), "-1: ok"),
    Hostile("id `-2147483648`", with_id("-2147483648"), "-2147483648: ok"),
    Hostile("id `-2147483649`", with_id("-2147483649"), "-32600"),
    Hostile("id `1e400`", with_id("1e400"), "-32700"),
    Hostile("an id of 10,000 digits", with_id("1" * 10_000), "-32700"),
    Hostile('id `"7"`', with_id('"7"'), "-32600"),
    Hostile("id `1.5`", with_id("1.5"), "-32600"),
    Hostile("id `8.0`", with_id("8.0"), "8: ok", "-32600", PLAIN),
    Hostile("id `1e1`", with_id("1e1"), "10: ok", "-32600", PLAIN),
    Hostile("id `-0`", with_id("-0"), "0: ok", "-32600", PLAIN),
    Hostile("id `007`", with_id("007"), "-32700"),
    Hostile("id `+7`", with_id("+7"), "-32700"),
    Hostile("id `null`", with_id("null"), "-32600"),
    Hostile("id `true`", with_id("true"), "-32600"),
    Hostile("id `[7]`", with_id("[7]"), "-32600"),
    Hostile("no id", members('"method":"Browser.getVersion"'), "-32600"),
    Hostile(
        "a second command with an id that is still in flight",
        text(evaluate(7, "new Promise(go => globalThis.go = go)"), evaluate(7, "2"), evaluate(8, "go(1)")),
        "7: -32600; 7: ok 2; 8: ok",
        "7: -32600; 7: ok 1; 8: ok",
        ONE_ANSWER,
    ),
    Hostile("a command twice without waiting", text(GOOD, GOOD), "7: ok; 7: ok", "7: -32600; 7: ok", AT_ONCE),
    Hostile("an id again after its answer", text(GOOD), "7: ok; 7: ok", then=text(GOOD)),
    Hostile(r"key `\u0069d` for `id`", members(r'"\u0069d":7,"method":"Browser.getVersion"'), "7: ok"),
    Hostile("key `ID`", members('"ID":7,"method":"Browser.getVersion"'), "-32600"),
)
MEMBERS = (
    Hostile("two different ids", members('"id":7,"id":8,"method":"Browser.getVersion"'), "7: -32700"),
    Hostile(
        "two ids, one spelled with an escape",
        members(r'"id":7,"\u0069d":8,"method":"Browser.getVersion"'),
        "7: -32700",
    ),
    Hostile("two methods", members('"id":7,"method":"Browser.getVersion","method":"Nothing.known"'), "7: -32700"),
    Hostile("two params", members('"id":7,"method":"Browser.getVersion","params":{},"params":{}'), "7: -32700"),
    Hostile(
        "two session ids", members('"id":7,"sessionId":"S","method":"Browser.getVersion","sessionId":"T"'), "7: -32700"
    ),
    Hostile("two methods before the id", members('"method":"A.b","method":"C.d","id":7'), "-32700"),
    Hostile("a key twice, then an error", members('"id":7,"id":8,"method":"Browser.getVersion",'), "-32700"),
    Hostile(
        "the key order of Puppeteer",
        members('"method":"Browser.getVersion","params":{},"id":7,"sessionId":""'),
        "7: ok",
    ),
    Hostile(
        "10,000 unknown keys",
        members('"id":7,"method":"Browser.getVersion",' + ",".join(f'"k{n}":{n}' for n in range(10_000))),
        "7: -32600",
    ),
    Hostile("a key twice in params", params('{"a":1,"a":2}'), "7: ok"),
    Hostile("an unknown key", members('"id":7,"method":"Browser.getVersion","more":1'), "7: -32600"),
    Hostile("an unknown key before the id", members('"jsonrpc":"2.0","id":7,"method":"Browser.getVersion"'), "-32600"),
    Hostile("a key that is not ASCII", members('"id":7,"é":1,"method":"Browser.getVersion"'), "7: -32700"),
    Hostile("an unknown method", members(f'"id":7,"method":"Nothing.known","params":{{"x":"{MARK}"}}'), "7: -32601"),
    Hostile("method `7`", members('"id":7,"method":7'), "7: -32600"),
    Hostile("method `7` before the id", members('"method":7,"id":7'), "-32600"),
    Hostile("method `null`", members('"id":7,"method":null'), "7: -32600"),
    Hostile('method `""`', members('"id":7,"method":""'), "7: -32600"),
    Hostile("no method", members('"id":7'), "7: -32600"),
    Hostile("a method of 1 MB", members(f'"id":7,"method":"{MARK * 40_000}"'), "7: -32601"),
    Hostile("a method that is not ASCII", members(f'"id":7,"method":"{MARK}.ö"'), "7: -32600"),
    Hostile(r"a method with `\u0000`", members(r'"id":7,"method":"Browser.getVersion\u0000"'), "7: -32601"),
    Hostile("params `[]`", params("[]"), "7: ok"),
    Hostile("params `null`", params("null"), "7: ok"),
    Hostile("params of 1 MB that are a string", params(f'"{MARK * 40_000}"'), "7: -32600"),
    Hostile("a list of 1 MB in params", params('{"a":[' + "1," * 500_000 + "1]}"), "7: ok"),
    Hostile('params `"x"`', params('"x"'), "7: -32600"),
    Hostile("params `1`", params("1"), "7: -32600"),
    Hostile("params `1` before the id", members('"params":1,"id":7,"method":"Browser.getVersion"'), "-32600"),
    Hostile("an unknown session", members(f'"id":7,"method":"A.b","sessionId":"{MARK}"'), "7: -32001"),
    Hostile("a session id of 1 MB", members(f'"id":7,"method":"A.b","sessionId":"{MARK * 40_000}"'), "7: -32001"),
    Hostile('session id `""`', members('"id":7,"method":"Browser.getVersion","sessionId":""'), "7: ok"),
    Hostile("session id `4`", members('"id":7,"method":"Browser.getVersion","sessionId":4'), "7: -32600"),
    Hostile("session id `null`", members('"id":7,"method":"Browser.getVersion","sessionId":null'), "7: -32600"),
    Hostile("session id `4` before the id", members('"sessionId":4,"id":7,"method":"Browser.getVersion"'), "-32600"),
)
TEXTS = (
    Hostile("`{}`", text("{}"), "-32600"),
    Hostile("`[]`", text("[]"), "-32600"),
    Hostile("`null`", text("null"), "-32600"),
    Hostile("`1`", text("1"), "-32600"),
    Hostile('`"x"`', text(f'"{MARK}"'), "-32600"),
    Hostile("an array of two commands", text(f"[{GOOD},{GOOD}]"), "-32600"),
    Hostile("an empty message", text(""), "-32700"),
    Hostile("no JSON", text(MARK), "-32700"),
    Hostile("10 MB of blanks", text(" " * TEN_MB), "-32700"),
    Hostile("10 MB of blanks before a command", text(" " * TEN_MB + GOOD), "7: ok"),
    Hostile("10 MB of blanks after a command", text(GOOD + " " * TEN_MB), "7: ok"),
    Hostile("10 MB of blanks within a command", text(GOOD.replace(",", "," + " " * TEN_MB, 1)), "7: ok"),
    Hostile("100,000 arrays in one another", text("[" * DEEP + "]" * DEEP), "-32700"),
    Hostile("100,000 objects in one another", text('{"a":' * DEEP + "1" + "}" * DEEP), "-32700"),
    Hostile("a value within 300 containers", params("[" * 299 + "[]" + "]" * 299), "7: ok"),
    Hostile("a value within 301 containers", params("[" * 300 + "[]" + "]" * 300), "-32700"),
    Hostile("600 objects in params", params('{"a":' * 600 + "1" + "}" * 600), "-32700"),
    Hostile("100,000 arrays in params", params('{"a":' + "[" * DEEP + "]" * DEEP + "}"), "-32700"),
    Hostile("100,000 objects in params", params('{"a":' * DEEP + "1" + "}" * DEEP), "-32700"),
    Hostile("100,000 arrays without an end", params("[" * DEEP), "-32700"),
    Hostile(r'`"\ud800"` in params', params(r'{"a":"\ud800"}'), "7: ok"),
    Hostile(r'`"\ud800"` that comes back', text(evaluate(7, r"'\ud800'")), r"7: ok '\ud800'"),
    Hostile("a surrogate in bytes (ED A0 80)", params(b'{"a":"\xed\xa0\x80"}'), "7: ok", "-32700", UTF8),
    Hostile("invalid UTF-8 (FF)", params(b'{"a":"' + MARK.encode() + b'\xff"}'), "-32700"),
    Hostile("UTF-8 that is cut off", text(GOOD.encode() + b"\xe2\x82"), "-32700"),
    Hostile("an overlong encoding (C0 80)", params(b'{"a":"\xc0\x80"}'), "-32700"),
    Hostile("a byte order mark", text(b"\xef\xbb\xbf" + GOOD.encode()), "-32700"),
    Hostile("UTF-16", text(GOOD.encode("utf-16")), "-32700"),
    Hostile("control characters in a string", params(b'{"a":"' + bytes(range(32)) + b'\x7f"}'), "7: ok"),
    Hostile("a zero byte after a command", text(GOOD + "\0"), "-32700"),
    Hostile("`NaN`", params('{"a":NaN}'), "-32700"),
    Hostile("`Infinity`", params('{"a":Infinity}'), "-32700"),
    Hostile("`-Infinity`", params('{"a":-Infinity}'), "-32700"),
    Hostile("`1e308`", params('{"a":1e308}'), "7: ok"),
    Hostile("`1e309`", params('{"a":1e309}'), "-32700"),
    Hostile("a command and garbage", text(GOOD + MARK), "-32700"),
    Hostile("two commands in one message", text(GOOD + GOOD), "-32700"),
    Hostile("half a command", text(GOOD[:-5]), "-32700"),
    Hostile("a trailing comma", text(GOOD[:-1] + ",}"), "-32700"),
    Hostile("a comment", text(GOOD.replace(",", ",/* c */", 1)), "-32700"),
    Hostile("single quotes", text(GOOD.replace('"', "'")), "-32700"),
    Hostile("keys without quotes", members('id:7,method:"Browser.getVersion"'), "-32700"),
)
FRAMES = (
    Hostile("a binary message", (Raw(BINARY, GOOD.encode(), fin=True),), "closed 1006", "closed 4502", SAID),
    Hostile(
        "a binary message in fragments",
        (Raw(BINARY, HALF, fin=False), Raw(CONTINUATION, OTHER_HALF, fin=True)),
        "closed 1006",
        "closed 4502",
        SAID,
    ),
    Hostile("a command in fragments of one byte", tuple(fragments_of_one_byte(GOOD)), "7: ok"),
    Hostile(
        "a command between empty fragments",
        (Raw(TEXT, b"", fin=False), Raw(CONTINUATION, GOOD.encode(), fin=False), Raw(CONTINUATION, b"", fin=True)),
        "7: ok",
    ),
    Hostile(
        "a ping between two fragments",
        (Raw(TEXT, HALF, fin=False), Raw(PING, b"p", fin=True), Raw(CONTINUATION, OTHER_HALF, fin=True)),
        "7: ok",
    ),
    Hostile("a close frame with the code 3000", (closing(3000),), "closed 1000", "closed 3000", CLOSING),
    Hostile("a close frame with the code 999", (closing(999),), "closed 1000", "closed 1002", CLOSING),
    Hostile("a close frame without a code", (Raw(CLOSE, b"", fin=True),), "closed 1000", "closed 1005", CLOSING),
    Hostile("a close frame of one byte", (Raw(CLOSE, b"c", fin=True),), "closed 1000", "closed 1002", CLOSING),
    Hostile(
        "half a message, then a close frame",
        (Raw(TEXT, HALF, fin=False), closing(1000)),
        "closed 1000",
        "closed 1002",
        CLOSING,
    ),
    Hostile(
        "a fragment that continues nothing",
        (Raw(CONTINUATION, GOOD.encode(), fin=True),),
        "7: ok",
        "closed 1002",
        FRAMING,
    ),
    Hostile(
        "a message within a fragmented one", (Raw(TEXT, HALF, fin=False), *text(GOOD)), "-32700", "closed 1002", FRAMING
    ),
    Hostile("a ping in fragments", (Raw(PING, b"p", fin=False),), "lives", "closed 1002", FRAMING),
    Hostile("a ping of 200 bytes", (Raw(PING, b"p" * 200, fin=True),), "closed 1006", "closed 1002", SAID),
    Hostile("a frame without a mask", (raw_frame(TEXT, GOOD.encode()),), "closed 1006", "closed 1002", SAID),
    Hostile("an unknown opcode", (Raw(3, b"", fin=True),), "closed 1006", "closed 1002", SAID),
    Hostile("a reserved bit", (COMPRESSED,), "closed 1006", "closed 1002", SAID),
    Hostile("a frame that announces 2^64 bytes", (ENDLESS,), "closed 1006", "closed 1009", SAID),
)
ALL = IDS + MEMBERS + TEXTS + FRAMES


def table() -> list[str]:
    """The rows of the table in docs/protocol/hostile-clients.md."""
    return [f"| {hostile.sent} | {hostile.chrome} | {hostile.relay} | {hostile.why} |" for hostile in ALL]
