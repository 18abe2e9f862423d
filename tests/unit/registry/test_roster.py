import pytest

from browsergo.core.errors import StaleEpoch
from services.registry.core.roster import EdgeRun, Newcomer, Renewal, Renewed, Roster

TTL_S = 45.0
EDGE = EdgeRun("edge-1", 11)
OTHER_EDGE = EdgeRun("edge-2", 22)


def newcomer(device_id: str = "laptop", boot: str = "boot-1", edge: EdgeRun = EDGE, size: int = 0) -> Newcomer:
    return Newcomer(device_id, "instance-a", boot, edge, "connection-1", b"x" * size)


def roster_with(*device_ids: str, now_s: float = 0.0) -> Roster:
    roster = Roster(TTL_S)
    for device_id in device_ids:
        roster.place(newcomer(device_id), 1, now_s, 0)
    return roster


def renewed(roster: Roster, epoch: int, now_s: float, edge: EdgeRun = EDGE, active: bool | None = None) -> Renewed:
    return roster.renew(edge, Renewal("laptop", epoch, active, 0), now_s)


def epoch_of(roster: Roster, device_id: str, now_s: float) -> int | None:
    lease = roster.live(device_id, now_s)
    return None if lease is None else lease.epoch


def test_a_placed_device_is_live_until_its_lease_ends() -> None:
    roster = roster_with("laptop")
    assert epoch_of(roster, "laptop", TTL_S - 0.001) == 1
    assert epoch_of(roster, "laptop", TTL_S) is None


def test_a_renewed_lease_lasts_one_more_ttl() -> None:
    roster = roster_with("laptop")
    assert renewed(roster, epoch=1, now_s=40.0) is Renewed.RENEWED
    assert epoch_of(roster, "laptop", 84.9) == 1
    assert epoch_of(roster, "laptop", 85.0) is None


def test_placing_returns_the_live_lease_it_replaces() -> None:
    roster = roster_with("laptop")
    replaced = roster.place(newcomer(boot="boot-2"), 2, 1.0, 0)
    assert replaced is not None
    assert (replaced.epoch, replaced.newcomer.boot_id) == (1, "boot-1")
    assert epoch_of(roster, "laptop", 1.0) == 2


def test_a_lease_that_has_ended_is_not_reported_as_replaced() -> None:
    roster = roster_with("laptop")
    assert roster.place(newcomer(boot="boot-2"), 2, TTL_S, 0) is None


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_that_is_not_newer_is_never_placed(epoch: int) -> None:
    roster = roster_with("laptop")
    with pytest.raises(StaleEpoch):
        roster.place(newcomer(boot="boot-2"), epoch, 1.0, 0)
    lease = roster.live("laptop", 1.0)
    assert lease is not None
    assert lease.newcomer.boot_id == "boot-1"


def test_a_renewal_carries_state_and_last_seen() -> None:
    roster = roster_with("laptop")
    roster.renew(EDGE, Renewal("laptop", 1, True, 5_000), 1.0)
    roster.renew(EDGE, Renewal("laptop", 1, None, 4_000), 2.0)
    lease = roster.live("laptop", 2.0)
    assert lease is not None
    assert (lease.active, lease.last_seen_unix_ms) == (True, 5_000)
    roster.renew(EDGE, Renewal("laptop", 1, False, 6_000), 3.0)
    assert (lease.active, lease.last_seen_unix_ms) == (False, 6_000)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_renewal_of_another_epoch_is_fenced_and_changes_nothing(epoch: int) -> None:
    roster = Roster(TTL_S)
    roster.place(newcomer(), 2, 0.0, 0)
    assert renewed(roster, epoch, now_s=40.0, active=True) is Renewed.FENCED
    lease = roster.live("laptop", 40.0)
    assert lease is not None
    assert (lease.active, lease.expires_s) == (False, TTL_S)


def test_a_renewal_by_another_edge_run_is_fenced() -> None:
    roster = roster_with("laptop")
    assert renewed(roster, epoch=1, now_s=1.0, edge=OTHER_EDGE) is Renewed.FENCED


def test_a_device_without_a_lease_is_left_to_the_store() -> None:
    assert renewed(Roster(TTL_S), epoch=1, now_s=0.0) is Renewed.UNKNOWN


def test_a_forgotten_lease_is_taken_back_with_its_state() -> None:
    roster = Roster(TTL_S)
    assert roster.take_back(newcomer(), Renewal("laptop", 7, True, 9_000), 8_000, 10.0)
    lease = roster.live("laptop", 10.0)
    assert lease is not None
    assert (lease.epoch, lease.active, lease.registered_unix_ms, lease.last_seen_unix_ms) == (7, True, 8_000, 9_000)
    assert lease.expires_s == 10.0 + TTL_S


def test_nothing_is_taken_back_over_a_newer_registration() -> None:
    roster = Roster(TTL_S)
    roster.place(newcomer(boot="boot-2", edge=OTHER_EDGE), 8, 0.0, 0)
    assert not roster.take_back(newcomer(), Renewal("laptop", 7, True, 0), 0, 0.0)
    assert epoch_of(roster, "laptop", 0.0) == 8


