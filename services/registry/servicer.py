"""RegistryService: leases in the roster, epochs in the store."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from grpc import aio
from opentelemetry.trace import Tracer

from browsergo.chassis.grpc_errors import aborting
from browsergo.chassis.logs import Logger
from browsergo.core import semconv
from browsergo.core.errors import BrowserGoError, DeviceNotFound, DeviceOffline, InvalidArgument
from browsergo.core.ids import is_device_id
from browsergo.v2 import registry_pb2, registry_pb2_grpc, types_pb2
from services.registry import translation
from services.registry.clock import Clock
from services.registry.core.changes import Changes
from services.registry.core.conflicts import Policy, Verdict, judge
from services.registry.core.roster import EdgeRun, Lease, Newcomer, Renewal, Renewed, Roster
from services.registry.expiry import keep_expiring
from services.registry.locks import DeviceLocks
from services.registry.store.port import EpochStore
from services.registry.watch import Watch

Context = aio.ServicerContext[Any, Any]

MAX_RENEWALS = 1_000
MAX_PAGE_SIZE = 1_000
# Half of what a gRPC message may hold here (chassis.grpc_server).
MAX_PAGE_BYTES = 4 << 20

SPAN_REGISTER = "registry.register"
ATTR_VERDICT = "browsergo.verdict"
ATTR_EPOCH = "browsergo.epoch"


class Admission(NamedTuple):
    """How a registration ended."""

    verdict: Verdict
    epoch: int
    replaced: Lease | None


class Routes:
    """Where devices are, as watchers are told."""

    def __init__(self, roster: Roster, clock: Clock) -> None:
        self._roster = roster
        self._clock = clock

    @property
    def changes(self) -> Changes:
        return self._roster.changes

    def page(self, after: str, max_count: int) -> tuple[list[registry_pb2.Route], str]:
        page = self._roster.page(after, max_count, max_count << 20, self._clock.monotonic_s())
        return [translation.route(lease) for lease in page.leases], page.leases[-1].device_id if page.more else ""

    def entry(self, key: str) -> registry_pb2.Route:
        lease = self._roster.live(key, self._clock.monotonic_s())
        return translation.route(lease) if lease is not None else registry_pb2.Route(device_id=key)

    def response(
        self, generation: int, revision: int, begins_snapshot: bool, entries: Iterable[registry_pb2.Route]
    ) -> registry_pb2.WatchResponse:
        return registry_pb2.WatchResponse(
            generation=generation, revision=revision, begins_snapshot=begins_snapshot, routes=entries
        )


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """The service; `expire_leases` must run beside it."""

    def __init__(
        self, roster: Roster, store: EpochStore, policy: Policy, *, tracer: Tracer, log: Logger, clock: Clock
    ) -> None:
        self._roster = roster
        self._store = store
        self._policy = policy
        self._tracer = tracer
        self._log = log
        self._clock = clock
        self._locks = DeviceLocks()
        self.watch = Watch(Routes(roster, clock))

    @aborting
    async def Register(self, request: registry_pb2.RegisterRequest, context: Context) -> registry_pb2.RegisterResponse:
        """See registry.proto. A repeated call of the same connection does not count as replacing itself."""
        edge = translation.edge_run(request.edge)
        newcomer = translation.newcomer(request.identity, edge, request.connection_id)
        with self._tracer.start_as_current_span(SPAN_REGISTER) as span:
            span.set_attribute(semconv.ATTR_DEVICE, newcomer.device_id)
            async with self._locks.holding(newcomer.device_id):
                admission = await self._admit(newcomer, request.previous_epoch)
            self.watch.look()
            span.set_attributes({ATTR_VERDICT: admission.verdict.value, ATTR_EPOCH: admission.epoch})
        self._log_admission(newcomer, admission)
        return registry_pb2.RegisterResponse(
            epoch=admission.epoch,
            lease_ttl_ms=self._lease_ttl_ms,
            replaced=self._replaced(newcomer, admission.replaced),
        )

    @aborting
    async def Renew(self, request: registry_pb2.RenewRequest, context: Context) -> registry_pb2.RenewResponse:
        """See registry.proto. A batch with anything invalid in it is refused whole."""
        if len(request.renewals) > MAX_RENEWALS:
            raise InvalidArgument(f"{len(request.renewals)} renewals; at most {MAX_RENEWALS} fit one call")
        edge = translation.edge_run(request.edge)
        renewals = [(translation.renewal(item.device), item.device) for item in request.renewals]
        now_s = self._clock.monotonic_s()
        fenced: list[str] = []
        unknown: list[tuple[Renewal, types_pb2.Device]] = []
        for renewal, device in renewals:
            outcome = self._roster.renew(edge, renewal, now_s)
            if outcome is Renewed.FENCED:
                fenced.append(renewal.device_id)
            elif outcome is Renewed.UNKNOWN:
                unknown.append((renewal, device))
        if unknown:
            fenced += await self._take_back(edge, unknown)
        self.watch.look()
        if fenced:
            self._log.info("devices_fenced", edge=edge.edge_id, devices=fenced)
        return registry_pb2.RenewResponse(fenced_device_ids=fenced, lease_ttl_ms=self._lease_ttl_ms)

    @aborting
    async def Release(self, request: registry_pb2.ReleaseRequest, context: Context) -> registry_pb2.ReleaseResponse:
        """See registry.proto."""
        device_id = translation.checked_device_id(request.device_id)
        released = self._roster.release(device_id, request.epoch, self._clock.monotonic_s())
        self.watch.look()
        if released:
            self._log.info("device_released", device=device_id, epoch=request.epoch)
        return registry_pb2.ReleaseResponse(released=released)

    @aborting
    async def Resolve(self, request: registry_pb2.ResolveRequest, context: Context) -> registry_pb2.ResolveResponse:
        """See registry.proto."""
        lease = await self._lease_of(request.device_id)
        return registry_pb2.ResolveResponse(
            edge=translation.edge_run_message(lease.newcomer.edge), epoch=lease.epoch, state=translation.state_of(lease)
        )

    @aborting
    async def GetDevice(
        self, request: registry_pb2.GetDeviceRequest, context: Context
    ) -> registry_pb2.GetDeviceResponse:
        """The device's registration. Errors: as Resolve."""
        return registry_pb2.GetDeviceResponse(device=self._message(await self._lease_of(request.device_id)))

    @aborting
    async def ListDevices(
        self, request: registry_pb2.ListDevicesRequest, context: Context
    ) -> registry_pb2.ListDevicesResponse:
        """See registry.proto. The page token is the last device id of the page before."""
        if request.page_token and not is_device_id(request.page_token):
            raise InvalidArgument("page_token is not one that this service gave out")
        size = min(request.page_size or MAX_PAGE_SIZE, MAX_PAGE_SIZE)
        page = self._roster.page(request.page_token, size, MAX_PAGE_BYTES, self._clock.monotonic_s())
        return registry_pb2.ListDevicesResponse(
            devices=[self._message(lease) for lease in page.leases],
            next_page_token=page.leases[-1].device_id if page.more else "",
        )

    async def Watch(
        self, request: registry_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[registry_pb2.WatchResponse]:
        """See registry.proto."""
        async for response in self.watch.responses(request.generation, request.revision):
            yield response

    async def expire_leases(self) -> None:
        """Drop leases that end, and say so, until cancelled."""
        await keep_expiring(self._roster, self._clock, self._expired)

    def _expired(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            edge = lease.newcomer.edge.edge_id
            self._log.warning("device_lease_expired", device=lease.device_id, epoch=lease.epoch, edge=edge)
        self.watch.look()

    async def _admit(self, newcomer: Newcomer, previous_epoch: int) -> Admission:
        incumbent = self._roster.live(newcomer.device_id, self._clock.monotonic_s())
        verdict = self._judged(incumbent, newcomer, previous_epoch)
        if verdict is Verdict.KEPT:
            kept = self._roster.keep(newcomer, self._clock.monotonic_s(), self._clock.unix_ms())
            if kept is not None:
                return Admission(verdict, kept.epoch, kept)
            verdict = Verdict.FIRST
        epoch = await self._store.next_epoch(newcomer.device_id)
        replaced = self._roster.place(newcomer, epoch, self._clock.monotonic_s(), self._clock.unix_ms())
        return Admission(verdict, epoch, replaced)

    def _judged(self, incumbent: Lease | None, newcomer: Newcomer, previous_epoch: int) -> Verdict:
        try:
            return judge(incumbent, newcomer, previous_epoch, self._policy)
        except BrowserGoError as error:
            self._log.warning(
                "device_refused",
                device=newcomer.device_id,
                edge=newcomer.edge.edge_id,
                code=error.code,
                why=error.message,
            )
            raise

    def _replaced(self, newcomer: Newcomer, replaced: Lease | None) -> types_pb2.Device | None:
        if replaced is None:
            return None
        before = replaced.newcomer
        if (before.edge, before.connection_id) == (newcomer.edge, newcomer.connection_id):
            return None
        return self._message(replaced)

    def _log_admission(self, newcomer: Newcomer, admission: Admission) -> None:
        # A takeover may be an attack: it stands out.
        say = self._log.warning if admission.verdict is Verdict.TAKEOVER else self._log.info
        say(
            "device_registered",
            device=newcomer.device_id,
            verdict=admission.verdict.value,
            epoch=admission.epoch,
            edge=newcomer.edge.edge_id,
            device_instance=newcomer.instance_id,
        )

    async def _take_back(self, edge: EdgeRun, unknown: Sequence[tuple[Renewal, types_pb2.Device]]) -> list[str]:
        newcomers = [translation.newcomer(device.identity, edge, device.connection_id) for _renewal, device in unknown]
        newest = await self._store.newest_epochs([newcomer.device_id for newcomer in newcomers])
        now_s = self._clock.monotonic_s()
        fenced = []
        for newcomer, (renewal, device) in zip(newcomers, unknown, strict=True):
            is_newest = newest.get(newcomer.device_id) == renewal.epoch
            if not is_newest or not self._roster.take_back(newcomer, renewal, device.registered_unix_ms, now_s):
                fenced.append(newcomer.device_id)
        if len(fenced) < len(unknown):
            self._log.info("devices_taken_back", edge=edge.edge_id, count=len(unknown) - len(fenced))
        return fenced

    async def _lease_of(self, device_id: str) -> Lease:
        translation.checked_device_id(device_id)
        lease = self._roster.live(device_id, self._clock.monotonic_s())
        if lease is not None:
            return lease
        if device_id in await self._store.newest_epochs([device_id]):
            raise DeviceOffline(f"device {device_id} is known, but not connected now")
        raise DeviceNotFound(f"no device {device_id} has ever connected here")

    def _message(self, lease: Lease) -> types_pb2.Device:
        return translation.device_message(lease, self._clock.monotonic_s(), self._clock.unix_ms())

    @property
    def _lease_ttl_ms(self) -> int:
        return round(self._roster.ttl_s * 1000)
