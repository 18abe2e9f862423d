"""A client edge on the far side of a router, played by the test."""

import contextlib
from collections.abc import AsyncIterator

from browsergo.core.channel import payloads
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.ids import Binding
from browsergo.v2 import types_pb2
from tests.fakes.device_client import DeviceClient, LinkClient
from tests.fakes.edge_world import World
from tests.fakes.trunk_client import RawTrunk, raw_trunk

FAR = types_pb2.EdgeRun(edge_id="far", boot=4711)
CHANNEL = bytes(range(16))


@contextlib.asynccontextmanager
async def far_edge(world: World) -> AsyncIterator[RawTrunk]:
    """The test as a client edge, on the first router."""
    async with raw_trunk(world.router.address, FAR) as trunk:
        yield trunk


def opening(world: World, device: str = "laptop", channel: bytes = CHANNEL, claim: str = "claim-1") -> Frame:
    body = payloads.Open(device, claim, "/devtools/browser", "far")
    return Frame(Kind.OPEN, edge=world.edge.boot, channel=channel, payload=payloads.encode_open(body))


def opened(device: DeviceClient, asked: Frame) -> Frame:
    """What an agent answers to an OPEN."""
    body = payloads.Opened(device.who.boot_id, payloads.decode_open(asked.payload).claim, 0, 2)
    at = Binding(device.ack.epoch, 2)
    return Frame(Kind.OPENED, edge=asked.source, channel=asked.channel, at=at, payload=payloads.encode_opened(body))


async def open_channel(trunk: RawTrunk, world: World, device: DeviceClient, link: LinkClient) -> Frame:
    """OPEN from the far edge, OPENED from the device: the OPENED as it arrives."""
    await trunk.send(opening(world))
    asked = await link.receive_kind(Kind.OPEN)
    assert asked.source == FAR.boot
    link.send(opened(device, asked))
    return await trunk.receive_kind(Kind.OPENED)
