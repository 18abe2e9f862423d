"""Of which class each message is, as the two ends put it into their frames: on every chunk, and on replay as well."""

import pytest

from browsergo.core.channel import frames
from browsergo.core.channel.client_state import Seek
from browsergo.core.channel.frames import Kind, Priority
from browsergo.core.errors import DeviceGone
from browsergo.core.ids import Binding
from tests.unit.channel.ends import (
    CHANNEL,
    DeviceSide,
    answer,
    command,
    event,
    only,
    open_client,
    open_device,
    sent,
    up,
)

CRITICAL = ["Target.closeTarget", "Page.stopLoading", "Runtime.terminateExecution", "Page.handleJavaScriptDialog"]
CHUNK_BYTES = 64


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CHUNK_BYTES", CHUNK_BYTES)


@pytest.mark.parametrize("method", CRITICAL)
def test_a_command_that_stops_something_is_critical_and_so_is_its_answer(method: str) -> None:
    [frame] = sent(open_client().command(command(7, method)), Kind.CMD)
    assert frame.priority == Priority.CRITICAL
    side, at = open_device()
    effects = side.command(1, at, frame.payload, priority=frame.priority)
    assert [each.priority for each in up(effects, Kind.CACK)] == [Priority.NORMAL]
    assert [each.priority for each in up(side.says(answer(7)), Kind.MSG)] == [Priority.CRITICAL]
    assert [each.priority for each in up(side.says(answer(7)), Kind.MSG)] == [Priority.NORMAL]  # nobody asked again


@pytest.mark.parametrize("method", ["Runtime.evaluate", "IO.read", "Page.stopLoadin", "X.Page.stopLoading"])
def test_any_other_command_is_normal_and_so_is_its_answer(method: str) -> None:
    [frame] = sent(open_client().command(command(7, method)), Kind.CMD)
    assert frame.priority == Priority.NORMAL
    side, at = open_device()
    side.command(1, at, frame.payload, priority=frame.priority)
    assert [each.priority for each in up(side.says(answer(7)), Kind.MSG)] == [Priority.NORMAL]


@pytest.mark.parametrize(
    ("message", "priority"),
    [
        (event("Page.javascriptDialogOpening"), Priority.CRITICAL),
        (event("Page.screencastFrame"), Priority.LOW),
        (event("Tracing.dataCollected"), Priority.LOW),
        (event("Page.screencastVisibilityChanged"), Priority.NORMAL),
        (event("Runtime.consoleAPICalled", method="Page.screencastFrame"), Priority.NORMAL),
        (b'{"method":"Page\\u002escreencastFrame"}', Priority.NORMAL),
        (answer(3, method="Page.screencastFrame"), Priority.NORMAL),
    ],
)
def test_an_event_is_of_the_class_of_its_method(message: bytes, priority: int) -> None:
    side, _ = open_device()
    assert [each.priority for each in up(side.says(message), Kind.MSG)] == [priority]


@pytest.mark.usefixtures("small_chunks")
def test_every_chunk_carries_the_class_and_a_replay_as_well() -> None:
    side, _ = open_device()
    pieces = up(side.says(event("Page.screencastFrame", pad="x" * 3 * CHUNK_BYTES)), Kind.MSG)
    assert len(pieces) > 3
    [hello] = up(side.receive(Kind.PATH_LOST, channel=bytes(16)), Kind.HELLO)
    again = up(side.resume(hello.at), Kind.MSG)
    assert len(again) == len(pieces)
    assert {each.priority for each in pieces + again} == {Priority.LOW}

    client = open_client()
    pieces = sent(client.command(command(1, "Page.stopLoading", params={"pad": "x" * 3 * CHUNK_BYTES})), Kind.CMD)
    again = sent(client.hello(Binding(1, 2), client.named()), Kind.CMD)
    assert len(again) == len(pieces) > 3
    assert {each.priority for each in pieces + again} == {Priority.CRITICAL}


def test_what_a_client_waits_for_to_begin_is_critical_and_what_follows_messages_is_not() -> None:
    side = open_client()
    [opening] = [seek.frame for seek in only(Seek, side.open(channel=bytes(15) + b"x"))]
    assert (opening.kind, opening.priority) == (Kind.OPEN, Priority.CRITICAL)
    effects = side.hello(Binding(1, 2), side.named())
    assert [each.priority for each in sent(effects, Kind.RESUME)] == [Priority.CRITICAL]
    device = DeviceSide()
    device.ask_open()
    assert [each.priority for each in up(device.dialed(), Kind.OPENED)] == [Priority.CRITICAL]
    assert [each.priority for each in up(device.ask_open("another"), Kind.REFUSED)] == [Priority.CRITICAL]
    gone = device.end.close_all(DeviceGone())
    assert [(each.channel, each.priority) for each in up(gone, Kind.CLOSED)] == [(CHANNEL, Priority.NORMAL)]
