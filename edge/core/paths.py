"""Over which router each channel of a device speaks to its client end. Pure, soft state.

A channel is on one path at a time: the one on which its HELLO or OPENED went out. Frames of that
binding go there or nowhere; nobody forwards them over another path, or the client end would see a
gap (design/delivery.md, "Bindings"). That holds by the binding and not by the order in which frames
come: a HELLO may overtake what its channels said before it (core/channel/queue.py).
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from browsergo.core.ids import Binding

MAX_HOMES = 16_384  # of one device: far more channels than a browser bears


class _Home(NamedTuple):
    at: Binding
    link: int
    edge: int
    router: str


class Paths:
    """The paths of one device. `routes`: client edge -> the router through which it spoke last ("": none is up)."""

    def __init__(self) -> None:
        self.routes: dict[int, str] = {}
        self._homes: dict[bytes, _Home] = {}

    def settle(self, channel: bytes, at: Binding, link: int, edge: int, router: str) -> None:
        """A HELLO that names the channel, or its OPENED, goes out on this path: it lives there now, if `at` is newest.

        A device that claims too many loses the path of the one it named first.
        """
        known = self._homes.get(channel)
        if known is not None and known.at > at:
            return
        self._homes[channel] = _Home(at, link, edge, router)
        if len(self._homes) > MAX_HOMES:
            del self._homes[next(iter(self._homes))]

    def home(self, channel: bytes, at: Binding, link: int) -> str | None:
        """The router for what `channel` says on `link` under `at`; None: it does not live there."""
        home = self._homes.get(channel)
        return home.router if home is not None and home.at == at and home.link == link else None

    def channels_by_link(self) -> Counter[int]:
        """How many channels live on each link."""
        return Counter(home.link for home in self._homes.values())

    def leave(self, channel: bytes) -> None:
        """The channel is over."""
        self._homes.pop(channel, None)

    def link_lost(self, link: int) -> dict[int, str]:
        """Paths over this link are gone. Whom to tell: client edge -> router."""
        told = {home.edge: home.router for home in self._homes.values() if home.link == link}
        self._keep(lambda home: home.link != link)
        return told | {edge: router for edge, router in self.routes.items() if router}

    def router_lost(self, router: str, other: str | None) -> list[int]:
        """Paths over this router are gone. The client edges that get new ones through `other`, if there is one."""
        moved = {home.edge: None for home in self._homes.values() if home.router == router}
        moved |= {edge: None for edge, via in self.routes.items() if via == router}
        self._keep(lambda home: home.router != router)
        self.routes.update(dict.fromkeys(moved, other or ""))
        return list(moved) if other else []

    def router_up(self, router: str) -> list[int]:
        """A router is up: the client edges that waited for one, and get their paths through it."""
        waiting = [edge for edge, via in self.routes.items() if via == ""]
        for edge in waiting:
            self.routes[edge] = router
        return waiting

    def edge_lost(self, edge: int, router: str) -> bool:
        """This router reaches this client edge no more; whether it came through it. It may announce itself again.

        What goes over another router stays: the edge may be cut from this one only.
        """
        self._keep(lambda home: (home.edge, home.router) != (edge, router))
        if self.routes.get(edge) != router:
            return False
        del self.routes[edge]
        return True

    def _keep(self, lives: Callable[[_Home], bool]) -> None:
        self._homes = {channel: home for channel, home in self._homes.items() if lives(home)}
