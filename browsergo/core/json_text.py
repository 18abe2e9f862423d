"""JSON text, checked and skipped without being parsed: no recursion, no objects built, a slice at a time.

Which words may stand beside one another is a regular language, and the regular expression engine reads a slice of it
in one match. Which bracket closes which is not: of the slice all but brackets and commas is thrown away, and the
little that is left is walked with an explicit stack. So there is no step for a plain value, and no text is read again
for lying deep: the worst text costs about as much as a list of numbers.

RFC 8259 with two differences, both Chrome's: control characters may stand in strings, and a number must be a finite
double.
"""

import math
import re
from collections.abc import Generator
from itertools import islice

SLICE_BYTES = 1 << 16  # some milliseconds of work at most
_ANY_DEPTH = 1 << 62
Slices = Generator[None, None, int]  # gives the loop back after each slice; returns a position

# Patterns for bytes, with possessive quantifiers: linear, never backtracking.
WS = rb"[ \t\n\r]*+"
STRING = rb'"[^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*+)*+"'
_KEY = STRING + WS + rb":" + WS
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]++)?+"
_LITERAL = rb"true|false|null"


def flat_value(levels: int) -> bytes:
    """A value with at most `levels` levels of containers, every number surely a double. Doubles with each level."""
    number = rb"(?=[-0-9])-?(?:0|[1-9][0-9]{0,199}+)(?:\.[0-9]++)?+(?:[eE](?:-[0-9]++|\+?[0-9]{1,2}+))?+(?![0-9])"
    if levels == 0:
        return rb"(?:" + STRING + rb"|" + number + rb"|" + _LITERAL + rb")"
    inner = flat_value(levels - 1)
    obj = rb"\{" + WS + rb"(?:" + _KEY + inner + WS + rb"(?:," + WS + rb'(?=")|(?=\})))*+\}'
    arr = rb"\[" + WS + rb"(?:" + inner + WS + rb"(?:," + WS + rb"(?!\])|(?=\])))*+\]"
    return rb"(?:" + STRING + rb"|" + obj + rb"|" + number + rb"|" + _LITERAL + rb"|" + arr + rb")"


_SCALAR = re.compile(rb"(?:" + STRING + rb"|" + _NUMBER + rb"|" + _LITERAL + rb")")
_NOTHING_IN = rb"\[" + WS + rb"\]|\{" + WS + rb"\}"
_ITEM = rb"(?:" + _NUMBER + rb"|" + STRING + rb"|" + _NOTHING_IN + rb"|" + _LITERAL + rb")" + WS

_FILLED_AHEAD = rb"(?=[\[{]" + WS + rb"[^ \t\n\r\]}])"  # nor one of which the slice does not tell


def _after(beginning: bytes, key: bytes, closing: bytes) -> bytes:
    """What begins a container or goes on with it, and the plain items that follow, or a container ahead."""
    item = key + _ITEM + rb"(?=[," + closing + rb"])"
    return beginning + WS + rb"(?:" + item + rb"(?:," + WS + item + rb")*+|" + key + _FILLED_AHEAD + rb")"


# Read up to any place where a slice may end: after an item, an opening bracket or a closing one. It takes a `,"key":`
# for one of an object and a `,` alone for one of an array; the walk sees whether they are.
_RUN = re.compile(
    rb"(?:[\]}]" + WS + rb"(?=[,\]}]|\Z)|"
    + _after(rb"\[", rb"", rb"\]") + rb"|" + _after(rb",", rb"", rb"\]") + rb"|"
    + _after(rb"\{", _KEY, rb"\}") + rb"|" + _after(rb",", _KEY, rb"\}") + rb")*+"
)  # fmt: skip
_AFTER_CLOSING = re.compile(WS + rb"(?:[]},]|\Z)")
_OPENING = frozenset(b"[{")
_STRINGS = re.compile(STRING)
_EMPTY = re.compile(_NOTHING_IN)  # never cut by a slice; counts as a plain value, for Chrome's depth, too
_CLOSING = re.compile(STRING + rb"|" + _NOTHING_IN + rb"|([\]}])")
_STRUCTURE = b"[]{},:"
_ALL_ELSE = bytes(byte for byte in range(256) if byte not in _STRUCTURE)
_PERHAPS_NO_DOUBLE = re.compile(rb"[eE]\+?[0-9]{3}|(?<![0-9])[0-9]{300}")
_WHOLE_NUMBER = re.compile(rb"-?[0-9][-+.0-9eE]*+")
_SPACE = re.compile(WS)


