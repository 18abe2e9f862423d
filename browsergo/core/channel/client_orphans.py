"""Commands whose session is gone. Chrome says nothing to them any more, and the client is owed an answer all the same.

A tab that closes, or a worker that ends, takes its session along with whatever was in flight there: Chrome tells of
`Target.detachedFromTarget` and leaves it at that (measured on Chromium 156). Libraries give such commands up by
themselves at that event. For everybody else they are answered here, but only after a while: a command that reached
Chrome later than the end of its session is answered by Chrome itself, with -32001.
"""

from browsergo.core import errors
from browsergo.core.channel import client_endings, client_flow
from browsergo.core.channel.client_state import Channel, ClientLimits, Due, Effect


def session_gone(entry: Channel, session_id: str, due: float) -> None:
    """Forget a session and those within it; what they have in flight is to be settled when it is `due`."""
    gone = {session_id}
    for each, parent in entry.sessions.items():  # a session is announced before those within it
        if parent in gone:
            gone.add(each)
    for each in gone:
        entry.sessions.pop(each, None)
    entry.orphans.extend(
        Due(due, command_id, pending.trace)
        for command_id, pending in entry.pending.items()  # in send order; an id that was used again is at the end
        if pending.session_id in gone
    )


def settle(entry: Channel, now: float, limits: ClientLimits, source: int, effects: list[Effect]) -> None:
    """Answer what is due. While the path is lost, Chrome's own answers may be on their way: wait for another while."""
    while entry.orphans and entry.orphans[0].due <= now:
        orphan = entry.orphans.popleft()
        pending = entry.pending.get(orphan.id)
        if pending is None or pending.trace != orphan.trace:
            continue  # Chrome has answered it
        if entry.lost:
            entry.orphans.append(orphan._replace(due=now + limits.orphan_patience_s))
            continue
        del entry.pending[orphan.id]
        if pending.answered:
            continue
        span, answer = client_endings.refused(entry, orphan.id, pending, errors.SessionGone())
        effects.append(span)
        client_flow.pass_on(entry, answer, limits, source, effects)
    client_flow.regulate(entry, limits, effects)
