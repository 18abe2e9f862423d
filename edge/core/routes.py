"""Where devices are, as the registry told last. Pure, soft state."""

from collections.abc import Iterable
from typing import NamedTuple


class Route(NamedTuple):
    """A device's edge run; 0: it has no lease."""

    device: str
    edge: int


class Routes:
    """Follows a watch: `generation` and `revision` say how far, for coming back to it."""

    def __init__(self) -> None:
        self.generation = 0
        self.revision = 0
        self._edges: dict[str, int] = {}
        self._coming: dict[str, int] | None = None  # a snapshot of which more parts are to come

    def __len__(self) -> int:
        return len(self._edges)

    def edge_of(self, device: str) -> int | None:
        """The edge run that held the device when the registry last told."""
        return self._edges.get(device)

    def told(self, generation: int, revision: int, begins_snapshot: bool, routes: Iterable[Route]) -> None:
        """One response. A snapshot counts once it is whole; until then what was known before it does."""
        if begins_snapshot:
            self._coming = {}
        edges = self._edges if self._coming is None else self._coming
        for route in routes:
            if route.edge:
                edges[route.device] = route.edge
            else:
                edges.pop(route.device, None)
        if revision:
            self._edges, self._coming = edges, None
            self.generation, self.revision = generation, revision

    def interrupted(self) -> None:
        """The watch ended: half a snapshot is none."""
        self._coming = None
