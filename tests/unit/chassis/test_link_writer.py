"""The writing half of a link: one message a tick, turns between channels while the peer is slow, and all at the end."""

import asyncio
from collections.abc import Awaitable, Callable

from browsergo.chassis.link_writer import LinkWriter
from browsergo.core.channel.frames import BATCH_BYTES, CHUNK_BYTES, Frame, Kind, decode_link_message
from browsergo.core.channel.queue import Queued

CHUNK = bytes(CHUNK_BYTES)
BIG, SMALL = b"b" * 16, b"s" * 16
BIG_CHUNKS = 512  # 64 MiB
TICKS_A_MESSAGE = 3  # flushed, written, and one to see that nothing follows


class SlowPeer:
    """A connection that writes once a tick and then finds its buffer full, after `room` messages."""

    def __init__(self) -> None:
        self.messages: list[list[Frame]] = []
        self.room = 0
        self.told: list[Queued] = []
        self.writer: LinkWriter

    def limit_unsent(self, kernel_bytes: int) -> None:
        assert kernel_bytes <= BATCH_BYTES

    def send_binary(self, message: bytes) -> None:
        """Keep it. It may be at its goal already: the spans of its waiting have ended."""
        self.messages.append(decode_link_message(message))
        assert len(self.told) == sum(map(len, self.messages))
        asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self.room -= 1
        if self.room <= 0:
            self.writer.writable(False)

    async def takes(self, messages: int) -> None:
        """The peer has read, and reads so many more."""
        self.room = messages
        self.writer.writable(True)
        for _ in range(TICKS_A_MESSAGE * messages):
            await asyncio.sleep(0)


def run(scenario: Callable[[SlowPeer, LinkWriter, list[Queued]], Awaitable[None]]) -> None:
    async def main() -> None:
        peer = SlowPeer()
        peer.writer = LinkWriter(peer, peer.told.extend)  # type: ignore[arg-type]  # all of a connection that it uses
        await scenario(peer, peer.writer, peer.told)

    asyncio.run(main())


def big(seq: int) -> Frame:
    return Frame(Kind.MSG, channel=BIG, seq=seq, payload=CHUNK)


def test_frames_of_one_tick_leave_as_one_message_with_the_times_they_came() -> None:
    async def scenario(peer: SlowPeer, writer: LinkWriter, written: list[Queued]) -> None:
        frames = [Frame(Kind.MSG, channel=bytes([number]) * 16) for number in range(5)]
        for number, frame in enumerate(frames):
            writer.push(frame, number)
        await asyncio.sleep(0)
        assert peer.messages == [frames]
        assert written == [Queued(frame, number) for number, frame in enumerate(frames)]

    run(scenario)


def test_a_small_frame_leaves_with_the_next_message_whatever_another_channel_has_queued() -> None:
    async def scenario(peer: SlowPeer, writer: LinkWriter, written: list[Queued]) -> None:
        for seq in range(BIG_CHUNKS):
            writer.push(big(seq))
        await peer.takes(1)
        assert len(peer.messages) == 1
        small = Frame(Kind.MSG, channel=SMALL, payload=b"{}")
        writer.push(small)
        await asyncio.sleep(0)
        assert len(peer.messages) == 1  # the peer has not read yet
        await peer.takes(1)
        assert small in peer.messages[1]
        assert sum(frame.size for frame in peer.messages[1]) <= BATCH_BYTES
        await peer.takes(BIG_CHUNKS)
        assert [queued.frame.seq for queued in written if queued.frame.channel == BIG] == [*range(BIG_CHUNKS)]

    run(scenario)


def test_all_that_is_queued_is_written_before_the_end_however_slow_the_peer_is() -> None:
    async def scenario(peer: SlowPeer, writer: LinkWriter, written: list[Queued]) -> None:
        for seq in range(20):
            writer.push(big(seq))
        writer.push(Frame(Kind.CLOSED, channel=SMALL))
        writer.push(Frame(Kind.CLOSED, channel=BIG))
        writer.flush_all()
        assert len(written) == sum(map(len, peer.messages)) == 22
        of_big = [queued.frame for queued in written if queued.frame.channel == BIG]
        assert (of_big[-1].kind, [frame.seq for frame in of_big[:-1]]) == (Kind.CLOSED, [*range(20)])

    run(scenario)
