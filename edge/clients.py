"""The clients of this edge: their channels over its trunks, their buffers, and fetches from devices' browsers."""

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from typing import Protocol

import structlog

from browsergo.chassis.client_channels import ChannelClient, ClientChannels
from browsergo.core import errors
from browsergo.core.channel.client_state import ClientLimits
from browsergo.core.channel.frames import Assembler, Frame, Kind
from browsergo.core.ids import CHANNEL_ID_BYTES
from edge.bridge import Bridge
from edge.placement import Placement

FETCH_TIMEOUT_S = 10.0
MAX_FETCHES = 256


class ClientSocket(ChannelClient, Protocol):
    """A client's connection, as its channel sees it."""

    @property
    def unsent_bytes(self) -> int:
        """What was written and the client has not taken yet."""


@dataclass(slots=True)
class _Fetch:
    answer: "asyncio.Future[tuple[int, bytes]]"
    assembler: Assembler


class Clients(ClientChannels[ClientSocket]):
    """All channels whose clients are on this edge."""

    def __init__(
        self,
        bridge: Bridge,
        edge_id: str,
        placement: Placement,
        limits: ClientLimits,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        super().__init__(bridge.boot, edge_id, limits, bridge.telemetry, log)
        self.bridge = bridge
        self._placement = placement
        self._fetches: dict[bytes, _Fetch] = {}

    # --- overload ------------------------------------------------------------------------------------

    def save_credit(self, saving: bool) -> None:
        """Give channels no more credit than a live one needs, or as much as ever."""
        self._apply(self._ends.save_credit(saving))

    def buffered_bytes(self) -> dict[bytes, int]:
        """What is kept of each channel, its socket's buffer included."""
        buffered = self._ends.buffered_bytes()
        return {channel: buffered.get(channel, 0) + each.unsent_bytes for channel, each in self._clients.items()}

    def end_biggest(self, least_bytes: int, error: errors.BrowserGoError) -> ClientSocket | None:
        """End the channel with the biggest buffers, if they hold so much; its socket, which has the last words."""
        sizes = self.buffered_bytes()
        biggest = max(sizes, key=sizes.__getitem__, default=None)
        if biggest is None or sizes[biggest] < least_bytes:
            return None
        socket = self._clients[biggest]
        self.end(biggest, error)
        return socket

    def serves(self, device: str) -> bool:
        """Whether any channel of the device is here."""
        return self._ends.has_channels(device)

    # --- fetches -------------------------------------------------------------------------------------

    async def fetch(self, device: str, method: str, target: str) -> tuple[int, bytes]:
        """Ask the device's own browser over HTTP: status and body. Raises what the caller is to be refused with."""
        if len(self._fetches) >= MAX_FETCHES:
            raise errors.Overloaded("too many fetches at once", retry_after_s=1)
        number = secrets.token_bytes(CHANNEL_ID_BYTES)
        fetch = self._fetches[number] = _Fetch(asyncio.get_running_loop().create_future(), Assembler())
        payload = json.dumps({"device": device, "method": method, "path": target}).encode()
        frame = Frame(Kind.FETCH, source=self.address, channel=number, payload=payload)
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                await self.seek(device, frame)
                return await fetch.answer
        except TimeoutError:
            raise errors.DeadlineExceeded("the device did not answer in time", retry_after_s=1) from None
        finally:
            del self._fetches[number]

    def _fetched(self, frame: Frame) -> None:
        fetch = self._fetches.get(frame.channel)
        if fetch is None or fetch.answer.done():
            return
        try:
            body = fetch.assembler.whole(frame)
        except errors.BadFrame:  # a part went down with its path, and nothing of a fetch is replayed
            fetch.answer.set_exception(errors.ServiceUnavailable("a part of the answer was lost", retry_after_s=1))
        except errors.BrowserGoError as error:
            fetch.answer.set_exception(error)
        else:
            if body is not None:
                fetch.answer.set_result((frame.seq, bytes(body)))

    # --- trunks --------------------------------------------------------------------------------------

    def send(self, router: str, frame: Frame) -> None:
        """Over the trunk to that router."""
        self.bridge.send(router, frame)

    async def seek(self, device: str, frame: Frame) -> None:
        """Over the trunk to a router that reaches the device's edge."""
        edge = frame.edge or await self._placement.resolve(device)
        router = self.bridge.router_for(device, edge)
        if router is None or not self.bridge.send(router, frame._replace(edge=edge)):
            raise errors.ServiceUnavailable("no router can be reached", retry_after_s=1)

    def frame(self, router: str, frame: Frame) -> None:
        """A frame for a client end, or of an answer to a fetch."""
        if frame.kind == Kind.FETCHED:
            self._fetched(frame)
        else:
            super().frame(router, frame)

    def trunk_up(self, router: str) -> None:
        """Channels that lost their path announce themselves at their next tick."""

    def trunk_down(self, router: str) -> None:
        """Paths through this router are gone."""
        self._apply(self._ends.router_lost(router, time.monotonic()))
