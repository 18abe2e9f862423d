"""The members that the registry knows (membership.proto): a process's place among them, and which routers there are."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from grpc import ChannelConnectivity, RpcError, aio

from browsergo.chassis.grpc_errors import from_rpc, translated
from browsergo.chassis.logs import Logger
from browsergo.chassis.racing import first_of
from browsergo.core.backoff import Backoff
from browsergo.core.errors import BrowserGoError
from browsergo.core.views import Told
from browsergo.v2 import membership_pb2, membership_pb2_grpc

CALL_TIMEOUT_S = 5.0
LEAVE_TIMEOUT_S = 1.0  # nobody's end waits long for a registry that is away: the lease ends by itself
RETRY_FIRST_S, RETRY_CAP_S = 0.1, 2.0
RENEWALS_PER_TTL = 3


class Membership:
    """The lease of `member`. A registry that is away costs nothing: what this process does does not depend on it."""

    def __init__(self, channel: aio.Channel, member: membership_pb2.Member, log: Logger) -> None:
        self._channel = channel
        self._stub = membership_pb2_grpc.MembershipServiceStub(channel)
        self._member = member
        self._log = log
        self._broken = asyncio.Event()  # the connection was up, and is not
        self._had_lease = False
        self._standing = ""

    async def hold_until(self, over: asyncio.Event) -> None:
        """Join and renew until `over` is set, then give the lease back."""
        await first_of(self._hold(), self._watch_connection(), over.wait())
        request = membership_pb2.LeaveRequest(kind=self._member.kind, id=self._member.id, boot=self._member.boot)
        try:
            await translated(self._stub.Leave(request, timeout=LEAVE_TIMEOUT_S))
        except BrowserGoError as error:
            self._stands("membership not given back", error.message)

    async def _hold(self) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        while True:
            self._broken.clear()
            try:
                ttl_s = await self._renewed()
            except BrowserGoError as error:
                self._stands("membership lost", error.message)
                await asyncio.sleep(backoff.next_delay_s(0.5 + random.random() / 2))
            else:
                backoff.reset()
                await self._until_broken(ttl_s / RENEWALS_PER_TTL)

    async def _until_broken(self, at_most_s: float) -> None:
        """A registry that went may know nobody when it comes back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._broken.wait()

    async def _watch_connection(self) -> None:
        """One wait after the other, for a wait that is cancelled may stay within gRPC until the state changes."""
        while True:
            state = self._channel.get_state()
            await self._channel.wait_for_state_change(state)
            if state is ChannelConnectivity.READY:
                self._broken.set()

    async def _renewed(self) -> float:
        """One more ttl, of so many seconds. Raises a BrowserGoError."""
        request = membership_pb2.JoinRequest(member=self._member, again=self._had_lease)
        response = await translated(self._stub.Join(request, timeout=CALL_TIMEOUT_S))
        if response.replaced:
            self._stands("membership replaced", "another process has this id")
        else:
            self._had_lease = True
            self._stands("membership held")
        return response.lease_ttl_ms / 1000

    def _stands(self, standing: str, why: str = "") -> None:
        """One line for each change, never one for each attempt."""
        if standing != self._standing:
            self._standing = standing
            if why:
                self._log.warning(standing, reason=why)
            else:
                self._log.info(standing)


async def watch_routers(channel: aio.Channel, generation: int, revision: int) -> AsyncIterator[Told[str]]:
    """Addresses of routers by their ids, then every change after `revision`; for a `following.Follower`."""
    stub = membership_pb2_grpc.MembershipServiceStub(channel)
    request = membership_pb2.WatchMembersRequest(generation=generation, revision=revision)
    try:
        async for told in stub.WatchMembers(request):
            routers = [member for member in told.members if member.kind == membership_pb2.MEMBER_KIND_ROUTER]
            entries = [(router.id, router.address or None) for router in routers]
            yield Told(told.generation, told.revision, told.begins_snapshot, entries)
    except RpcError as error:
        raise from_rpc(error) from None