def test_taking_back_what_a_parallel_renewal_took_back_already_is_fine() -> None:
    roster = Roster(TTL_S)
    assert roster.take_back(newcomer(), Renewal("laptop", 7, False, 0), 0, 0.0)
    assert roster.take_back(newcomer(), Renewal("laptop", 7, True, 0), 0, 1.0)
    assert len(roster) == 1


def test_a_release_ends_the_lease_at_once() -> None:
    roster = roster_with("laptop")
    assert roster.release("laptop", 1, 1.0)
    assert roster.live("laptop", 1.0) is None
    assert not roster.release("laptop", 1, 1.0)


def test_a_release_of_another_epoch_changes_nothing() -> None:
    roster = Roster(TTL_S)
    roster.place(newcomer(), 2, 0.0, 0)
    assert not roster.release("laptop", 1, 1.0)
    assert epoch_of(roster, "laptop", 1.0) == 2


def test_a_renewal_overtaken_by_its_release_does_not_bring_the_device_back() -> None:
    roster = roster_with("laptop")
    roster.release("laptop", 1, 1.0)
    assert renewed(roster, epoch=1, now_s=2.0) is Renewed.FENCED
    assert not roster.take_back(newcomer(), Renewal("laptop", 1, True, 0), 0, 2.0)


def test_a_release_is_remembered_for_one_ttl_only() -> None:
    roster = roster_with("laptop")
    roster.release("laptop", 1, 1.0)
    assert roster.next_deadline() == 1.0 + TTL_S
    roster.tick(1.0 + TTL_S)
    assert roster.next_deadline() is None
    assert renewed(roster, epoch=1, now_s=1.0 + TTL_S) is Renewed.UNKNOWN


def test_a_kept_lease_goes_on_under_the_new_connection() -> None:
    roster = roster_with("laptop")
    roster.renew(EDGE, Renewal("laptop", 1, True, 0), 1.0)
    before = roster.keep(newcomer()._replace(connection_id="connection-2"), 2.0, 7_000)
    assert before is not None
    assert before.newcomer.connection_id == "connection-1"
    lease = roster.live("laptop", 2.0)
    assert lease is not None
    assert lease.newcomer.connection_id == "connection-2"
    assert (lease.epoch, lease.active, lease.last_seen_unix_ms, lease.expires_s) == (1, True, 7_000, 2.0 + TTL_S)


def test_a_lease_that_has_ended_is_not_kept() -> None:
    roster = roster_with("laptop")
    assert roster.keep(newcomer(), TTL_S, 0) is None
    assert roster.live("laptop", TTL_S) is None


def test_ticking_forgets_what_has_ended_in_that_order() -> None:
    roster = Roster(TTL_S)
    for second, device_id in enumerate(("c", "a", "b")):
        roster.place(newcomer(device_id), 1, float(second), 0)
    assert roster.next_deadline() == TTL_S
    assert [lease.device_id for lease in roster.tick(TTL_S + 1)] == ["c", "a"]
    assert roster.next_deadline() == TTL_S + 2
    assert len(roster) == 1
    assert roster.tick(TTL_S + 1) == []


def test_a_renewal_moves_a_lease_to_the_back() -> None:
    roster = roster_with("laptop", "phone")
    renewed(roster, epoch=1, now_s=10.0)
    assert [lease.device_id for lease in roster.tick(TTL_S)] == ["phone"]
    assert roster.next_deadline() == 10.0 + TTL_S


def test_pages_are_in_order_of_device_id_and_complete() -> None:
    roster = roster_with("b", "d", "a", "c", "e")
    seen: list[str] = []
    more = True
    while more:
        page = roster.page(seen[-1] if seen else "", 2, 1 << 20, 1.0)
        seen += [lease.device_id for lease in page.leases]
        more = page.more
    assert seen == ["a", "b", "c", "d", "e"]


def test_a_page_that_holds_all_there_is_says_so() -> None:
    assert not roster_with("a", "b").page("", 2, 1 << 20, 1.0).more


def test_a_page_ends_before_it_grows_too_big_but_never_empty() -> None:
    roster = Roster(TTL_S)
    for device_id in ("a", "b", "c"):
        roster.place(newcomer(device_id, size=4_000), 1, 0.0, 0)
    assert [lease.device_id for lease in roster.page("", 10, 10_000, 1.0).leases] == ["a", "b"]
    page = roster.page("", 10, 10, 1.0)
    assert ([lease.device_id for lease in page.leases], page.more) == (["a"], True)


def test_pages_leave_out_leases_that_have_ended() -> None:
    roster = roster_with("a", "c")
    roster.place(newcomer("b"), 1, 10.0, 0)
    page = roster.page("", 10, 1 << 20, TTL_S)
    assert ([lease.device_id for lease in page.leases], page.more) == (["b"], False)
