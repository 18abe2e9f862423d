"""Bounds and credit of a client end: what is kept, when its client is held back, when messages are acknowledged.

`effects` is where each function appends what follows (design/delivery.md, "Bounds").
"""

from dataclasses import replace

from browsergo.core.channel import client_frames
from browsergo.core.channel.client_state import Channel, ClientLimits, Deliver, Effect, Hold, Sent
from browsergo.core.channel.payloads import Window
from browsergo.core.channel.pieces import Payload

NARROW = Window(64, 256 << 10)  # of 1,024 messages and 8 MiB: what a channel that is being taken from goes on with


def keep(entry: Channel, sent: Sent) -> None:
    """A command is kept until the device end has recorded it."""
    entry.unaccepted.append(sent)
    entry.unaccepted_bytes += len(sent.payload)


def trim(entry: Channel, last: int) -> None:
    """The device end has recorded all commands up to `last`."""
    while entry.unaccepted and entry.unaccepted[0].seq <= last:
        entry.unaccepted_bytes -= len(entry.unaccepted.popleft().payload)


def regulate(entry: Channel, limits: ClientLimits, effects: list[Effect]) -> None:
    """Hold the client back while a bound is reached."""
    full = (
        len(entry.unaccepted) >= limits.unaccepted_commands
        or entry.unaccepted_bytes >= limits.unaccepted_bytes
        or len(entry.pending) >= limits.pending_commands
        or len(entry.waiting) >= limits.waiting_messages
    )
    if full != entry.held:
        entry.held = full
        effects.append(Hold(entry.id, full))


def pass_on(entry: Channel, payload: Payload, limits: ClientLimits, source: int, effects: list[Effect]) -> None:
    """The message is for the client: now, or in its turn once the client takes messages again."""
    if entry.writable and not entry.waiting:
        effects.append(Deliver(entry.id, payload))
        skip(entry, len(payload), limits, source, effects)
    else:
        entry.waiting.append(payload)


def skip(entry: Channel, size: int, limits: ClientLimits, source: int, effects: list[Effect]) -> None:
    """The client needs not take the last message, of `size` bytes (any more); grants credit in steps.

    While others wait, it counts once these are taken.
    """
    if entry.waiting:
        return
    entry.consumed = entry.received
    entry.ungranted_bytes += size
    if entry.consumed - entry.granted >= limits.ack_messages or entry.ungranted_bytes >= limits.ack_bytes:
        grant(entry, limits, source, effects)


def drain(entry: Channel, limits: ClientLimits, source: int, effects: list[Effect]) -> None:
    """What waits for the client, in order. Then all that came is taken, and the device end hears of it."""
    if not entry.writable or not entry.waiting:
        return
    effects.extend(Deliver(entry.id, payload) for payload in entry.waiting)
    entry.waiting.clear()
    entry.consumed = entry.received
    grant(entry, limits, source, effects)


def grant(entry: Channel, limits: ClientLimits, source: int, effects: list[Effect]) -> None:
    """Tell the device end what was consumed, and the window; a channel without a path says it in its RESUME."""
    if not entry.lost and entry.path is not None:
        entry.granted, entry.ungranted_bytes = entry.consumed, 0
        effects.append(client_frames.acknowledgement(entry, entry.path, source, limits.window))


def saving(limits: ClientLimits) -> ClientLimits:
    """The same with a narrow window. The steps are within it: once it is used up and taken, an ACK is due."""
    return replace(
        limits,
        window=NARROW,
        ack_messages=min(limits.ack_messages, NARROW.messages // 2),
        ack_bytes=min(limits.ack_bytes, NARROW.size_bytes // 2),
    )


def buffered_bytes(entry: Channel) -> int:
    """What is kept of a channel: messages that its client has not taken, commands that its device has not recorded."""
    waiting = sum(len(payload) for payload in entry.waiting)
    return waiting + entry.unaccepted_bytes + entry.assembler.size
