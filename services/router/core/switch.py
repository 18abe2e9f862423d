"""Where a frame goes: edge run -> trunk. That is all the switch has to know (design/architecture.md)."""

from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from browsergo.core.channel.frames import EVERY_EDGE, Frame, Kind

T = TypeVar("T")


class Forward(NamedTuple, Generic[T]):
    """Put the frame on this trunk."""

    trunk: T
    frame: Frame


class Switch(Generic[T]):
    """Trunks by the edge run at their other end."""

    def __init__(self) -> None:
        self._trunks: dict[int, T] = {}
        self.unroutable = 0

    def connect(self, edge: int, trunk: T) -> T | None:
        """A trunk of `edge` is up; the one it replaces, if any, is returned: close it, and tell the others (`lost`)."""
        old = self._trunks.get(edge)
        self._trunks[edge] = trunk
        return old

    def disconnect(self, edge: int, trunk: T) -> list[Forward[T]]:
        """A trunk is gone: unless it was replaced, which was told then, the others are told."""
        if self._trunks.get(edge) is not trunk:
            return []
        del self._trunks[edge]
        return self.lost(edge)

    def lost(self, edge: int) -> list[Forward[T]]:
        """A trunk of `edge` is gone, whether or not it has another: what was on its way to it never came.

        Every other edge is told, for a HELLO may have been among it, and nobody would ever ask for it again.
        """
        return [Forward(other, _unreachable(edge, to)) for to, other in self._trunks.items() if to != edge]

    def trunk(self, edge: int) -> T | None:
        """The trunk of an edge run."""
        return self._trunks.get(edge)

    def trunks(self) -> Iterable[T]:
        """All trunks."""
        return self._trunks.values()

    def route(self, source: int, frames: Iterable[Frame]) -> Iterator[Forward[T]]:
        """Where the frames that came from `source` go. An unknown address is told to the sender, once a batch.

        The sender is stamped here: an edge cannot speak in another's name.
        """
        unknown: set[int] = set()
        for arrived in frames:
            frame = arrived if arrived.source == source else arrived._replace(source=source)
            trunk = self._trunks.get(frame.edge)
            if trunk is not None:
                yield Forward(trunk, frame)
            elif frame.edge == EVERY_EDGE:
                for edge, every in self._trunks.items():
                    yield Forward(every, frame._replace(edge=edge))
            else:
                self.unroutable += 1
                unknown.add(frame.edge)
        back = self._trunks.get(source)
        if back is not None:
            for edge in unknown:
                yield Forward(back, _unreachable(edge, source))


def _unreachable(edge: int, to: int) -> Frame:
    return Frame(Kind.UNREACHABLE, edge=to, source=edge)
