"""Where the channels of a device live: one path at a time, and nothing hops."""

from browsergo.core.ids import Binding
from edge.core import paths
from edge.core.paths import Paths

A, B = b"\xff" * 15 + b"a", b"\xff" * 15 + b"b"
EDGE, OTHER = 11, 22
AT, NEXT = Binding(3, 8), Binding(3, 9)


def settled() -> Paths:
    """A lives on link 1 over r1 at EDGE, B on link 2 over r2 at OTHER."""
    found = Paths()
    found.routes.update({EDGE: "r1", OTHER: "r2"})
    found.settle(A, AT, 1, EDGE, "r1")
    found.settle(B, AT, 2, OTHER, "r2")
    return found


def test_a_channel_speaks_only_on_its_link_and_over_its_router() -> None:
    found = settled()
    assert (found.home(A, AT, 1), found.home(A, AT, 2), found.home(B, AT, 2)) == ("r1", None, "r2")
    found.routes[EDGE] = "r2"  # the client end announced itself elsewhere: the old path is not moved
    assert found.home(A, AT, 1) == "r1"
    found.settle(A, AT, 2, EDGE, "r2")
    assert (found.home(A, AT, 1), found.home(A, AT, 2)) == (None, "r2")


def test_channels_are_counted_on_the_link_they_live_on() -> None:
    found = settled()
    assert found.channels_by_link() == {1: 1, 2: 1}
    found.settle(A, NEXT, 2, EDGE, "r1")
    assert found.channels_by_link() == {2: 2}
    found.leave(B)
    assert found.channels_by_link() == {2: 1}
    found.link_lost(2)
    assert found.channels_by_link()[2] == 0


def test_what_was_said_before_the_newest_hello_goes_nowhere_whenever_it_comes() -> None:
    found = settled()
    found.settle(A, NEXT, 1, EDGE, "r2")
    assert (found.home(A, AT, 1), found.home(A, NEXT, 1)) == (None, "r2")
    found.settle(A, AT, 1, EDGE, "r1")  # an older one, overtaken
    assert (found.home(A, AT, 1), found.home(A, NEXT, 1)) == (None, "r2")


def test_a_channel_that_is_over_or_was_never_named_lives_nowhere() -> None:
    found = settled()
    found.leave(A)
    found.leave(A)
    assert found.home(A, AT, 1) is None
    assert found.home(bytes(16), AT, 1) is None


def test_a_lost_link_takes_its_channels_and_every_known_edge_is_told_through_its_own_router() -> None:
    found = settled()
    found.routes[33] = ""  # nobody can be told there
    assert found.link_lost(1) == {EDGE: "r1", OTHER: "r2"}
    assert (found.home(A, AT, 1), found.home(B, AT, 2)) == (None, "r2")


def test_a_lost_router_takes_its_channels_and_their_edges_move_to_another() -> None:
    found = settled()
    assert found.router_lost("r1", "r2") == [EDGE]
    assert found.routes == {EDGE: "r2", OTHER: "r2"}
    assert (found.home(A, AT, 1), found.home(B, AT, 2)) == (None, "r2")


def test_without_another_router_they_wait_for_the_next() -> None:
    found = settled()
    assert found.router_lost("r1", None) == []
    assert found.router_lost("r2", None) == []
    assert sorted(found.router_up("r3")) == [EDGE, OTHER]
    assert found.routes == {EDGE: "r3", OTHER: "r3"}
    assert found.router_up("r1") == []


def test_a_lost_edge_is_forgotten_once() -> None:
    found = settled()
    assert found.edge_lost(EDGE, "r1")
    assert not found.edge_lost(EDGE, "r1")
    assert (found.home(A, AT, 1), found.home(B, AT, 2)) == (None, "r2")
    assert EDGE not in found.link_lost(2)


def test_a_device_that_claims_too_many_channels_loses_the_first() -> None:
    found = settled()
    for number in range(paths.MAX_HOMES - 1):
        found.settle(number.to_bytes(16), AT, 3, EDGE, "r1")
    assert found.home(A, AT, 1) is None
    assert found.home(B, AT, 2) == "r2"
    assert found.home((paths.MAX_HOMES - 2).to_bytes(16), AT, 3) == "r1"


def test_a_router_that_lost_an_edge_does_not_speak_for_the_others() -> None:
    """The edge announced itself over r2 before r1 had told that it cannot reach it."""
    found = settled()
    found.routes[EDGE] = "r2"
    found.settle(B, AT, 2, EDGE, "r2")
    assert not found.edge_lost(EDGE, "r1")
    assert found.routes[EDGE] == "r2"
    assert (found.home(A, AT, 1), found.home(B, AT, 2)) == (None, "r2")
