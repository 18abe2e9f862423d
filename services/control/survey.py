"""Asks every part of the fleet how it is, all at once, each with its own deadline; never fails as a whole."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from browsergo.core.errors import BrowserGoError
from browsergo.v2 import router_pb2, types_pb2
from services.control import commands
from services.control.core import fleet
from services.control.core.fleet import EdgeKey, Part
from services.control.peers import RegistryPeer, RouterPeer, within

PART_DEADLINE_S = 2.0


class DeviceCount(NamedTuple):
    """How many devices there are, and how many each edge holds."""

    part: Part
    total: int
    active: int
    holders: Counter[EdgeKey]


class RouterView(NamedTuple):
    """A router and what it said; None if it did not."""

    part: Part
    peer: RouterPeer
    status: router_pb2.GetRouterStatusResponse | None


class EdgeView(NamedTuple):
    """An edge and what it said; None if it did not."""

    part: Part
    description: router_pb2.EdgeDescription | None


class Survey(NamedTuple):
    """All there is to say of the fleet."""

    devices: DeviceCount
    routers: list[RouterView]
    edges: list[EdgeView]
    unreached: list[Part]

    @property
    def parts(self) -> list[Part]:
        """The registry, then the routers, then the edges."""
        found = [self.devices.part, *(view.part for view in self.routers), *(view.part for view in self.edges)]
        return [*found, *self.unreached]


async def survey(registry: RegistryPeer, routers: Sequence[RouterPeer], deadline_s: float = PART_DEADLINE_S) -> Survey:
    """Ask the registry and the routers, then the edges that the routers know; at most two deadlines in all."""
    devices, views = await asyncio.gather(
        _count_devices(registry, deadline_s), asyncio.gather(*(_ask_router(peer, deadline_s) for peer in routers))
    )
    peers = {view.peer.name: view.peer for view in views}
    reached = fleet.routes({view.peer.name: _edges_of(view.status) for view in views if view.status is not None})
    asked = [_ask_edge(edge, [peers[name] for name in names], deadline_s) for edge, names in reached.items()]
    edges = await asyncio.gather(*asked)
    return Survey(devices, list(views), list(edges), fleet.cut_off(devices.holders, reached))


async def _count_devices(registry: RegistryPeer, deadline_s: float) -> DeviceCount:
    try:
        return await within(deadline_s, _count_pages(registry))
    except BrowserGoError as error:
        return DeviceCount(fleet.unwell(registry.name, error, deadline_s), 0, 0, Counter())


async def _count_pages(registry: RegistryPeer) -> DeviceCount:
    holders: Counter[EdgeKey] = Counter()
    active = 0
    async for page in registry.pages():
        holders.update(_key(device.edge) for device in page.devices)
        active += sum(device.state == types_pb2.DEVICE_STATE_ACTIVE for device in page.devices)
    return DeviceCount(fleet.well(registry.name), holders.total(), active, holders)


async def _ask_router(peer: RouterPeer, deadline_s: float) -> RouterView:
    try:
        return RouterView(fleet.well(peer.name), peer, await peer.status(deadline_s))
    except BrowserGoError as error:
        return RouterView(fleet.unwell(peer.name, error, deadline_s), peer, None)


async def _ask_edge(edge: EdgeKey, routers: Sequence[RouterPeer], deadline_s: float) -> EdgeView:
    name = f"edge {edge.edge_id}"
    try:
        found = await commands.describe_edge(routers, edge, deadline_s)
    except BrowserGoError as error:
        return EdgeView(fleet.unwell(name, error, deadline_s), None)
    load = fleet.overloaded(name, found.overload, found.memory_bytes, found.memory_limit_bytes, found.loop_lag_ms)
    return EdgeView(load, found)


def _edges_of(status: router_pb2.GetRouterStatusResponse) -> list[EdgeKey]:
    return [_key(trunk.edge) for trunk in status.trunks]


def _key(edge: types_pb2.EdgeRun) -> EdgeKey:
    return EdgeKey(edge.edge_id, edge.boot)
