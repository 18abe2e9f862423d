"""A large answer on its way through edge and router: what other channels say overtakes it."""

from pathlib import Path

from browsergo.core.channel.frames import CHUNK_BYTES, Frame, Kind
from tests.fakes.device_client import DeviceClient, registration
from tests.fakes.edge_world import World, play, until
from tests.fakes.far_edge import CHANNEL, FAR, far_edge, open_channel, opened, opening

OTHER = bytes(range(16, 32))
CHUNK = bytes(CHUNK_BYTES)
BIG_CHUNKS = 512  # 64 MiB: more than one outbox holds
WAITING_BYTES = 16 << 20
SMALL = 50


def test_small_messages_leave_before_the_end_of_a_large_one_that_was_queued_before_them(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        laptop, link = await DeviceClient.active(world)
        phone, quiet_link = await DeviceClient.active(world, registration("phone", "instance-2"))
        async with far_edge(world) as trunk:
            at = (await open_channel(trunk, world, laptop, link)).at
            await trunk.send(opening(world, "phone", OTHER))
            quiet_link.send(opened(phone, await quiet_link.receive_kind(Kind.OPEN)))
            quiet_at = (await trunk.receive_kind(Kind.OPENED)).at

            # The far edge takes nothing now: 64 MiB are in the outboxes, in both of them, and stay there.
            for seq in range(1, BIG_CHUNKS + 1):
                link.send(Frame(Kind.MSG, edge=FAR.boot, channel=CHANNEL, at=at, seq=seq, payload=CHUNK))
            outbox, far = next(iter(world.edge.parts.trunks)).outbox, world.router.board.switch.trunk(FAR.boot)
            assert outbox is not None
            assert far is not None
            await until(lambda: far.outbox.full and outbox.queued_bytes > WAITING_BYTES, "a large answer is queued")

            session = world.edge.parts.devices.get("phone")
            assert session is not None
            before_s = session.last_seen_s
            for seq in range(1, SMALL + 1):
                quiet_link.send(Frame(Kind.MSG, edge=FAR.boot, channel=OTHER, at=quiet_at, seq=seq, payload=b"{}"))
            await until(lambda: session.last_seen_s > before_s, "the small ones are queued behind it")

            arrived = [await trunk.receive_kind(Kind.MSG) for _ in range(BIG_CHUNKS + SMALL)]
            big = [frame.seq for frame in arrived if frame.channel == CHANNEL]
            assert big == list(range(1, BIG_CHUNKS + 1))
            small = [place for place, frame in enumerate(arrived) if frame.channel == OTHER]
            assert [arrived[place].seq for place in small] == list(range(1, SMALL + 1))
            behind = sum(frame.channel == CHANNEL for frame in arrived[small[-1] :])
            assert behind * CHUNK_BYTES > WAITING_BYTES - (2 << 20)  # but for what was on the wire

    play(tmp_path, scenario)
