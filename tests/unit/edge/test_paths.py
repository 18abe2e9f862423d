"""The paths of a device's channels: one at a time, and nobody hops."""

from edge.core.paths import Paths

CHANNEL, OTHER = b"c" * 16, b"o" * 16
EDGE, LINK = 7, 3


def settled(router: str = "r1") -> Paths:
    paths = Paths()
    paths.routes[EDGE] = router
    paths.settle(CHANNEL, LINK, EDGE, router)
    return paths


def test_a_channel_speaks_where_it_was_settled_and_nowhere_else() -> None:
    paths = settled()
    assert paths.home(CHANNEL, LINK) == "r1"
    assert paths.home(CHANNEL, LINK + 1) is None
    assert paths.home(OTHER, LINK) is None


def test_frames_of_a_lost_router_do_not_hop_to_the_next_one() -> None:
    paths = settled()
    assert paths.router_lost("r1", "r2") == [EDGE]
    assert paths.home(CHANNEL, LINK) is None
    assert paths.routes[EDGE] == "r2"
    paths.settle(CHANNEL, LINK, EDGE, "r2")
    assert paths.home(CHANNEL, LINK) == "r2"


def test_a_client_edge_waits_for_a_router_while_none_is_up() -> None:
    paths = settled()
    assert paths.router_lost("r1", None) == []
    assert paths.router_up("r2") == [EDGE]
    assert paths.router_up("r3") == []


def test_a_channel_that_came_by_hello_alone_moves_too() -> None:
    paths = Paths()
    paths.settle(CHANNEL, LINK, EDGE, "r1")
    assert paths.router_lost("r1", "r2") == [EDGE]


def test_a_lost_link_takes_its_channels_along_and_their_edges_are_told() -> None:
    paths = Paths()
    paths.settle(CHANNEL, LINK, EDGE, "r1")
    paths.settle(OTHER, LINK + 1, EDGE + 1, "r1")
    assert paths.link_lost(LINK) == {EDGE: "r1"}
    assert paths.home(CHANNEL, LINK) is None
    assert paths.home(OTHER, LINK + 1) == "r1"


def test_an_unreachable_client_edge_is_asked_about_once() -> None:
    paths = settled()
    assert paths.edge_lost(EDGE)
    assert paths.home(CHANNEL, LINK) is None
    paths.settle(CHANNEL, LINK, EDGE, "r1")  # the HELLO that answers, on its way to nobody
    assert not paths.edge_lost(EDGE)


def test_a_channel_that_is_over_has_no_path() -> None:
    paths = settled()
    paths.leave(CHANNEL)
    paths.leave(CHANNEL)
    assert paths.home(CHANNEL, LINK) is None
