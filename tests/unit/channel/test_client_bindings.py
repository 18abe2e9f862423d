"""The client end when paths change, die and come back (design/delivery.md, "Bindings" and "Rules")."""

import pytest

from browsergo.core import errors
from browsergo.core.channel import payloads
from browsergo.core.channel.client_state import Deliver, Effect, Ended, Path, Seek, Send
from browsergo.core.channel.frames import NO_EDGE, Frame, Kind
from browsergo.core.ids import Binding
from tests.unit.channel.ends import (
    CHANNEL,
    DEVICE_EDGE,
    LINK,
    OTHER,
    PATH,
    ROUTER,
    ClientSide,
    answer,
    command,
    end_of,
    event,
    fates,
    only,
    open_client,
    sent,
)

NEXT = Path("router-2", 41, 1)


def test_frames_of_another_binding_are_ignored_and_counted() -> None:
    side = open_client()
    side.command(command(1))
    for at in (Binding(1, 0), Binding(1, 2), Binding(2, 1)):
        assert side.message(1, event(), at) == []
        assert side.recorded(1, at) == []
    assert side.ends.stale_frames == 6
    assert [frame.seq for frame in sent(side.hello(Binding(1, 9), side.named()), Kind.CMD)] == [1]


def test_a_newer_hello_of_the_same_boot_resumes_and_replays_in_order_what_was_not_recorded() -> None:
    side = open_client()
    for number in range(1, 6):
        side.command(command(number))
    side.recorded(1)
    side.message(1, event())
    effects = side.hello(Binding(1, 2), side.named(last=3), path=NEXT)
    [resume, *replayed] = only(Send, effects)
    assert (resume.path, resume.frame.kind, resume.frame.seq) == (NEXT, Kind.RESUME, 1)
    assert payloads.decode_resume(resume.frame.payload).received == 1
    assert [(send.path, send.frame.seq, send.frame.at) for send in replayed] == [
        (NEXT, 4, Binding(1, 2)),
        (NEXT, 5, Binding(1, 2)),
    ]


def test_new_commands_follow_the_replayed_ones_on_the_new_path() -> None:
    side = open_client()
    side.command(command(1))
    side.hello(Binding(1, 2), side.named(), path=NEXT)
    [send] = only(Send, side.command(command(2)))
    assert (send.path, send.frame.seq, send.frame.at) == (NEXT, 2, Binding(1, 2))


def test_resume_tells_what_was_consumed_and_what_was_received_apart() -> None:
    side = open_client()
    side.message(1, event())
    side.ends.writable(CHANNEL, False)
    side.message(2, event())
    side.message(3, event())
    [resume] = sent(side.hello(Binding(1, 2), side.named()), Kind.RESUME)
    assert resume.seq == 1
    assert payloads.decode_resume(resume.payload).received == 3


@pytest.mark.parametrize("at", [Binding(1, 4), Binding(1, 5), Binding(0, 9)])
def test_a_hello_that_is_not_newer_binds_nothing(at: Binding) -> None:
    side = ClientSide()
    side.open()
    side.opened(Binding(1, 5))
    assert side.hello(at, side.named(), path=NEXT) == []
    assert only(Send, side.command(command(1)))[0].path == PATH


def test_a_newer_opened_binds_an_open_channel_anew_without_a_second_upgrade() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.opened(Binding(1, 2), path=NEXT)
    assert [(send.path, send.frame.kind) for send in only(Send, effects)] == [(NEXT, Kind.RESUME), (NEXT, Kind.CMD)]
    assert len(effects) == 2
    assert side.opened(Binding(1, 2), path=NEXT) == []


def test_a_channel_held_on_another_link_is_left_alone() -> None:
    side = open_client()
    assert side.hello(Binding(1, 2), held=[CHANNEL]) == []
    assert side.message(1, event()) == [Deliver(CHANNEL, event())]


def test_a_channel_absent_from_a_newer_hello_was_freed() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.hello(Binding(1, 2), held=[OTHER])
    assert fates(effects) == [(1, "unknown")]
    assert end_of(effects) == "CHANNEL_GONE"


def test_a_channel_absent_from_an_older_hello_was_opened_after_it() -> None:
    side = ClientSide()
    side.open()
    side.opened(Binding(1, 5))
    assert side.hello(Binding(1, 4)) == []


def test_a_new_boot_fails_a_channel_that_ever_wrote() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.hello(Binding(2, 1), boot="boot-2")
    assert fates(effects) == [(1, "unknown")]
    assert end_of(effects) == "DEVICE_RESTARTED"


def test_a_new_boot_fails_a_channel_that_ever_received() -> None:
    side = open_client()
    side.message(1, event())
    assert end_of(side.hello(Binding(2, 1), boot="boot-2")) == "DEVICE_RESTARTED"


