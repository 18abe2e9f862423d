"""What a client is told when its channel cannot be saved, in this order (design/delivery.md)."""

from collections.abc import Iterator

from browsergo.core import cdp, errors, relay_messages, semconv
from browsergo.core.channel.client_state import Channel, Deliver, Effect, Finished, Pending
from browsergo.core.tracing import SpanRecord


def last_words(entry: Channel, error: errors.BrowserGoError) -> Iterator[Effect]:
    """What was received and not yet taken, an error for each pending command, and the detached events."""
    yield from settled(entry, error)
    for session_id, parent in reversed(entry.sessions.items()):
        yield Deliver(entry.id, relay_messages.detached_event(session_id, parent))
    if "/page/" in entry.endpoint and not entry.page_gone:
        yield Deliver(entry.id, relay_messages.inspector_detached(error.code))


def settled(entry: Channel, error: errors.BrowserGoError) -> Iterator[Effect]:
    """Every command of the client answered: by what waits for it, then by one error each, in send order."""
    for payload in entry.waiting:
        yield Deliver(entry.id, payload)
    for command_id, pending in in_send_order(entry):
        span, answer = refused(entry, command_id, pending, error)
        yield span
        yield Deliver(entry.id, answer)


def in_send_order(entry: Channel) -> list[tuple[int, Pending]]:
    """The commands without an answer."""
    unanswered = [(command_id, pending) for command_id, pending in entry.pending.items() if not pending.answered]
    return sorted(unanswered, key=lambda item: item[1].seq)


def refused(entry: Channel, command_id: int, pending: Pending, error: errors.BrowserGoError) -> tuple[Finished, bytes]:
    """A command that the browser will not answer: its span, and the relay error."""
    answer = _relay_error(entry, command_id, pending, error)
    span = finished(entry, command_id, pending, size=len(answer), end_ns=pending.started_ns, error=error.code)
    return span, answer


def _relay_error(entry: Channel, command_id: int, pending: Pending, error: errors.BrowserGoError) -> bytes:
    """`no` only for what was never written to any path; not recorded there is not the same as not executed."""
    return relay_messages.relay_error(
        command_id,
        pending.session_id,
        code=error.cdp_error,
        reason=error.code,
        words=error.message,
        executed="no" if pending.seq > entry.written else "unknown",
        device=entry.device,
        trace=pending.trace[:16].hex(),
    )


def finished(
    entry: Channel, command_id: int, pending: Pending, *, size: int, end_ns: int, error: str | None
) -> Finished:
    """The command's own span; `size` of its answer in bytes, `end_ns` Unix ns, `error` a code."""
    method = cdp.traced_method(pending.method)
    attributes: dict[str, str | int | bool] = {
        semconv.ATTR_METHOD: method,
        semconv.ATTR_COMMAND_ID: command_id,
        semconv.ATTR_CHANNEL: entry.id.hex(),
        semconv.ATTR_DEVICE: entry.device,
        semconv.ATTR_SEQUENCE: pending.seq,
        semconv.ATTR_BYTES: size,
    }
    name = f"{semconv.SPAN_COMMAND} {method}"
    ids = pending.trace[:16], pending.trace[16:], pending.parent
    return Finished(SpanRecord(name, *ids, pending.started_ns, end_ns, attributes, error))
