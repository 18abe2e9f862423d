"""Members: joined, renewed, replaced, given back and run out; what watchers are told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from browsergo.core.errors import Overloaded
from services.registry.core.changes import Change
from services.registry.core.members import Kind, Member, Members, Name

TTL_S = 15.0
NAME = Name(Kind.ROUTER, "router-1")


def router(boot: int = 1, router_id: str = "router-1", address: str = "unix:/run/router-1.sock") -> Member:
    return Member(Name(Kind.ROUTER, router_id), boot, address, "2.0")


def edge(edge_id: str = "edge-1", boot: int = 1) -> Member:
    return Member(Name(Kind.EDGE, edge_id), boot, "", "2.0")


def with_router(now_s: float = 0.0) -> Members:
    members = Members(TTL_S)
    members.joined(router(), now_s)
    return members


def test_who_joins_is_here_until_its_lease_ends() -> None:
    members = with_router()
    assert members.live(NAME, TTL_S - 0.001) == router()
    assert members.live(NAME, TTL_S) is None
    assert members.all(TTL_S) == []


def test_a_renewal_lasts_one_more_ttl_and_is_no_change() -> None:
    members = with_router()
    assert members.renewed(router(), 10.0)
    assert members.live(NAME, 24.9) == router()
    assert (members.live(NAME, 25.0), members.changes.revision) == (None, 1)


def test_another_boot_replaces_at_once_and_the_old_one_can_neither_renew_nor_leave() -> None:
    members = with_router()
    assert members.joined(router(boot=2), 1.0) == router()
    assert not members.renewed(router(), 2.0)
    assert not members.left(NAME, 1, 2.0)
    assert members.live(NAME, 2.0) == router(boot=2)
    assert members.changes.since(0) == [Change(2, "router/router-1", False)]


@pytest.mark.parametrize("boot", [1, 2])
def test_the_same_boot_or_one_whose_lease_has_ended_is_not_replaced(boot: int) -> None:
    members = with_router()
    assert members.joined(router(boot), 1.0 if boot == 1 else TTL_S) is None


def test_a_boot_that_was_replaced_may_have_the_lease_when_nobody_else_has() -> None:
    members = with_router()
    members.joined(router(boot=2), 0.0)
    assert members.renewed(router(), TTL_S)
    assert members.live(NAME, TTL_S) == router()


def test_a_registry_that_knows_nobody_learns_them_from_renewals() -> None:
    members = Members(TTL_S)
    assert members.renewed(router(), 0.0)
    assert members.all(0.0) == [router()]
    assert members.changes.revision == 1


def test_an_edge_and_a_router_of_one_id_are_two_and_come_in_order_of_their_names() -> None:
    members = Members(TTL_S)
    for member in (router(), edge("router-1"), edge("edge-2"), edge("edge-1")):
        members.joined(member, 0.0)
    assert members.all(0.0) == [edge("edge-1"), edge("edge-2"), edge("router-1"), router()]
    assert members.left(Name(Kind.EDGE, "router-1"), 1, 0.0)
    assert members.live(NAME, 0.0) == router()


def test_who_leaves_is_gone_at_once() -> None:
    members = with_router()
    assert members.left(NAME, 1, 1.0)
    assert members.live(NAME, 1.0) is None
    assert members.changes.since(1) == [Change(2, "router/router-1", True)]
    assert not members.left(NAME, 1, 1.0)
    assert members.next_deadline() is None


def test_leases_end_in_the_order_of_their_renewals() -> None:
    members = with_router()
    members.joined(edge(), 1.0)
    members.renewed(router(), 2.0)
    assert members.next_deadline() == 1.0 + TTL_S
    assert members.tick(1.0 + TTL_S - 0.001) == []
    assert members.tick(1.0 + TTL_S) == [edge()]
    assert (members.next_deadline(), len(members)) == (2.0 + TTL_S, 1)
    assert members.tick(100.0) == [router()]
    assert [change.is_gone for change in members.changes.since(0)] == [True, True]


def test_one_that_is_late_and_comes_before_anybody_noticed_is_told_again() -> None:
    """A snapshot may have been told meanwhile, and left it out."""
    members = with_router()
    seen = members.changes.revision
    assert members.renewed(router(), TTL_S + 1)
    assert [change.key for change in members.changes.since(seen)] == ["router/router-1"]


def test_another_address_of_the_same_boot_is_a_change() -> None:
    members = with_router()
    assert members.renewed(router(address="127.0.0.1:7402"), 1.0)
    assert members.changes.revision == 2


def test_no_more_than_a_bound_join_but_those_who_are_here_may_renew_and_be_replaced() -> None:
    members = Members(TTL_S, max_count=2)
    members.joined(router(), 0.0)
    members.joined(edge(), 0.0)
    for refused in (members.joined, members.renewed):
        with pytest.raises(Overloaded, match="2 routers and edges"):
            refused(edge("edge-2"), 1.0)
    assert members.renewed(edge(), 1.0)
    assert members.joined(router(boot=2), 1.0) == router()
    assert members.left(NAME, 2, 1.0)
    assert members.joined(edge("edge-2"), 1.0) is None


def test_a_name_is_told_as_text_and_found_again() -> None:
    for name in (NAME, Name(Kind.EDGE, "a.b_c-1")):
        assert Name.of(name.key) == name


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["joined", "renewed", "left", "tick"]),
        st.sampled_from("ab"),
        st.integers(1, 3),
        st.floats(0.0, TTL_S),
    )
)


@given(STEPS)
def test_who_follows_the_changes_knows_who_is_here_and_no_name_has_two_leases(
    steps: list[tuple[str, str, int, float]],
) -> None:
    members, known, revision, now_s = Members(TTL_S), dict[str, Member](), 0, 0.0
    for what, member_id, boot, later_s in steps:
        now_s += later_s
        members.tick(now_s)
        member = router(boot, member_id)
        if what == "joined":
            members.joined(member, now_s)
            assert members.live(member.name, now_s) == member
        elif what == "renewed":
            assert members.renewed(member, now_s) == (members.live(member.name, now_s) == member)
        elif what == "left":
            members.left(member.name, boot, now_s)
        for change in members.changes.since(revision):
            found = members.live(Name.of(change.key), now_s)
            known.pop(change.key, None)
            if found is not None:
                known[change.key] = found
        revision = members.changes.revision
        assert sorted(known.values(), key=lambda each: each.name.key) == members.all(now_s)
