"""Where frames go."""

from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, Frame, Kind
from services.router.core.switch import Forward, Switch

A, B, C, GONE = 11, 22, 33, 99


def switch_of(**trunks: int) -> Switch[str]:
    switch: Switch[str] = Switch()
    for name, edge in trunks.items():
        assert switch.connect(edge, name) is None
    return switch


def message(edge: int, source: int = A, seq: int = 0) -> Frame:
    return Frame(Kind.MSG, edge=edge, source=source, seq=seq, payload=b"{}")


def test_a_frame_goes_to_the_trunk_of_its_edge_and_nowhere_else_in_order() -> None:
    switch = switch_of(a=A, b=B, c=C)
    frames = [message(B, seq=1), message(C, seq=2), message(B, seq=3)]
    assert list(switch.route(A, frames)) == [
        Forward("b", frames[0]),
        Forward("c", frames[1]),
        Forward("b", frames[2]),
    ]


def test_an_edge_may_write_to_itself() -> None:
    assert list(switch_of(a=A).route(A, [message(A)])) == [Forward("a", message(A))]


def test_the_sender_is_stamped_whatever_the_frame_says() -> None:
    switch = switch_of(a=A, b=B)
    [forged] = switch.route(A, [message(B, source=C)])
    [unsigned] = switch.route(A, [message(B, source=NO_EDGE)])
    [everywhere, _] = switch.route(A, [message(EVERY_EDGE, source=C)])
    assert (forged.frame.source, unsigned.frame.source, everywhere.frame.source) == (A, A, A)


def test_an_unknown_edge_is_told_to_the_sender_once_a_batch_behind_what_could_be_delivered() -> None:
    switch = switch_of(a=A, b=B)
    frames = [message(GONE), message(B), message(GONE), message(C), message(GONE)]
    first, *back = switch.route(A, frames)
    assert first == Forward("b", message(B))
    assert {(one.trunk, one.frame.kind, one.frame.edge) for one in back} == {("a", Kind.UNREACHABLE, A)}
    assert sorted(one.frame.source for one in back) == [C, GONE]
    assert switch.unroutable == 4
    assert len(list(switch.route(A, [message(GONE)]))) == 1


def test_a_sender_that_is_gone_is_told_nothing() -> None:
    switch = switch_of(b=B)
    assert list(switch.route(A, [message(GONE), message(B)])) == [Forward("b", message(B))]


def test_a_frame_for_every_edge_goes_to_each_under_its_own_address() -> None:
    switch = switch_of(a=A, b=B, c=C)
    forwards = list(switch.route(A, [message(EVERY_EDGE)]))
    assert {(forward.trunk, forward.frame.edge) for forward in forwards} == {("a", A), ("b", B), ("c", C)}
    assert switch.unroutable == 0


def test_a_lost_trunk_is_told_to_every_other_edge() -> None:
    switch = switch_of(a=A, b=B, c=C)
    forwards = switch.disconnect(B, "b")
    assert {(one.trunk, one.frame.kind, one.frame.edge, one.frame.source) for one in forwards} == {
        ("a", Kind.UNREACHABLE, A, B),
        ("c", Kind.UNREACHABLE, C, B),
    }
    assert switch.trunk(B) is None
    assert switch.disconnect(B, "b") == []


def test_a_replaced_trunk_is_handed_back_its_loss_is_told_to_the_others_and_its_end_to_nobody() -> None:
    switch = switch_of(old=A, b=B)
    assert switch.connect(A, "new") == "old"
    assert switch.lost(A) == [Forward("b", Frame(Kind.UNREACHABLE, edge=B, source=A))]
    assert switch.disconnect(A, "old") == []
    assert switch.trunk(A) == "new"
    assert [one.trunk for one in switch.route(B, [message(A, source=B)])] == ["new"]
    assert sorted(switch.trunks()) == ["b", "new"]
