"""A control service that answers as told."""

from typing import Any

from grpc import aio

from browsergo.chassis.grpc_errors import aborting
from browsergo.core.errors import BrowserGoError
from browsergo.v2 import control_pb2, control_pb2_grpc, router_pb2, types_pb2

Context = aio.ServicerContext[Any, Any]


class FakeControl(control_pb2_grpc.ControlServiceServicer):
    """`failure` is what it answers instead."""

    def __init__(self) -> None:
        self.devices: list[types_pb2.Device] = []
        self.edges: list[router_pb2.EdgeDescription] = []
        self.disconnected: list[control_pb2.ControlDisconnectDeviceRequest] = []
        self.failure: BrowserGoError | None = None

    @aborting
    async def GetStatus(
        self, request: control_pb2.GetControlStatusRequest, context: Context
    ) -> control_pb2.GetControlStatusResponse:
        self._fail()
        part = control_pb2.PartStatus(name="registry", healthy=True)
        return control_pb2.GetControlStatusResponse(
            status="ok",
            version="9.9.9",
            uptime_ms=1500,
            parts=[part],
            devices_total=len(self.devices),
            edges=self.edges,
        )

    @aborting
    async def ListDevices(
        self, request: control_pb2.ControlListDevicesRequest, context: Context
    ) -> control_pb2.ControlListDevicesResponse:
        self._fail()
        return control_pb2.ControlListDevicesResponse(devices=self.devices)

    @aborting
    async def DisconnectDevice(
        self, request: control_pb2.ControlDisconnectDeviceRequest, context: Context
    ) -> control_pb2.ControlDisconnectDeviceResponse:
        self._fail()
        self.disconnected.append(request)
        return control_pb2.ControlDisconnectDeviceResponse(was_connected=True)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
