"""Routes follow a watch: snapshots whole, changes in order, half of one never."""

from edge.core.routes import Route, Routes

LAPTOP, PHONE = Route("laptop", 7), Route("phone", 8)


def test_a_snapshot_in_parts_counts_once_it_is_whole() -> None:
    routes = Routes()
    routes.told(5, 0, True, [LAPTOP])
    assert (routes.edge_of("laptop"), routes.generation, routes.revision) == (None, 0, 0)
    routes.told(5, 12, False, [PHONE])
    assert (routes.edge_of("laptop"), routes.edge_of("phone")) == (7, 8)
    assert (routes.generation, routes.revision) == (5, 12)


def test_changes_move_and_remove() -> None:
    routes = Routes()
    routes.told(5, 1, True, [LAPTOP, PHONE])
    routes.told(5, 3, False, [LAPTOP._replace(edge=9), PHONE._replace(edge=0), Route("never seen", 0)])
    assert (routes.edge_of("laptop"), routes.edge_of("phone"), len(routes)) == (9, None, 1)
    assert routes.revision == 3


def test_what_was_known_counts_until_the_next_snapshot_is_whole_and_is_void_then() -> None:
    routes = Routes()
    routes.told(5, 1, True, [LAPTOP])
    routes.told(6, 0, True, [PHONE])
    assert routes.edge_of("laptop") == 7
    routes.interrupted()
    assert (routes.edge_of("laptop"), routes.edge_of("phone"), routes.generation) == (7, None, 5)
    routes.told(6, 0, True, [])
    routes.told(6, 4, False, [PHONE])
    assert (routes.edge_of("laptop"), routes.edge_of("phone"), routes.generation) == (None, 8, 6)


def test_an_empty_snapshot_is_one() -> None:
    routes = Routes()
    routes.told(5, 1, True, [LAPTOP])
    routes.told(6, 1, True, [])
    assert len(routes) == 0
