"""The device end: opening, links and bindings (design/delivery.md, "Bindings")."""

from collections.abc import Sequence

import pytest

from browsergo.core import errors
from browsergo.core.channel import payloads
from browsergo.core.channel.device_end import DeviceEffect, DeviceLimits, Dial, Dispatch, HangUp, Transmit
from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, Frame, Kind
from browsergo.core.ids import Binding
from tests.unit.channel.ends import (
    BOOT,
    BROWSER,
    CHANNEL,
    CLIENT_EDGE,
    DEVICE,
    OTHER,
    DeviceSide,
    command,
    event,
    only,
    open_device,
    up,
)


def hellos(effects: Sequence[DeviceEffect]) -> dict[int, tuple[int, payloads.Hello]]:
    """By client edge: the link a HELLO took, and what it said."""
    found = [effect for effect in only(Transmit, effects) if effect.frame.kind == Kind.HELLO]
    return {effect.frame.edge: (effect.link, payloads.decode_hello(effect.frame.payload)) for effect in found}


def endings(effects: Sequence[DeviceEffect], kind: Kind = Kind.CLOSED) -> list[payloads.Ending]:
    return [payloads.decode_ending(frame.payload) for frame in up(effects, kind)]


# --- opening ----------------------------------------------------------------------------------------------------------


def test_open_dials_the_endpoint_and_says_opened_under_a_fresh_binding() -> None:
    side = DeviceSide()
    assert side.ask_open() == [Dial(CHANNEL, BROWSER)]
    [opened] = up(side.dialed(), Kind.OPENED)
    assert opened.edge == CLIENT_EDGE
    assert opened.at > Binding(1, 0)
    assert payloads.decode_opened(opened.payload) == payloads.Opened(BOOT, "c1", 0, opened.at.n)


def test_open_repeated_while_dialing_dials_once() -> None:
    side = DeviceSide()
    side.ask_open()
    assert side.ask_open() == []


def test_open_repeated_by_the_same_claim_is_the_same_channel_under_a_new_binding() -> None:
    side, at = open_device(links=(1, 2))
    side.command(1, at)
    [effect] = side.ask_open(link=2)
    assert isinstance(effect, Transmit)
    assert (effect.link, effect.frame.kind) == (2, Kind.OPENED)
    assert effect.frame.at > at
    assert payloads.decode_opened(effect.frame.payload) == payloads.Opened(BOOT, "c1", 1, at.n)
    assert side.command(2, at, command(2)) == []
    assert only(Dispatch, side.command(2, effect.frame.at, command(2)))


def test_open_of_a_channel_by_another_claim_is_refused() -> None:
    side, at = open_device()
    assert endings(side.ask_open("c2"), Kind.REFUSED) == [
        payloads.Ending("c2", "CONFLICT_REJECTED", "the channel exists")
    ]
    assert only(Dispatch, side.command(1, at))


def test_a_target_that_does_not_exist_is_refused_and_forgotten() -> None:
    side = DeviceSide()
    side.ask_open()
    assert endings(side.end.dial_failed(CHANNEL, errors.TargetNotFound("no page X")), Kind.REFUSED) == [
        payloads.Ending("c1", "TARGET_NOT_FOUND", "no page X")
    ]
    assert len(side.end) == 0
    assert side.end.dial_failed(CHANNEL, errors.TargetNotFound()) == []


def test_a_client_that_left_while_dialing_has_the_socket_closed() -> None:
    side = DeviceSide()
    side.ask_open()
    assert side.receive(Kind.CLOSE, payload=payloads.encode_claim("c1")) == [HangUp(CHANNEL)]
    assert side.dialed() == [HangUp(CHANNEL)]


def test_a_browser_that_ends_while_dialing_refuses() -> None:
    side = DeviceSide()
    side.ask_open()
    assert endings(side.end.close_all(errors.BrowserUnavailable()), Kind.REFUSED)[0].code == "BROWSER_UNAVAILABLE"


def test_a_channel_dialed_twice_is_opened_once() -> None:
    side, _ = open_device()
    assert side.dialed() == []


def test_a_link_lost_while_dialing_does_not_lose_the_channel() -> None:
    side = DeviceSide(links=(1, 2))
    side.ask_open(link=1)
    assert CHANNEL in hellos(side.link_lost(1))[CLIENT_EDGE][1].held
    [effect] = only(Transmit, side.dialed())
    assert (effect.link, effect.frame.kind) == (2, Kind.OPENED)


def test_a_channel_dialed_without_any_link_waits_for_one() -> None:
    side = DeviceSide()
    side.ask_open()
    side.link_lost(1)
    assert side.dialed() == []
    assert CHANNEL in hellos(side.link_up(2))[CLIENT_EDGE][1].named
    [opened] = up(side.ask_open(link=2), Kind.OPENED)
    assert payloads.decode_opened(opened.payload).born == opened.at.n


