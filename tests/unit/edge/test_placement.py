"""Which router a device's channels go through."""

from collections import Counter

from edge.core.placement import rendezvous

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
