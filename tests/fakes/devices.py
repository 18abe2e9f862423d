"""Devices and edges as their edges describe them to the registry."""

from browsergo.v2 import registry_pb2, types_pb2

EDGE_1 = types_pb2.EdgeRun(edge_id="edge-1", boot=11)
EDGE_2 = types_pb2.EdgeRun(edge_id="edge-2", boot=22)
EDGE_1_RESTARTED = types_pb2.EdgeRun(edge_id="edge-1", boot=12)


def identity(device_id: str = "laptop", instance: str = "instance-a", boot: str = "boot-1") -> types_pb2.DeviceIdentity:
    return types_pb2.DeviceIdentity(
        device_id=device_id,
        instance_id=instance,
        boot_id=boot,
        name="a laptop",
        type="agent",
        capabilities=types_pb2.DeviceCapabilities(browser_name="Chromium", supported_domains=["Page", "Runtime"]),
        labels={"room": "lab"},
    )


def registration(
    device_id: str = "laptop",
    *,
    instance: str = "instance-a",
    boot: str = "boot-1",
    edge: types_pb2.EdgeRun = EDGE_1,
    connection: str = "connection-1",
    previous_epoch: int = 0,
) -> registry_pb2.RegisterRequest:
    return registry_pb2.RegisterRequest(
        identity=identity(device_id, instance, boot),
        edge=edge,
        connection_id=connection,
        previous_epoch=previous_epoch,
    )


def renewal(
    device_id: str = "laptop",
    *,
    epoch: int,
    state: types_pb2.DeviceState.ValueType = types_pb2.DEVICE_STATE_ACTIVE,
    last_seen_unix_ms: int = 0,
) -> registry_pb2.LeaseRenewal:
    return registry_pb2.LeaseRenewal(
        device=types_pb2.Device(
            identity=identity(device_id),
            connection_id="connection-1",
            state=state,
            epoch=epoch,
            registered_unix_ms=1_600_000_000_000,
            last_seen_unix_ms=last_seen_unix_ms,
        )
    )


def renewals(*items: registry_pb2.LeaseRenewal, edge: types_pb2.EdgeRun = EDGE_1) -> registry_pb2.RenewRequest:
    return registry_pb2.RenewRequest(edge=edge, renewals=items)