def test_a_new_boot_that_took_the_device_over_from_another_instance_is_told_as_such() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.hello(Binding(2, 1), boot="boot-2", took_over=True)
    assert fates(effects) == [(1, "unknown")]
    assert end_of(effects) == "DEVICE_REPLACED"


def test_a_new_boot_opens_a_channel_afresh_that_exchanged_nothing() -> None:
    side = open_client()
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    side.command(command(1))  # held: nothing was written
    [seek] = side.hello(Binding(2, 1), boot="boot-2", path=NEXT)
    assert isinstance(seek, Seek)
    assert seek.frame.kind == Kind.OPEN
    assert side.message(1, event()) == []  # of the old boot, under way all the time
    assert only(Send, side.command(command(2))) == []
    effects = side.opened(Binding(2, 2), boot="boot-2", born=2, path=NEXT)
    assert [frame.seq for frame in sent(effects, Kind.CMD)] == [1, 2]
    assert side.message(1, event(), Binding(2, 2)) == [Deliver(CHANNEL, event())]


def test_a_new_boot_that_ends_a_channel_hears_so_on_the_path_it_came_by() -> None:
    side = open_client()
    side.command(command(1))
    [close] = only(Send, side.hello(Binding(2, 1), boot="boot-2", path=NEXT))  # an old OPEN may have made it there
    assert (close.path, close.frame.kind, close.frame.channel) == (NEXT, Kind.CLOSE, CHANNEL)


def test_a_channel_opened_afresh_has_left_its_old_path() -> None:
    side = open_client()
    side.hello(Binding(2, 1), boot="boot-2", path=NEXT)
    assert side.ends.router_lost(ROUTER, side.now) == []
    assert side.ends.client_gone(CHANNEL) == []


def test_a_channel_opened_afresh_asks_again_and_gives_up_after_the_window() -> None:
    side = open_client()
    side.hello(Binding(2, 1), boot="boot-2")
    assert [seek.frame.kind for seek in only(Seek, side.pass_time(0.5))] == [Kind.OPEN]
    assert end_of(side.pass_time(30.0)) == "DEVICE_LOST"


def test_a_new_boot_of_the_same_epoch_is_not_believed() -> None:
    side = open_client()
    assert side.hello(Binding(1, 7), boot="boot-2") == []


def test_a_channel_created_again_by_the_same_boot_counts_as_another_boot() -> None:
    side = open_client()
    side.command(command(1))
    effects = side.hello(Binding(1, 9), side.named(born=8), path=NEXT)
    assert end_of(effects) == "DEVICE_RESTARTED"
    [close] = [send for send in only(Send, effects) if send.frame.kind == Kind.CLOSE]
    assert close.path == NEXT  # that agent must hear it, whatever became of the old path


def test_a_channel_created_again_that_exchanged_nothing_just_goes_on() -> None:
    side = open_client()
    assert [frame.kind for frame in sent(side.hello(Binding(1, 9), side.named(born=8)), Kind.RESUME)] == [Kind.RESUME]
    assert only(Send, side.command(command(1)))[0].frame.at == Binding(1, 9)


def test_a_hello_of_an_epoch_that_is_over_changes_nothing() -> None:
    side = open_client()
    side.hello(Binding(3, 1), side.named(), path=NEXT)
    assert side.hello(Binding(2, 9), boot="boot-0") == []
    assert only(Send, side.command(command(1)))[0].path == NEXT


def test_a_hello_of_an_epoch_that_is_over_changes_nothing_of_what_the_newest_did_not_name() -> None:
    side = open_client()
    side.hello(Binding(3, 1), held=[CHANNEL])  # it stays where it is, under a binding of the first epoch
    side.message(1, event())
    assert side.hello(Binding(2, 9), boot="boot-0") == []
    assert side.hello(Binding(2, 9)) == []
    assert side.hello(Binding(2, 9), side.named(), path=NEXT) == []
    assert side.ends.stale_frames == 3
    assert only(Send, side.command(command(1)))[0].path == PATH


def test_a_lost_router_makes_its_channels_announce_themselves_and_hold_commands() -> None:
    side = open_client()
    side.command(command(1))
    [seek] = only(Seek, side.ends.router_lost(ROUTER, side.now))
    assert (seek.frame.kind, seek.frame.edge) == (Kind.ANNOUNCE, DEVICE_EDGE)
    assert payloads.decode_device(seek.frame.payload) == seek.device
    assert only(Send, side.command(command(2))) == []
    effects = side.hello(Binding(1, 2), side.named(last=1), path=NEXT)
    assert [frame.seq for frame in sent(effects, Kind.CMD)] == [2]


