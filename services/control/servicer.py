"""ControlService: what operators see and do, put together from what registry, routers and edges answer."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from grpc import aio
from opentelemetry.trace import Tracer

import browsergo
from browsergo.chassis.grpc_errors import aborting
from browsergo.chassis.logs import Logger
from browsergo.core import semconv
from browsergo.core.errors import BrowserGoError, InvalidArgument, InvalidDeviceId, MessageTooBig
from browsergo.core.ids import is_device_id
from browsergo.v2 import control_pb2, control_pb2_grpc, types_pb2
from services.control import commands
from services.control.core import fleet
from services.control.core.fleet import EdgeKey
from services.control.peers import RegistryPeer, RouterPeer, within
from services.control.survey import survey

Context = aio.ServicerContext[Any, Any]

LIST_DEADLINE_S = 5.0
COMMAND_DEADLINE_S = 5.0
# Under what a gRPC message may hold here (chassis.grpc_server).
MAX_LIST_BYTES = 7 << 20
MAX_REASON_BYTES = 1024
MAX_ACTOR_BYTES = 256

SPAN_DISCONNECT_DEVICE = "control.disconnect_device"


class ControlServicer(control_pb2_grpc.ControlServiceServicer):
    """The service."""

    def __init__(
        self, registry: RegistryPeer, routers: Callable[[], Sequence[RouterPeer]], tracer: Tracer, log: Logger
    ) -> None:
        """`routers` gives those that there are when it is called."""
        self._registry = registry
        self._routers = routers
        self._tracer = tracer
        self._log = log
        self._started_s = time.monotonic()

    @aborting
    async def GetStatus(
        self, request: control_pb2.GetControlStatusRequest, context: Context
    ) -> control_pb2.GetControlStatusResponse:
        """See control.proto. A part that is down makes the status `degraded`, never an error."""
        found = await survey(self._registry, self._routers())
        return control_pb2.GetControlStatusResponse(
            status=fleet.overall(found.parts),
            version=browsergo.__version__,
            uptime_ms=round((time.monotonic() - self._started_s) * 1000),
            parts=[control_pb2.PartStatus(**part._asdict()) for part in found.parts],
            devices_total=found.devices.total,
            devices_active=found.devices.active,
            routers=[view.status for view in found.routers if view.status is not None],
            edges=[view.description for view in found.edges if view.description is not None],
        )

    @aborting
    async def ListDevices(
        self, request: control_pb2.ControlListDevicesRequest, context: Context
    ) -> control_pb2.ControlListDevicesResponse:
        """See control.proto. Errors: UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED (too many for one answer)."""
        return control_pb2.ControlListDevicesResponse(devices=await within(LIST_DEADLINE_S, self._all_devices()))

    @aborting
    async def DisconnectDevice(
        self, request: control_pb2.ControlDisconnectDeviceRequest, context: Context
    ) -> control_pb2.ControlDisconnectDeviceResponse:
        """See control.proto. Whatever becomes of it, one log line says who asked and what came out."""
        _check(request)
        with self._tracer.start_as_current_span(SPAN_DISCONNECT_DEVICE) as span:
            span.set_attribute(semconv.ATTR_DEVICE, request.device_id)
            try:
                was_connected = await self._disconnect(request.device_id, request.reason)
            except BrowserGoError as error:
                self._audit(request, error.code)
                raise
        self._audit(request, "disconnected" if was_connected else "was not connected")
        return control_pb2.ControlDisconnectDeviceResponse(was_connected=was_connected)

    async def _disconnect(self, device_id: str, reason: str) -> bool:
        edge = await self._registry.resolve(device_id, COMMAND_DEADLINE_S)
        key = EdgeKey(edge.edge_id, edge.boot)
        return await commands.disconnect_device(self._routers(), key, device_id, reason, COMMAND_DEADLINE_S)

    async def _all_devices(self) -> list[types_pb2.Device]:
        devices: list[types_pb2.Device] = []
        size = 0
        async with contextlib.aclosing(self._registry.pages()) as pages:
            async for page in pages:
                size += page.ByteSize()
                if size > MAX_LIST_BYTES:
                    raise MessageTooBig("more devices than one answer holds; ask the registry, which answers in pages")
                devices.extend(page.devices)
        return devices

    def _audit(self, request: control_pb2.ControlDisconnectDeviceRequest, result: str) -> None:
        self._log.info(
            "operator_command",
            command="disconnectDevice",
            actor=request.actor,
            device=request.device_id,
            reason=request.reason,
            result=result,
        )


def _check(request: control_pb2.ControlDisconnectDeviceRequest) -> None:
    if not is_device_id(request.device_id):
        raise InvalidDeviceId
    if len(request.reason.encode()) > MAX_REASON_BYTES:
        raise InvalidArgument(f"reason: at most {MAX_REASON_BYTES} bytes")
    if len(request.actor.encode()) > MAX_ACTOR_BYTES:
        raise InvalidArgument(f"actor: at most {MAX_ACTOR_BYTES} bytes")
