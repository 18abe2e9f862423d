"""The routers that control asks: those that it was named, and those that the registry tells beside them."""

from collections.abc import Iterable
from functools import partial

from grpc import aio

from browsergo.chassis.following import Follower
from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.logs import Logger
from browsergo.chassis.membership import watch_routers
from services.control.peers import RouterPeer


class Routers:
    """By their addresses. `keep_current` must run beside it."""

    def __init__(self, seeds: Iterable[str], registry: aio.Channel, log: Logger) -> None:
        self._seeds = tuple(seeds)
        self._follower = Follower(partial(watch_routers, registry), "routers", log)
        self._peers: dict[str, RouterPeer] = {}
        self._settle()

    def peers(self) -> list[RouterPeer]:
        """The named ones first."""
        return list(self._peers.values())

    async def keep_current(self) -> None:
        """Until cancelled. Without a registry, what it told last goes on."""
        await self._follower.run(self._settle)

    async def close(self) -> None:
        """Close all gRPC channels."""
        for peer in self._peers.values():
            await peer.close()

    def _settle(self) -> None:
        """A peer that goes is not closed here but ends with its last user: a survey may be under way."""
        addresses = dict.fromkeys([*self._seeds, *(address for _, address in self._follower.view)])
        self._peers = {
            address: self._peers.get(address) or RouterPeer(address, open_channel(address)) for address in addresses
        }
