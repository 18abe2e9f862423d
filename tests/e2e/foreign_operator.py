"""An operator's program in any environment: `foreign_operator.py PROTOS URLS_JSON` prints what it found, as JSON.

It knows the protos and the addresses, nothing else of the project: it generates its own stubs beside itself, finds the
services by reflection, asks each for its health (through descriptors that reflection gave), lists the devices through
the registry and reads the status through control and router.
"""

import json
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc  # type: ignore[import-untyped]

TIMEOUT_S = 10
STUBS = Path(__file__).parent / "stubs"
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"


def generate(protos: Path) -> None:
    """Stubs of every proto below `protos`, in packages, so that no other `browsergo` can stand in their way."""
    STUBS.mkdir()
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    words = [
        f"--proto_path={protos}",
        f"--proto_path={WELL_KNOWN}",
        f"--python_out={STUBS}",
        f"--grpc_python_out={STUBS}",
    ]
    assert protoc.main(["protoc", *words, *sources]) == 0
    for folder in {path.parent for path in STUBS.rglob("*.py")}:
        for package in (folder, *folder.relative_to(STUBS).parents):
            (STUBS / package / "__init__.py").touch()
    sys.path.insert(0, str(STUBS))


def ask_health(channel: grpc.Channel, database: ProtoReflectionDescriptorDatabase, service: str) -> str:
    """What the standard health service says of `service`; its messages are known from reflection only."""
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("grpc.health.v1.Health").FindMethodByName("Check")
    request_class = message_factory.GetMessageClass(method.input_type)
    response_class = message_factory.GetMessageClass(method.output_type)
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check", request_class.SerializeToString, response_class.FromString
    )
    response = check(request_class(service=service), timeout=TIMEOUT_S)
    statuses = method.output_type.fields_by_name["status"].enum_type
    assert statuses is not None
    return str(statuses.values_by_number[response.status].name)


def look_at(address: str) -> dict[str, str]:
    """The health of every service that is found at an address by reflection."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = [str(name) for name in database.get_services() if not str(name).startswith("grpc.")]
        return {name: ask_health(channel, database, name) for name in ["", *services]}


def ask_registry(address: str) -> list[dict[str, Any]]:
    """All devices, as the registry lists them."""
    from browsergo.v2 import registry_pb2, registry_pb2_grpc, types_pb2

    with grpc.insecure_channel(address) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        response = stub.ListDevices(registry_pb2.ListDevicesRequest(), timeout=TIMEOUT_S)
    return [
        {
            "device": device.identity.device_id,
            "state": types_pb2.DeviceState.Name(device.state),
            "edge": device.edge.edge_id,
            "epoch": device.epoch,
            "browser": device.identity.capabilities.browser_name,
        }
        for device in response.devices
    ]


def ask_control(address: str) -> dict[str, Any]:
    """The state of the whole."""
    from browsergo.v2 import control_pb2, control_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        status = stub.GetStatus(control_pb2.GetControlStatusRequest(), timeout=TIMEOUT_S)
    parts = {part.name: part.healthy for part in status.parts}
    return {"status": status.status, "devices_active": status.devices_active, "parts": parts}


def ask_router(address: str) -> list[str]:
    """The edges that have a trunk to the router."""
    from browsergo.v2 import router_pb2, router_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        stub = router_pb2_grpc.RouterServiceStub(channel)
        status = stub.GetStatus(router_pb2.GetRouterStatusRequest(), timeout=TIMEOUT_S)
    return sorted(trunk.edge.edge_id for trunk in status.trunks)


def ask_browser(address: str, device: str) -> dict[str, object]:
    """What a device's browser answers through the router."""
    from browsergo.v2 import router_pb2, router_pb2_grpc

    message = json.dumps({"id": 41, "method": "Browser.getVersion"})
    with grpc.insecure_channel(address) as channel:
        stub = router_pb2_grpc.RouterServiceStub(channel)
        request = router_pb2.RouteMessageRequest(device_id=device, message=message)
        answer: dict[str, object] = json.loads(stub.RouteMessage(request, timeout=TIMEOUT_S).message)
    return answer


def main() -> None:
    generate(Path(sys.argv[1]))
    urls = json.loads(sys.argv[2])
    import browsergo

    print(
        json.dumps(
            {
                "stubs": str(Path(str(browsergo.__file__)).parent),
                "services": {name: look_at(urls[name]) for name in ("registry_grpc", "control_grpc", "router_grpc")},
                "devices": ask_registry(urls["registry_grpc"]),
                "control": ask_control(urls["control_grpc"]),
                "edges": ask_router(urls["router_grpc"]),
                "browser": ask_browser(urls["router_grpc"], "local"),
            }
        )
    )


if __name__ == "__main__":
    main()
