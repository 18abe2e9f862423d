"""Between the registry's messages and its cores, both directions side by side; checks what comes in."""

from collections.abc import Mapping

from browsergo.core.addresses import GRPC_ADDRESS_FORM, is_grpc_address
from browsergo.core.errors import InvalidArgument, InvalidDeviceId
from browsergo.core.ids import INSTANCE_ID_FORM, is_device_id, is_instance_id
from browsergo.v2 import membership_pb2, registry_pb2, types_pb2
from services.registry.core.members import Kind, Member, Name
from services.registry.core.roster import EdgeRun, Lease, Newcomer, Renewal

# As many as a device may say before it is known (endpoints.md, pre-auth limits).
MAX_IDENTITY_BYTES = 8 * 1024
MAX_NAME_BYTES = 128
MAX_ENTRIES = 64
MAX_KEY_BYTES = 128
MAX_VALUE_BYTES = 1024

_KINDS = {membership_pb2.MEMBER_KIND_ROUTER: Kind.ROUTER, membership_pb2.MEMBER_KIND_EDGE: Kind.EDGE}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_ACTIVE = {types_pb2.DEVICE_STATE_REGISTERED: False, types_pb2.DEVICE_STATE_ACTIVE: True}


def checked_device_id(device_id: str) -> str:
    """The id itself. Raises InvalidDeviceId."""
    if not is_device_id(device_id):
        raise InvalidDeviceId
    return device_id


def edge_run(edge: types_pb2.EdgeRun) -> EdgeRun:
    """Raises InvalidArgument for an edge without a name or boot."""
    _check_name("edge.edge_id", edge.edge_id)
    if not edge.boot:
        raise InvalidArgument("edge.boot is missing")
    return EdgeRun(edge.edge_id, edge.boot)


def edge_run_message(edge: EdgeRun) -> types_pb2.EdgeRun:
    """The way back."""
    return types_pb2.EdgeRun(edge_id=edge.edge_id, boot=edge.boot)


def newcomer(identity: types_pb2.DeviceIdentity, edge: EdgeRun, connection_id: str) -> Newcomer:
    """Raises InvalidDeviceId, InvalidArgument for what is missing or too big."""
    checked_device_id(identity.device_id)
    _check_name("identity.instance_id", identity.instance_id)
    _check_name("identity.boot_id", identity.boot_id)
    _check_name("connection_id", connection_id)
    _check_entries("identity.labels", identity.labels)
    _check_entries("identity.metadata", identity.metadata)
    description = identity.SerializeToString()
    if len(description) > MAX_IDENTITY_BYTES:
        raise InvalidArgument(f"identity takes {len(description)} bytes; at most {MAX_IDENTITY_BYTES} are allowed")
    return Newcomer(identity.device_id, identity.instance_id, identity.boot_id, edge, connection_id, description)


def renewal(device: types_pb2.Device) -> Renewal:
    """A state other than REGISTERED and ACTIVE says nothing: a lease knows only these two. Raises InvalidDeviceId."""
    device_id = checked_device_id(device.identity.device_id)
    return Renewal(device_id, device.epoch, _ACTIVE.get(device.state), device.last_seen_unix_ms)


def device_message(lease: Lease, now_s: float, now_unix_ms: int) -> types_pb2.Device:
    """A lease as everybody outside sees it."""
    holder = lease.newcomer
    return types_pb2.Device(
        identity=types_pb2.DeviceIdentity.FromString(holder.description),
        connection_id=holder.connection_id,
        state=state_of(lease),
        edge=edge_run_message(holder.edge),
        epoch=lease.epoch,
        registered_unix_ms=lease.registered_unix_ms,
        last_seen_unix_ms=lease.last_seen_unix_ms,
        lease_expires_unix_ms=now_unix_ms + round((lease.expires_s - now_s) * 1000),
    )


def state_of(lease: Lease) -> types_pb2.DeviceState.ValueType:
    """REGISTERED or ACTIVE."""
    return types_pb2.DEVICE_STATE_ACTIVE if lease.active else types_pb2.DEVICE_STATE_REGISTERED


def route(lease: Lease) -> registry_pb2.Route:
    """Where a device is, for watchers."""
    return registry_pb2.Route(
        device_id=lease.device_id,
        edge=edge_run_message(lease.newcomer.edge),
        epoch=lease.epoch,
        state=state_of(lease),
    )


def member_name(kind: membership_pb2.MemberKind.ValueType, member_id: str) -> Name:
    """Raises InvalidArgument."""
    if kind not in _KINDS:
        raise InvalidArgument("a member is a router or an edge")
    if not is_instance_id(member_id):
        raise InvalidArgument(f"a member's id is {INSTANCE_ID_FORM}")
    return Name(_KINDS[kind], member_id)


def member(message: membership_pb2.Member) -> Member:
    """Raises InvalidArgument for what is missing or of no use."""
    name = member_name(message.kind, message.id)
    if not message.boot:
        raise InvalidArgument("member.boot is missing")
    if name.kind is Kind.ROUTER and not is_grpc_address(message.address):
        raise InvalidArgument(f"a router's address is {GRPC_ADDRESS_FORM}")
    if name.kind is Kind.EDGE and message.address:
        raise InvalidArgument("an edge has no address: nobody dials it")
    _check_name("member.version", message.version)
    return Member(name, message.boot, message.address, message.version)


def member_message(found: Member) -> membership_pb2.Member:
    """The way back."""
    return membership_pb2.Member(
        kind=_KIND_NUMBERS[found.name.kind],
        id=found.name.member_id,
        boot=found.boot,
        address=found.address,
        version=found.version,
    )


def gone_message(name: Name) -> membership_pb2.Member:
    """A member that has no lease any more."""
    return membership_pb2.Member(kind=_KIND_NUMBERS[name.kind], id=name.member_id)


def _check_name(field: str, text: str) -> None:
    if not text or len(text.encode()) > MAX_NAME_BYTES:
        raise InvalidArgument(f"{field} must be 1 to {MAX_NAME_BYTES} bytes long")


def _check_entries(field: str, entries: Mapping[str, str]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise InvalidArgument(f"{field} has {len(entries)} entries; at most {MAX_ENTRIES} are allowed")
    for key, value in entries.items():
        if not key or len(key.encode()) > MAX_KEY_BYTES or len(value.encode()) > MAX_VALUE_BYTES:
            raise InvalidArgument(
                f"{field}: a key must be 1 to {MAX_KEY_BYTES} bytes long, a value at most {MAX_VALUE_BYTES}"
            )
