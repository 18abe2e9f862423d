"""Commands that must be answered in time: with `command_deadline_s`, a browser's silence is told as DEADLINE.

The channel goes on. A command that has gone out may yet be executed: it is answered `unknown`, its late answer is
dropped, and its id stays taken until that comes, or the answer would be taken for another command's. One that was
held here, without a path, is withdrawn and answered `no`: it must never go out, so those behind it take its place in
the count.
"""

from collections import deque

from browsergo.core import errors
from browsergo.core.channel import client_endings, client_flow
from browsergo.core.channel.client_state import Channel, ClientLimits, Due, Effect


def watch(entry: Channel, due: Due) -> None:
    """A command begins. Those that are answered are forgotten here when they are the oldest: most are."""
    while entry.deadlines and not _waits(entry, entry.deadlines[0]):
        entry.deadlines.popleft()
    entry.deadlines.append(due)


def settle(entry: Channel, now: float, limits: ClientLimits, source: int, effects: list[Effect]) -> None:
    """Answer what is due."""
    late: set[int] = set()
    while entry.deadlines and entry.deadlines[0].due <= now:
        due = entry.deadlines.popleft()
        if not _waits(entry, due):
            continue
        pending = entry.pending[due.id]
        span, answer = client_endings.refused(entry, due.id, pending, errors.DeadlineExceeded())
        effects.append(span)
        client_flow.pass_on(entry, answer, limits, source, effects)
        if pending.seq > entry.written:
            late.add(pending.seq)
            del entry.pending[due.id]
        else:
            entry.pending[due.id] = pending._replace(answered=True)
    if late:
        _withdraw(entry, late)
    client_flow.regulate(entry, limits, effects)


def _waits(entry: Channel, due: Due) -> bool:
    pending = entry.pending.get(due.id)
    return pending is not None and pending.trace == due.trace and not pending.answered


def _withdraw(entry: Channel, late: set[int]) -> None:
    """Take commands out that were never written, and count those behind them anew: the device end takes no gap."""
    kept = [sent for sent in entry.unaccepted if sent.seq not in late]
    numbers = {sent.seq: sent.seq - sum(seq < sent.seq for seq in late) for sent in kept}
    entry.unaccepted = deque(sent._replace(seq=numbers[sent.seq]) for sent in kept)
    entry.unaccepted_bytes = sum(len(sent.payload) for sent in kept)
    for command_id, pending in entry.pending.items():
        entry.pending[command_id] = pending._replace(seq=numbers.get(pending.seq, pending.seq))
    entry.seq -= len(late)
