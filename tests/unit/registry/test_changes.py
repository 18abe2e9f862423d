"""Changes since a revision: each device once, as it is now, and nothing missed."""

from hypothesis import given
from hypothesis import strategies as st

from services.registry.core.changes import Change, Changes


def test_each_device_is_told_once_in_the_order_of_its_last_change() -> None:
    changes = Changes()
    for device in ("a", "b", "a"):
        changes.changed(device)
    changes.gone("b")
    assert changes.revision == 4
    assert changes.since(0) == [Change(3, "a", False), Change(4, "b", True)]
    assert changes.since(3) == [Change(4, "b", True)]
    assert changes.since(4) == []


def test_revisions_of_others_are_not_known() -> None:
    changes = Changes()
    changes.changed("a")
    assert [changes.knows(revision) for revision in (0, 1, 2)] == [True, True, False]


def test_who_missed_more_that_is_gone_than_is_remembered_starts_over() -> None:
    changes = Changes(max_gone=2)
    for device in ("a", "b", "c"):
        changes.changed(device)
    for device in ("a", "b", "c"):
        changes.gone(device)
    assert not changes.knows(3), "that a is gone is forgotten"
    assert changes.knows(4)
    assert [change.key for change in changes.since(4)] == ["b", "c"]


def test_one_that_comes_back_does_not_count_as_gone() -> None:
    changes = Changes(max_gone=1)
    for device in ("a", "b"):
        changes.changed(device)
        changes.gone(device)
        changes.changed(device)
    assert changes.knows(0)
    assert [change.is_gone for change in changes.since(0)] == [False, False]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.booleans())))
def test_a_watcher_that_asks_now_and_then_knows_at_last_what_is_there(steps: list[tuple[str, bool, bool]]) -> None:
    changes, here, known, revision = Changes(max_gone=2), set[str](), set[str](), 0
    for device, comes, asks in [*steps, ("a", True, True)]:
        if comes:
            here.add(device)
            changes.changed(device)
        elif device in here:
            here.remove(device)
            changes.gone(device)
        if asks:
            if not changes.knows(revision):
                known = set(here)
            else:
                for change in changes.since(revision):
                    (known.discard if change.is_gone else known.add)(change.key)
            revision = changes.revision
            assert known == here
