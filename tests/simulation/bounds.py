"""I6 of the simulation: what either end keeps is within its bounds."""

from browsergo.core.channel import client_state
from browsergo.core.channel.device_end import DeviceEnd
from tests.simulation.cast import BIG_BYTES, CLIENT_LIMITS, DEVICE_LIMITS, Violation
from tests.simulation.witness import is_refusal

# Those after which the client is held, and what it has in flight by then.
MOST_REFUSALS = CLIENT_LIMITS.waiting_messages + CLIENT_LIMITS.pending_commands
SLACK_BYTES = BIG_BYTES + 300  # one message over a bound, and what surrounds its padding


def check_client_end(entry: client_state.Channel) -> None:
    """Commands that are not recorded or not answered, and what waits for a client that takes nothing."""
    if len(entry.unaccepted) > 8 or entry.unaccepted_bytes > 2000 + SLACK_BYTES or len(entry.pending) > 12:
        raise Violation("I6: too many commands at the client end")
    from_browser = [len(payload) for payload in entry.waiting if not is_refusal(bytes(payload))]
    if sum(from_browser) > DEVICE_LIMITS.credit_bytes + SLACK_BYTES:
        raise Violation("I6: too much waits for a client")
    if len(entry.waiting) - len(from_browser) > MOST_REFUSALS:
        raise Violation("I6: too many refusals wait for a client")


def check_device_end(end: DeviceEnd) -> None:
    """What the browser said, of each channel and of all."""
    out = [entry.out_bytes for entry in end._channels.values()]
    if any(size > DEVICE_LIMITS.channel_bytes + SLACK_BYTES for size in out):
        raise Violation("I6: too much waits at a device end")
    if sum(out) > DEVICE_LIMITS.total_bytes + len(out) * SLACK_BYTES:
        raise Violation("I6: too much waits at the device")
