"""MembershipService: which routers and edges there are."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from grpc import aio

from browsergo.chassis.grpc_errors import aborting
from browsergo.chassis.logs import Logger
from browsergo.v2 import membership_pb2, membership_pb2_grpc
from services.registry import translation
from services.registry.clock import Clock
from services.registry.core.changes import Changes
from services.registry.core.members import Member, Members, Name
from services.registry.expiry import keep_expiring
from services.registry.watch import Watch

Context = aio.ServicerContext[Any, Any]


class Told:
    """Members, as watchers are told of them. They all fit one page."""

    def __init__(self, members: Members, clock: Clock) -> None:
        self._members = members
        self._clock = clock

    @property
    def changes(self) -> Changes:
        return self._members.changes

    def page(self, after: str, max_count: int) -> tuple[list[membership_pb2.Member], str]:
        left = [found for found in self._members.all(self._clock.monotonic_s()) if found.name.key > after]
        page = left[:max_count]
        return [translation.member_message(found) for found in page], page[-1].name.key if page != left else ""

    def entry(self, key: str) -> membership_pb2.Member:
        name = Name.of(key)
        found = self._members.live(name, self._clock.monotonic_s())
        return translation.member_message(found) if found is not None else translation.gone_message(name)

    def response(
        self, generation: int, revision: int, begins_snapshot: bool, entries: Iterable[membership_pb2.Member]
    ) -> membership_pb2.WatchMembersResponse:
        return membership_pb2.WatchMembersResponse(
            generation=generation, revision=revision, begins_snapshot=begins_snapshot, members=entries
        )


class MembershipServicer(membership_pb2_grpc.MembershipServiceServicer):
    """The service; `expire_leases` must run beside it."""

    def __init__(self, members: Members, log: Logger, clock: Clock) -> None:
        self._members = members
        self._log = log
        self._clock = clock
        self.watch = Watch(Told(members, clock))

    @aborting
    async def Join(self, request: membership_pb2.JoinRequest, context: Context) -> membership_pb2.JoinResponse:
        """See membership.proto."""
        member = translation.member(request.member)
        now_s = self._clock.monotonic_s()
        is_known = self._members.live(member.name, now_s) == member
        if request.again:
            replaced = not self._members.renewed(member, now_s)
        else:
            replaced = False
            self._log_replaced(self._members.joined(member, now_s))
        if not is_known and not replaced:
            self._log.info("member_joined", member=member.name.key, address=member.address, version=member.version)
        self.watch.look()
        return membership_pb2.JoinResponse(lease_ttl_ms=round(self._members.ttl_s * 1000), replaced=replaced)

    @aborting
    async def Leave(self, request: membership_pb2.LeaveRequest, context: Context) -> membership_pb2.LeaveResponse:
        """See membership.proto."""
        name = translation.member_name(request.kind, request.id)
        left = self._members.left(name, request.boot, self._clock.monotonic_s())
        if left:
            self._log.info("member_left", member=name.key)
        self.watch.look()
        return membership_pb2.LeaveResponse(left=left)

    async def WatchMembers(
        self, request: membership_pb2.WatchMembersRequest, context: Context
    ) -> AsyncIterator[membership_pb2.WatchMembersResponse]:
        """See membership.proto."""
        async for response in self.watch.responses(request.generation, request.revision):
            yield response

    async def expire_leases(self) -> None:
        """Drop leases that end, and say so, until cancelled."""
        await keep_expiring(self._members, self._clock, self._expired)

    def _expired(self, members: Sequence[Member]) -> None:
        for member in members:
            self._log.warning("member_lease_expired", member=member.name.key, address=member.address)
        self.watch.look()

    def _log_replaced(self, replaced: Member | None) -> None:
        if replaced is not None:
            self._log.info("member_replaced", member=replaced.name.key, address=replaced.address)