class Malformed(Exception):
    """Not JSON, or nested too deep, at about this position."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def skip_value(message: bytes, start: int, deepest: int | None) -> Slices:
    """Where the value at `start` ends. Raises Malformed.

    A value within more than `deepest` containers is malformed, as it is for Chrome; None: there is no limit.
    """
    empty = _EMPTY.match(message, start)
    if empty is not None:
        return empty.end()
    scalar = _SCALAR.match(message, start)
    if scalar is not None:
        _check_numbers(b"" if message[start : start + 1] == b'"' else scalar[0], start)
        return scalar.end()
    if message[start : start + 1] not in {b"[", b"{"}:
        raise Malformed(start)
    return (yield from _close(message, start, [], deepest))


def skip_members(message: bytes, comma: int, deepest: int | None) -> Slices:
    """Where the object ends of which a member has ended at `comma`. Raises Malformed."""
    return (yield from _close(message, comma, [0x7D], deepest))


def after_space(message: bytes, position: int) -> int:
    """The next position that holds no blank."""
    match = _SPACE.match(message, position)
    return match.end() if match is not None else position


def _close(message: bytes, position: int, stack: list[int], deepest: int | None) -> Slices:
    """Where the last of the containers is closed whose closing brackets are in `stack`, or that begin here."""
    size = SLICE_BYTES
    while True:
        run = _RUN.match(message, position, position + size)
        end = run.end() if run is not None else position
        if end == position:
            if position + size >= len(message):
                raise Malformed(position)
            size *= 8  # a string is longer than the slice
            continue
        if end == position + size and _AFTER_CLOSING.match(message, end) is None:
            raise Malformed(end)  # only closing brackets may stand at the very end of a slice
        piece = memoryview(message)[position:end]
        closed = _walk(_structure(piece, position), stack, _ANY_DEPTH if deepest is None else deepest, position)
        if closed:
            return position + _end_of_closing(piece, closed)
        position, size = after_space(message, end), SLICE_BYTES
        yield


def _structure(piece: memoryview, position: int) -> bytes:
    """Its brackets, and one comma for many: `;` where keys follow, `,` where none do."""
    words = _EMPTY.sub(b"", _STRINGS.sub(b'"', piece))  # a list of strings is no empty one
    _check_numbers(words, position)
    marks = words.translate(None, _ALL_ELSE).replace(b"{:", b"{").replace(b",:", b";")
    for mark in (b",", b";"):
        while mark + mark in marks:
            marks = marks.replace(mark + mark, mark)
    return marks


def _walk(structure: bytes, stack: list[int], deepest: int, position: int) -> int:
    """Open and close containers; after how many closing brackets none is left, 0: some are. Raises Malformed."""
    closed = 0
    for byte in structure:
        if byte == 0x5D or byte == 0x7D:  # noqa: PLR1714 - a set costs as much as all the rest of the step
            if stack.pop() != byte:
                raise Malformed(position)
            closed += 1
            if not stack:
                return closed
        elif byte in _OPENING:
            stack.append(byte + 2)  # `]` for `[`, `}` for `{`
            if len(stack) > deepest:
                raise Malformed(position)
        elif stack[-1] != (0x5D if byte == 0x2C else 0x7D):
            raise Malformed(position)
    return 0


def _end_of_closing(piece: memoryview, number: int) -> int:
    closing = (match.end() for match in _CLOSING.finditer(piece) if match.lastindex)
    return next(islice(closing, number - 1, None))


def _check_numbers(words: bytes, position: int) -> None:
    """Like Chrome's parser, ours takes only what a double can hold. `words` has no strings."""
    if _PERHAPS_NO_DOUBLE.search(words) is not None and any(
        math.isinf(float(number)) for number in _WHOLE_NUMBER.findall(words)
    ):
        raise Malformed(position)