def test_an_open_that_came_down_a_link_that_is_gone_is_answered_on_one_that_is_not() -> None:
    side = DeviceSide(links=(1, 2))
    side.link_lost(1)
    side.ask_open(link=1)
    assert only(Transmit, side.dialed())[0].link == 2


# --- bindings ---------------------------------------------------------------------------------------------------------


def test_frames_of_another_binding_are_ignored_and_counted() -> None:
    side, at = open_device()
    for stale in (Binding(0, at.n), Binding(1, at.n - 1), Binding(1, at.n + 1)):
        assert side.command(1, stale) == []
        assert side.acknowledge(stale, 1) == []
        assert side.resume(stale) == []
    assert side.end.stale_frames == 9


def test_every_hello_and_opened_takes_a_fresh_number() -> None:
    side, at = open_device(links=(1, 2))
    numbers = [at]
    for effects in (
        side.receive(Kind.PATH_LOST, channel=bytes(16)),
        side.ask_open(),
        side.link_lost(1),
        side.link_up(3),
        side.link_lost(2),
    ):
        numbers += [effect.frame.at for effect in only(Transmit, effects)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 8


def test_a_boot_tells_every_edge_again_when_the_link_is_lost_on_which_it_did() -> None:
    side = DeviceSide(links=())
    side.link_up(1)
    assert EVERY_EDGE not in hellos(side.link_up(2))
    assert EVERY_EDGE not in hellos(side.link_lost(2))
    side.link_up(3)
    assert hellos(side.link_lost(1))[EVERY_EDGE][0] == 3
    assert EVERY_EDGE not in hellos(side.link_up(4))
    side.link_lost(3)
    side.link_lost(4)
    assert hellos(side.link_up(5))[EVERY_EDGE][0] == 5


def test_what_every_edge_is_told_names_no_channel_and_frees_none() -> None:
    side, _ = open_device(links=(1, 2))
    side.ask_open("c2", channel=OTHER, source=8)
    side.dialed(OTHER)
    _, hello = hellos(side.link_lost(1))[EVERY_EDGE]
    assert not hello.named
    assert hello.held == {CHANNEL, OTHER}


def test_a_new_boot_tells_every_edge_once_before_anything_else() -> None:
    side = DeviceSide(links=())
    first = up(side.link_up(1), Kind.HELLO)
    assert [frame.edge for frame in first] == [EVERY_EDGE, NO_EDGE]
    assert payloads.decode_hello(first[0].payload) == payloads.Hello(DEVICE, BOOT, {}, frozenset())
    assert [frame.edge for frame in up(side.link_up(2), Kind.HELLO)] == [NO_EDGE]


def test_hello_of_a_lost_link_moves_its_channels_and_only_these() -> None:
    side, _ = open_device(links=(1, 2))
    side.ask_open("c2", channel=OTHER, link=2)
    side.dialed(OTHER)
    link, hello = hellos(side.link_lost(1))[CLIENT_EDGE]
    assert link == 2
    assert set(hello.named) == {CHANNEL}
    assert hello.held == {CHANNEL, OTHER}


def test_hello_of_a_lost_link_goes_to_every_client_edge_even_if_it_names_nothing() -> None:
    side, _ = open_device(links=(1, 2))
    side.ask_open("c2", channel=OTHER, link=2, source=8)
    side.dialed(OTHER)
    said = hellos(side.link_lost(1))
    assert set(said) == {EVERY_EDGE, CLIENT_EDGE, 8}
    assert said[8][1] == payloads.Hello(DEVICE, BOOT, {}, frozenset({OTHER}))


def test_hello_names_what_is_recorded_where_it_was_born_and_whose_it_is() -> None:
    side, at = open_device()
    side.command(1, at)
    [(_, hello)] = hellos(side.receive(Kind.PATH_LOST, channel=bytes(16))).values()
    assert hello.named == {CHANNEL: payloads.Named(1, at.n, "c1")}


def test_the_first_link_after_none_brings_all_channels_home_under_the_new_epoch() -> None:
    side, at = open_device()
    side.link_lost(1)
    assert side.says(event()) == []
    side.end.registered(2)
    effects = side.link_up(5)
    link, hello = hellos(effects)[CLIENT_EDGE]
    assert (link, set(hello.named)) == (5, {CHANNEL})
    [bound] = [frame.at for frame in up(effects, Kind.HELLO) if frame.edge == CLIENT_EDGE]
    assert bound.epoch == 2
    assert side.command(1, at) == []
    assert [frame.seq for frame in up(side.resume(bound, link=5), Kind.MSG)] == [1]


def test_an_epoch_never_goes_back() -> None:
    side = DeviceSide(links=())
    side.end.registered(3)
    side.end.registered(2)
    assert up(side.link_up(1), Kind.HELLO)[0].at.epoch == 3


def test_a_lost_path_is_answered_with_a_hello_on_that_link_for_that_edge() -> None:
    side, _ = open_device(links=(1, 2))
    effects = side.receive(Kind.PATH_LOST, link=1, channel=bytes(16))
    assert hellos(effects)[CLIENT_EDGE][0] == 1
    link, hello = hellos(side.receive(Kind.PATH_LOST, link=2, channel=bytes(16)))[CLIENT_EDGE]
    assert link == 2
    assert hello == payloads.Hello(DEVICE, BOOT, {}, frozenset({CHANNEL}))  # merely unnamed: it lives on link 1
    assert hellos(side.receive(Kind.PATH_LOST, link=1, source=99, channel=bytes(16)))[99][1].held == frozenset()


def test_a_lost_path_of_a_link_that_is_gone_is_nobodys_business() -> None:
    side, _ = open_device(links=(1, 2))
    side.link_lost(1)
    assert side.receive(Kind.PATH_LOST, link=1, channel=bytes(16)) == []
    assert side.link_lost(1) == []


def test_after_a_new_binding_nothing_is_sent_until_resume() -> None:
    side, _ = open_device()
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    assert side.says(event()) == []
    assert [frame.seq for frame in up(side.resume(hello.at), Kind.MSG)] == [1]


def test_client_edges_are_remembered_up_to_a_bound_but_never_those_in_use() -> None:
    side, _ = open_device(DeviceLimits(remembered_edges=2), links=(1, 2))
    for source in range(20, 30):
        channel = bytes([source]) * 16
        side.ask_open("x", channel=channel, source=source)
        side.end.dial_failed(channel, errors.TargetNotFound())
    assert set(hellos(side.link_lost(1))) == {EVERY_EDGE, CLIENT_EDGE, 29}


# --- ends -------------------------------------------------------------------------------------------------------------


def test_close_of_this_claim_frees_the_channel_and_of_another_does_not() -> None:
    side, at = open_device()
    assert side.receive(Kind.CLOSE, payload=payloads.encode_claim("old")) == []
    assert only(Dispatch, side.command(1, at))
    assert side.receive(Kind.CLOSE, payload=payloads.encode_claim("c1")) == [HangUp(CHANNEL)]
    assert side.receive(Kind.CLOSE, payload=payloads.encode_claim("c1")) == []


def test_a_target_that_closes_is_announced() -> None:
    side, _ = open_device()
    effects = side.end.chrome_closed(CHANNEL, errors.DeviceGone("target closed"))
    assert endings(effects) == [payloads.Ending("c1", "CHANNEL_GONE", "target closed")]
    assert effects[-1] == HangUp(CHANNEL)
    assert side.end.chrome_closed(CHANNEL, errors.DeviceGone()) == []


def test_an_end_nobody_heard_of_shows_in_the_next_hello() -> None:
    side, _ = open_device()
    side.link_lost(1)
    assert side.end.chrome_closed(CHANNEL, errors.DeviceGone()) == [HangUp(CHANNEL)]
    assert hellos(side.link_up(2))[CLIENT_EDGE][1].held == frozenset()


def test_the_end_of_the_agent_is_told_to_every_channel() -> None:
    side, _ = open_device()
    side.ask_open("c2", channel=OTHER)
    side.dialed(OTHER)
    assert [ending.code for ending in endings(side.end.close_all(errors.Draining()))] == ["DRAINING", "DRAINING"]
    assert len(side.end) == 0


def test_a_channel_that_no_client_end_resumes_is_freed_after_75_s() -> None:
    side, _ = open_device()
    side.receive(Kind.PATH_LOST, channel=bytes(16))
    assert side.end.next_deadline() == side.now + 75.0
    assert side.pass_time(74.0) == []
    assert [ending.code for ending in endings(side.pass_time(1.0))] == ["CHANNEL_GONE"]


def test_a_resumed_channel_has_no_deadline() -> None:
    side, _ = open_device()
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    side.resume(hello.at)
    assert side.end.next_deadline() is None
    assert side.pass_time(1000.0) == []


def test_many_hellos_give_an_orphan_no_more_time() -> None:
    side, _ = open_device()
    for _ in range(5):
        side.receive(Kind.PATH_LOST, channel=bytes(16))
        assert endings(side.pass_time(14.0)) == []
    assert len(endings(side.pass_time(5.0))) == 1


def test_a_channel_without_a_link_is_held_for_the_window_and_15_s() -> None:
    side, _ = open_device()
    side.link_lost(1)
    assert side.pass_time(44.0) == []
    assert side.pass_time(1.0) == [HangUp(CHANNEL)]


@pytest.mark.parametrize("kind", [Kind.MSG, Kind.HELLO, Kind.OPENED, Kind.FETCH, Kind.ADMIN])
def test_a_frame_for_somebody_else_is_refused(kind: Kind) -> None:
    side, _ = open_device()
    with pytest.raises(errors.BadFrame):
        side.end.frame(1, Frame(kind, channel=CHANNEL), side.now)