def test_a_lost_router_does_not_concern_channels_on_another() -> None:
    side = open_client()
    assert side.ends.router_lost("router-2", side.now) == []
    assert side.ends.edge_lost(DEVICE_EDGE, side.now, "router-2") == []
    assert side.ends.edge_lost(DEVICE_EDGE + 1, side.now) == []
    assert side.ends.link_lost(DEVICE_EDGE, LINK + 1, side.now) == []
    assert side.ends.next_deadline() is None


def test_a_lost_edge_is_not_where_its_channels_announce_themselves() -> None:
    side = open_client()
    [seek] = only(Seek, side.ends.edge_lost(DEVICE_EDGE, side.now))
    assert (seek.frame.kind, seek.frame.edge) == (Kind.ANNOUNCE, NO_EDGE)


@pytest.mark.parametrize("link", [LINK, 0])
def test_a_lost_link_waits_for_the_agents_hello_and_then_asks_where_the_device_is(link: int) -> None:
    side = open_client()
    assert side.ends.link_lost(DEVICE_EDGE, link, side.now) == []
    assert side.pass_time(0.9) == []
    for _ in range(2):
        [seek] = only(Seek, side.pass_time(1.0))
        assert (seek.frame.kind, seek.frame.edge) == (Kind.ANNOUNCE, NO_EDGE)


def test_one_announcement_serves_all_channels_of_a_device() -> None:
    side = open_client()
    side.open(OTHER)
    side.opened(Binding(1, 2), channel=OTHER)
    assert len(side.ends.router_lost(ROUTER, side.now)) == 1
    assert len(side.pass_time(1.0)) == 1


def test_what_was_under_way_on_a_lost_path_still_counts() -> None:
    side = open_client()
    side.command(command(1))
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    side.recorded(1)
    assert only(Deliver, side.message(1, answer(1)))
    effects = side.hello(Binding(1, 2), side.named(last=1))
    assert sent(effects, Kind.CMD) == []
    assert payloads.decode_resume(sent(effects, Kind.RESUME)[0].payload).received == 1


def test_a_device_that_does_not_come_back_within_the_window_is_lost() -> None:
    side = open_client()
    side.command(command(1))
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    side.command(command(2))
    assert only(Ended, side.pass_time(29.0)) == []
    effects = side.pass_time(1.0)
    assert fates(effects) == [(1, "unknown"), (2, "no")]
    assert end_of(effects) == "DEVICE_LOST"


def test_losing_a_path_twice_does_not_prolong_the_window() -> None:
    side = open_client()
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    side.pass_time(20.0)
    side.ends.router_lost(ROUTER, side.now)
    assert end_of(side.pass_time(10.0)) == "DEVICE_LOST"


def test_a_device_that_comes_back_in_time_has_the_whole_window_again() -> None:
    side = open_client()
    side.ends.link_lost(DEVICE_EDGE, LINK, side.now)
    side.pass_time(29.0)
    side.hello(Binding(2, 1), side.named())
    assert side.ends.next_deadline() is None
    assert side.pass_time(100.0) == []


def test_freed_by_the_device_ends_the_channel_with_its_reason() -> None:
    side = open_client()
    side.command(command(1))
    effects = closed(side, side.claims[CHANNEL], Binding(1, 1))
    assert fates(effects) == [(1, "unknown")]
    assert end_of(effects) == "SLOW_CONSUMER"
    assert len(sent(effects, Kind.CLOSE)) == 1  # a late OPEN may have made it anew


def test_freed_is_ignored_for_another_claim_an_older_epoch_and_while_opening() -> None:
    side = ClientSide()
    side.open()
    assert closed(side, side.claims[CHANNEL], Binding(1, 1)) == []
    side.opened(Binding(2, 1))
    assert closed(side, "another", Binding(2, 1)) == []
    assert closed(side, side.claims[CHANNEL], Binding(1, 9)) == []
    assert len(side.ends) == 1


def closed(side: ClientSide, claim: str, at: Binding) -> list[Effect]:
    body = payloads.encode_ending(payloads.Ending(claim, "SLOW_CONSUMER", "words"))
    return side.receive(Kind.CLOSED, at, channel=CHANNEL, payload=body)


@pytest.mark.parametrize("kind", [Kind.CMD, Kind.OPEN, Kind.RESUME, Kind.CLOSE, Kind.PATH_LOST, Kind.ADMIN])
def test_a_frame_for_somebody_else_is_refused(kind: Kind) -> None:
    side = open_client()
    with pytest.raises(errors.BadFrame):
        side.ends.frame(ROUTER, Frame(kind, channel=CHANNEL), side.now, 0)
    assert len(side.ends) == 1
