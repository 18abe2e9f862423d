"""gRPC calls to the registry and control, and the translation to and from our own types, side by side."""

from collections.abc import AsyncIterator, Callable, Sequence

from google.protobuf.json_format import MessageToDict
from grpc import ChannelConnectivity, RpcError

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_errors import from_rpc, translated
from browsergo.core.device_messages import Registration
from browsergo.core.views import Told
from browsergo.v2 import (
    control_pb2,
    control_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    types_pb2,
)
from edge.core.lifecycle import State

CALL_TIMEOUT_S = 5.0


class RegistryStub:
    """The registry, as this edge uses it. Every call raises a BrowserGoError when it fails."""

    def __init__(self, address: str, edge: types_pb2.EdgeRun) -> None:
        self.channel = open_channel(address)
        self._stub = registry_pb2_grpc.RegistryServiceStub(self.channel)
        self._edge = edge

    async def register(self, registration: Registration, connection_id: str) -> registry_pb2.RegisterResponse:
        """A new epoch for the device."""
        request = registry_pb2.RegisterRequest(
            identity=identity_of(registration),
            edge=self._edge,
            connection_id=connection_id,
            previous_epoch=registration.previous_epoch,
        )
        return await translated(self._stub.Register(request, timeout=CALL_TIMEOUT_S))

    async def renew(self, devices: Sequence[types_pb2.Device]) -> list[str]:
        """Renew leases; the devices that are fenced off."""
        request = registry_pb2.RenewRequest(
            edge=self._edge, renewals=[registry_pb2.LeaseRenewal(device=device) for device in devices]
        )
        response = await translated(self._stub.Renew(request, timeout=CALL_TIMEOUT_S))
        return list(response.fenced_device_ids)

    async def release(self, device: str, epoch: int) -> None:
        """Give the lease back."""
        request = registry_pb2.ReleaseRequest(device_id=device, epoch=epoch)
        await translated(self._stub.Release(request, timeout=CALL_TIMEOUT_S))

    async def resolve(self, device: str) -> int:
        """The boot of the edge that holds the device. Raises DeviceNotFound or DeviceOffline."""
        request = registry_pb2.ResolveRequest(device_id=device)
        response = await translated(self._stub.Resolve(request, timeout=CALL_TIMEOUT_S))
        return response.edge.boot

    async def watch_routes(self, generation: int, revision: int) -> AsyncIterator[Told[int]]:
        """Boots of the edges that hold devices, then every change after `revision`. Ends when the registry ends it."""
        request = registry_pb2.WatchRequest(generation=generation, revision=revision)
        try:
            async for told in self._stub.Watch(request):
                entries = [(route.device_id, route.edge.boot or None) for route in told.routes]
                yield Told(told.generation, told.revision, told.begins_snapshot, entries)
        except RpcError as error:
            raise from_rpc(error) from None

    async def ping(self) -> None:
        """Whether it answers."""
        request = registry_pb2.ListDevicesRequest(page_size=1)
        await translated(self._stub.ListDevices(request, timeout=CALL_TIMEOUT_S))

    async def watch(self, returned: Callable[[], None]) -> None:
        """Until cancelled: call `returned` whenever the connection is up, again too; a new registry knows no leases."""
        state = self.channel.get_state(try_to_connect=True)
        while True:
            await self.channel.wait_for_state_change(state)
            state = self.channel.get_state(try_to_connect=True)
            if state is ChannelConnectivity.READY:
                returned()

    async def close(self) -> None:
        """Close the gRPC channel."""
        await self.channel.close(None)


class ControlStub:
    """The control service, as operators reach it through this edge; answers are JSON-ready."""

    def __init__(self, address: str) -> None:
        self._channel = open_channel(address)
        self._stub = control_pb2_grpc.ControlServiceStub(self._channel)

    async def status(self) -> control_pb2.GetControlStatusResponse:
        """The state of the whole."""
        return await translated(self._stub.GetStatus(control_pb2.GetControlStatusRequest(), timeout=CALL_TIMEOUT_S))

    async def devices(self) -> list[types_pb2.Device]:
        """All devices with a live lease."""
        request = control_pb2.ControlListDevicesRequest()
        response = await translated(self._stub.ListDevices(request, timeout=CALL_TIMEOUT_S))
        return list(response.devices)

    async def disconnect_device(self, device: str, reason: str, actor: str) -> bool:
        """Close a device's sockets; whether it was connected."""
        request = control_pb2.ControlDisconnectDeviceRequest(device_id=device, reason=reason, actor=actor)
        response = await translated(self._stub.DisconnectDevice(request, timeout=CALL_TIMEOUT_S * 2))
        return response.was_connected

    async def close(self) -> None:
        """Close the gRPC channel."""
        await self._channel.close(None)


def identity_of(registration: Registration) -> types_pb2.DeviceIdentity:
    """What a device said of itself, as the registry takes it."""
    able = registration.capabilities
    return types_pb2.DeviceIdentity(
        device_id=registration.device_id,
        instance_id=registration.instance_id,
        boot_id=registration.boot_id,
        name=registration.name,
        version=registration.version,
        type=registration.type,
        capabilities=types_pb2.DeviceCapabilities(
            browser_name=able.browser_name,
            browser_version=able.browser_version,
            platform=able.platform,
            user_agent=able.user_agent,
            supported_domains=able.supported_domains,
            max_concurrent_requests=able.max_concurrent_requests,
            features=able.features,
        ),
        labels=registration.labels,
        metadata=registration.metadata,
    )


def state_number(state: State) -> types_pb2.DeviceState.ValueType:
    """A lifecycle state on the wire."""
    return types_pb2.DeviceState.Value(f"DEVICE_STATE_{state.value}")


def device_json(device: types_pb2.Device) -> dict[str, object]:
    """A device as operators see it; epoch and times as numbers."""
    identity = MessageToDict(device.identity, preserving_proto_field_name=False)
    return {
        "deviceId": device.identity.device_id,
        "connectionId": device.connection_id,
        "state": types_pb2.DeviceState.Name(device.state).removeprefix("DEVICE_STATE_"),
        "epoch": device.epoch,
        "edge": device.edge.edge_id,
        "registeredAt": device.registered_unix_ms,
        "lastSeen": device.last_seen_unix_ms,
        "deviceInfo": identity,
    }
