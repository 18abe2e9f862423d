"""The frames that a client end sends, but for those of its commands' replay: one function each.

`source` is the address of the edge run that holds the client. OPEN and RESUME are critical: a client waits for them,
and nothing of their channel is before them that would rise with them (queue.py).
"""

from browsergo.core.channel import payloads
from browsergo.core.channel.client_state import Channel, Path, Seek, Send, Sent
from browsergo.core.channel.frames import Frame, Kind, Priority
from browsergo.core.channel.payloads import Window
from browsergo.core.ids import Binding


def command(entry: Channel, path: Path, sent: Sent, source: int, stamp: int) -> Frame:
    """CMD: one command, on the channel's path; `stamp` in Unix ns."""
    address = (Kind.CMD, 0, path.edge, source, path.link, entry.id, entry.at)
    return Frame(*address, sent.seq, sent.trace, stamp, sent.payload, sent.priority)


def acknowledgement(entry: Channel, path: Path, source: int, window: Window | None) -> Send:
    """ACK: the client has taken messages up to `consumed`; so much more may be on its way."""
    payload = payloads.encode_window(window)
    frame = Frame(Kind.ACK, 0, path.edge, source, path.link, entry.id, entry.at, entry.consumed, payload=payload)
    return Send(path, frame)


def resume(entry: Channel, path: Path, source: int, window: Window | None) -> Send:
    """RESUME: this binding holds; `consumed` grants credit, `received` says where to replay from."""
    payload = payloads.encode_resume(payloads.Resume(entry.received, window))
    frame = Frame(Kind.RESUME, 0, path.edge, source, path.link, entry.id, entry.at, entry.consumed, payload=payload)
    return Send(path, frame._replace(priority=Priority.CRITICAL))


def close(path: Path, at: Binding, channel: bytes, claim: str, source: int) -> Send:
    """CLOSE: the client end `claim` of this channel is no more."""
    payload = payloads.encode_claim(claim)
    return Send(path, Frame(Kind.CLOSE, 0, path.edge, source, path.link, channel, at, payload=payload))


def open_request(entry: Channel, source: int, edge_id: str) -> Seek:
    """OPEN, to whichever edge holds the device now."""
    body = payloads.Open(entry.device, entry.claim, entry.endpoint, edge_id)
    frame = Frame(Kind.OPEN, source=source, channel=entry.id, payload=payloads.encode_open(body))
    return Seek(entry.device, frame._replace(priority=Priority.CRITICAL))


def announcement(device: str, edge: int, source: int) -> Seek:
    """ANNOUNCE: this edge's channels of `device` come through another router now; `edge` 0 as in Seek."""
    return Seek(device, Frame(Kind.ANNOUNCE, 0, edge, source, payload=payloads.encode_device(device)))
