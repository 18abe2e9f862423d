"""The client end from a client's upgrade to OPENED or REFUSED (design/delivery.md, "Bindings")."""

from browsergo.core import errors
from browsergo.core.channel import payloads
from browsergo.core.channel.client_state import ClientLimits, Effect, Path, Refused, Seek, Send, Upgraded
from browsergo.core.channel.frames import NO_EDGE, Kind
from browsergo.core.ids import Binding
from tests.unit.channel.ends import (
    BROWSER,
    CHANNEL,
    CLIENT_EDGE,
    DEVICE,
    OTHER,
    PATH,
    ClientSide,
    command,
    only,
    open_client,
    sent,
)


def refused(side: ClientSide, code: str, claim: str | None = None) -> list[Effect]:
    body = payloads.encode_ending(payloads.Ending(claim or side.claims[CHANNEL], code, "words"))
    return side.receive(Kind.REFUSED, Binding(1, 0), channel=CHANNEL, payload=body)


def test_an_upgrade_asks_the_edge_that_the_registry_names() -> None:
    side = ClientSide()
    [seek] = only(Seek, side.open())
    assert (seek.device, seek.frame.edge, seek.frame.source) == (DEVICE, NO_EDGE, CLIENT_EDGE)
    assert payloads.decode_open(seek.frame.payload) == payloads.Open(DEVICE, side.claims[CHANNEL], BROWSER, "edge-1")


def test_each_upgrade_has_a_claim_of_its_own() -> None:
    side = ClientSide()
    side.open()
    side.open(OTHER)
    assert side.claims[CHANNEL] != side.claims[OTHER]


def test_open_is_repeated_with_the_same_claim_until_it_is_answered() -> None:
    side = ClientSide()
    side.open()
    assert side.ends.next_deadline() == side.now + 0.5
    for _ in range(3):
        [seek] = only(Seek, side.pass_time(0.5))
        assert payloads.decode_open(seek.frame.payload).claim == side.claims[CHANNEL]
    side.opened()
    assert side.ends.next_deadline() is None


def test_open_that_nobody_answers_is_refused_in_the_end() -> None:
    side = ClientSide()
    side.open()
    [refusal] = only(Refused, side.pass_time(10.0))
    assert isinstance(refusal.error, errors.DeadlineExceeded)
    assert len(side.ends) == 0


def test_opened_answers_the_upgrade_and_is_resumed_on_the_path_it_came_by() -> None:
    side = ClientSide()
    side.open()
    effects = side.opened(Binding(1, 4))
    assert only(Upgraded, effects) == [Upgraded(CHANNEL)]
    [resume] = sent(effects, Kind.RESUME)
    assert (resume.at, resume.edge, resume.link, resume.seq) == (Binding(1, 4), PATH.edge, PATH.link, 0)
    assert payloads.decode_resume(resume.payload).received == 0


def test_no_command_is_written_before_opened() -> None:
    side = ClientSide()
    side.open()
    assert not only(Send, side.command(command(1)))
    assert [frame.seq for frame in sent(side.opened(), Kind.CMD)] == [1]


def test_a_refusal_of_the_device_is_the_answer_to_the_upgrade() -> None:
    side = ClientSide()
    side.open()
    [refusal] = only(Refused, refused(side, "TARGET_NOT_FOUND"))
    assert isinstance(refusal.error, errors.TargetNotFound)
    assert refusal.error.message == "words"


def test_a_refusal_of_another_claim_or_by_an_edge_without_the_device_is_not_final() -> None:
    side = ClientSide()
    side.open()
    assert refused(side, "TARGET_NOT_FOUND", "another") == []
    assert refused(side, "DEVICE_NOT_HERE") == []
    assert len(side.ends) == 1


def test_a_refusal_of_an_epoch_that_is_over_does_not_end_what_another_boot_opens_afresh() -> None:
    side = open_client()
    side.hello(Binding(2, 1), boot="boot-2")
    assert refused(side, "TARGET_NOT_FOUND") == []  # of boot-1, which an old OPEN reached
    side.opened(Binding(2, 2), boot="boot-2", born=2)
    assert len(sent(side.command(command(1)), Kind.CMD)) == 1


