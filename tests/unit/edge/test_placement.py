"""Which router a device's channels go through."""

from collections import Counter

import pytest

from edge.core import placement
from edge.core.placement import Reach, rendezvous

DEVICES = [f"device-{number}" for number in range(3000)]
ROUTERS = ["router-1", "router-2", "router-3"]


def test_without_routers_there_is_none() -> None:
    assert rendezvous("laptop", []) is None


def test_the_order_of_the_routers_does_not_matter() -> None:
    for device in DEVICES[:100]:
        assert rendezvous(device, ROUTERS) == rendezvous(device, reversed(ROUTERS))


def test_a_router_that_goes_moves_only_the_devices_it_had() -> None:
    for device in DEVICES:
        before = rendezvous(device, ROUTERS)
        after = rendezvous(device, ROUTERS[:2])
        assert after == before if before in ROUTERS[:2] else after in ROUTERS[:2]


def test_devices_are_spread_evenly() -> None:
    share = Counter(rendezvous(device, ROUTERS) for device in DEVICES)
    assert all(850 < share[router] < 1150 for router in ROUTERS), share


def test_the_boundary_between_device_and_router_is_part_of_the_weight() -> None:
    """`ab` on `c` and `a` on `bc` must be weighed apart: 64 such pairs cannot all agree by chance."""
    agree = [rendezvous(f"a{n}b", ["c", "d"]) == "c" and rendezvous(f"a{n}", ["bc", "bd"]) == "bc" for n in range(64)]
    assert not all(agree)


def test_a_router_is_not_asked_for_an_edge_that_it_could_not_reach_just_now() -> None:
    reach = Reach()
    reach.unreachable("router-1", 7, 100.0)
    assert reach.reaching(7, ROUTERS, 100.0) == ["router-2", "router-3"]
    assert reach.reaching(8, ROUTERS, 100.0) == ROUTERS
    assert reach.reaching(7, ROUTERS, 100.0 + placement.BELIEVED_S) == ROUTERS


def test_an_edge_that_is_heard_over_a_router_is_reached_over_it() -> None:
    reach = Reach()
    assert not reach
    reach.unreachable("router-1", 7, 100.0)
    reach.unreachable("router-2", 7, 100.0)
    assert reach
    reach.heard("router-1", 8)
    reach.heard("router-1", 7)
    assert reach.reaching(7, ROUTERS, 100.0) == ["router-1", "router-3"]
    reach.heard("router-2", 7)
    assert not reach


def test_an_edge_that_no_router_could_reach_is_asked_for_at_any() -> None:
    reach = Reach()
    for router in ROUTERS:
        reach.unreachable(router, 7, 100.0)
    assert reach.reaching(7, ROUTERS, 101.0) == ROUTERS
    assert reach.reaching(7, [], 101.0) == []


def test_what_is_remembered_is_bounded_and_what_is_over_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "REMEMBERED", 3)
    reach = Reach()
    for edge in range(5):
        reach.unreachable("router-1", edge, 100.0)
    assert [edge for edge in range(5) if reach.reaching(edge, ROUTERS, 101.0) != ROUTERS] == [0, 1, 2]
    reach.unreachable("router-1", 9, 200.0)
    assert reach.reaching(9, ROUTERS, 200.0) == ["router-2", "router-3"]
