"""Views follow a watch: snapshots whole, changes in order, half of one never."""

from browsergo.core.views import Told, View

LAPTOP, PHONE = ("laptop", 7), ("phone", 8)


def test_a_snapshot_in_parts_counts_once_it_is_whole() -> None:
    routes = View[int]()
    assert not routes.told(Told(5, 0, True, [LAPTOP]))
    assert (routes.get("laptop"), routes.generation, routes.revision) == (None, 0, 0)
    assert routes.told(Told(5, 12, False, [PHONE]))
    assert (routes.get("laptop"), routes.get("phone")) == (7, 8)
    assert (routes.generation, routes.revision) == (5, 12)


def test_changes_move_and_remove() -> None:
    routes = View[int]()
    routes.told(Told(5, 1, True, [LAPTOP, PHONE]))
    routes.told(Told(5, 3, False, [("laptop", 9), ("phone", None), ("never seen", None)]))
    assert list(routes) == [("laptop", 9)]
    assert routes.revision == 3


def test_what_was_known_counts_until_the_next_snapshot_is_whole_and_is_void_then() -> None:
    routes = View[int]()
    routes.told(Told(5, 1, True, [LAPTOP]))
    routes.told(Told(6, 0, True, [PHONE]))
    assert routes.get("laptop") == 7
    routes.interrupted()
    assert (routes.get("laptop"), routes.get("phone"), routes.generation) == (7, None, 5)
    routes.told(Told(6, 0, True, []))
    routes.told(Told(6, 4, False, [PHONE]))
    assert (routes.get("laptop"), routes.get("phone"), routes.generation) == (None, 8, 6)


def test_an_empty_snapshot_is_one() -> None:
    routes = View[int]()
    routes.told(Told(5, 1, True, [LAPTOP]))
    routes.told(Told(6, 1, True, []))
    assert len(routes) == 0