def test_a_refusal_after_the_upgrade_changes_nothing() -> None:
    side = open_client()
    assert refused(side, "TARGET_NOT_FOUND") == []
    assert len(side.ends) == 1


def test_a_device_that_is_nowhere_refuses_the_upgrade_but_no_open_channel() -> None:
    side = ClientSide()
    side.open()
    [refusal] = only(Refused, side.ends.unresolved(CHANNEL, errors.DeviceOffline()))
    assert isinstance(refusal.error, errors.DeviceOffline)
    side = open_client()
    assert side.ends.unresolved(CHANNEL, errors.DeviceOffline()) == []


def test_a_hello_does_not_complete_an_open_but_is_reason_to_ask_again() -> None:
    side = ClientSide()
    side.open()
    effects = side.hello(Binding(1, 2), side.named())
    assert [seek.frame.kind for seek in only(Seek, effects)] == [Kind.OPEN]
    assert not only(Upgraded, effects)


def test_an_opened_older_than_the_newest_hello_is_reason_to_ask_again() -> None:
    side = ClientSide()
    side.open()
    side.hello(Binding(1, 5))
    effects = side.opened(Binding(1, 4))
    assert [seek.frame.kind for seek in only(Seek, effects)] == [Kind.OPEN]
    assert not only(Upgraded, effects)
    assert only(Upgraded, side.opened(Binding(1, 6)))


def test_an_opened_of_an_epoch_that_is_over_is_ignored() -> None:
    side = ClientSide()
    side.open()
    side.hello(Binding(2, 1), boot="boot-2")
    assert side.opened(Binding(1, 9)) == []
    assert side.ends.stale_frames == 1


def test_an_opened_that_names_an_unknown_claim_is_answered_close_on_the_path_it_came_by() -> None:
    side = ClientSide()
    side.open()
    stray = Path("router-2", 99, 8)
    for channel, claim in ((CHANNEL, "another"), (OTHER, "any")):
        [close] = only(Send, side.opened(Binding(1, 3), channel=channel, claim=claim, path=stray))
        assert close.path == stray
        assert (close.frame.kind, close.frame.channel) == (Kind.CLOSE, channel)
        assert payloads.decode_claim(close.frame.payload) == claim
    assert len(side.ends) == 1


def test_a_hello_that_names_an_unknown_claim_is_answered_close_on_the_path_it_came_by() -> None:
    side = open_client()
    stray = Path("router-2", 99, 8)
    named = {OTHER: payloads.Named(3, 1, "gone"), CHANNEL: payloads.Named(0, 1, "another")}
    closes = only(Send, side.hello(Binding(1, 3), named, path=stray))
    assert [(close.path, close.frame.channel) for close in closes] == [(stray, OTHER), (stray, CHANNEL)]


def test_a_hello_of_a_device_without_channels_here_closes_what_it_names() -> None:
    side = ClientSide()
    [close] = sent(side.hello(Binding(1, 1), {OTHER: payloads.Named(0, 1, "gone")}), Kind.CLOSE)
    assert payloads.decode_claim(close.payload) == "gone"


def test_a_client_that_leaves_before_opened_has_the_channel_closed_when_it_comes() -> None:
    side = ClientSide()
    side.open()
    assert side.ends.client_gone(CHANNEL) == []
    assert len(sent(side.opened(), Kind.CLOSE)) == 1


def test_a_client_that_leaves_an_open_channel_closes_it() -> None:
    side = open_client()
    [close] = sent(side.ends.client_gone(CHANNEL), Kind.CLOSE)
    assert payloads.decode_claim(close.payload) == side.claims[CHANNEL]
    assert len(side.ends) == 0
    assert side.ends.client_gone(CHANNEL) == []


def test_devices_without_channels_are_forgotten_at_a_bound() -> None:
    side = ClientSide(ClientLimits(remembered_devices=2))
    for number in range(5):
        channel = bytes([number]) * 16
        side.open(channel, f"device-{number}")
        if number:
            side.ends.client_gone(channel)
    assert set(side.ends._devices) == {"device-0", "device-4"}
