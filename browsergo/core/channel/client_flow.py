"""Bounds and credit of a client end: what is kept, when its client is held back, when messages are acknowledged.

`effects` is where each function appends what follows (design/delivery.md, "Bounds").
"""

from browsergo.core.channel import client_frames
from browsergo.core.channel.client_state import Channel, ClientLimits, Deliver, Effect, Hold, Sent
from browsergo.core.channel.pieces import Payload


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
        take(entry, entry.received, payload, limits, source, effects)
    else:
        entry.waiting.append((entry.received, payload))


def drain(entry: Channel, limits: ClientLimits, source: int, effects: list[Effect]) -> None:
    """What waits for the client, in order."""
    while entry.writable and entry.waiting:
        seq, payload = entry.waiting.popleft()
        take(entry, seq, payload, limits, source, effects)


def take(
    entry: Channel, seq: int, payload: Payload | None, limits: ClientLimits, source: int, effects: list[Effect]
) -> None:
    """The client takes message `seq` (None: it is not for the client); grants credit in steps."""
    if payload is not None:
        effects.append(Deliver(entry.id, payload))
        entry.ungranted_bytes += len(payload)
    if not entry.waiting or seq < entry.waiting[0][0]:
        entry.consumed = seq
    due = entry.consumed - entry.granted >= limits.ack_messages or entry.ungranted_bytes >= limits.ack_bytes
    if due and not entry.lost and entry.path is not None:
        entry.granted, entry.ungranted_bytes = entry.consumed, 0
        effects.append(client_frames.acknowledgement(entry, entry.path, source))
