"""What follows from what the parts of the fleet said, or failed to say. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from browsergo.core.errors import BrowserGoError, DeadlineExceeded, EdgeLost, EdgeNotFound, ServiceUnavailable

OK = "ok"
DEGRADED = "degraded"


class EdgeKey(NamedTuple):
    """One run of an edge."""

    edge_id: str
    boot: int


class Part(NamedTuple):
    """Something the fleet depends on, and how it is; `detail` says in words why it is not well."""

    name: str
    healthy: bool
    detail: str


def well(name: str) -> Part:
    """A part that answered."""
    return Part(name, True, "")


def unwell(name: str, error: BrowserGoError, deadline_s: float) -> Part:
    """A part that failed to answer."""
    if isinstance(error, DeadlineExceeded):
        return Part(name, False, f"no answer within {deadline_s:g} s")
    return Part(name, False, f"{error.code}: {error.message}")


def overloaded(name: str, rung: str, memory_bytes: int, limit_bytes: int, lag_ms: int) -> Part:
    """An edge that answered, by the rung of its overload ladder; an edge of an older version names none."""
    if rung in {"", OK}:
        return well(name)
    figures = f"memory {memory_bytes >> 20} of {limit_bytes >> 20} MiB, loop lag {lag_ms} ms"
    return Part(name, False, f"overloaded ({rung}): {figures}")


def overall(parts: Iterable[Part]) -> str:
    """`ok` if every part is well, else `degraded`."""
    return OK if all(part.healthy for part in parts) else DEGRADED


def routes(trunks: Mapping[str, Iterable[EdgeKey]]) -> dict[EdgeKey, list[str]]:
    """Which routers reach each edge, from which edges each router reaches; the order of routers is kept."""
    reached: dict[EdgeKey, list[str]] = {}
    for router, edges in trunks.items():
        for edge in edges:
            reached.setdefault(edge, []).append(router)
    return reached


def cut_off(holders: Mapping[EdgeKey, int], reached: Mapping[EdgeKey, Sequence[str]]) -> list[Part]:
    """Edges that hold devices, so the registry says, but have no trunk to any router that answered."""
    return [
        Part(f"edge {edge.edge_id}", False, f"holds {devices} device(s), but no router that answered has its trunk")
        for edge, devices in holders.items()
        if edge not in reached
    ]


def may_try_next(error: BrowserGoError) -> bool:
    """Whether another router may be asked to pass on a command that this one failed to.

    Not after a deadline: the edge may be at work on it.
    """
    return isinstance(error, EdgeNotFound | ServiceUnavailable)


def undelivered(edge: EdgeKey, failures: Sequence[BrowserGoError]) -> BrowserGoError:
    """The error for a command that no router could pass on, from what each of them answered."""
    down = [failure for failure in failures if not isinstance(failure, EdgeNotFound)]
    if down:
        return ServiceUnavailable(f"edge {edge.edge_id} was not reached: {down[0].message}")
    return EdgeLost(f"edge {edge.edge_id} is registered as the device's, but no router has its trunk")
