"""Commands of control for this edge, which come as ADMIN frames and are answered."""

import resource
import sys
import time
from collections.abc import Callable

from google.protobuf.message import DecodeError

import browsergo
from browsergo.core.errors import BadFrame, BrowserGoError, DeviceLost, InvalidArgument
from browsergo.v2 import router_pb2, types_pb2
from edge.clients import Clients
from edge.devices import Devices
from edge.overload import Overload

Counts = Callable[[], "dict[str, int]"]


class EdgeAdmin:
    """Executes CommandEdgeRequests. `counts` gives the open sockets by purpose."""

    def __init__(
        self,
        edge: types_pb2.EdgeRun,
        clients: Clients,
        devices: Devices,
        counts: Counts,
        overload: Overload,
        insecure_no_auth: bool,
    ) -> None:
        self._edge = edge
        self._clients = clients
        self._devices = devices
        self._counts = counts
        self._overload = overload
        self._insecure_no_auth = insecure_no_auth
        self._started_s = time.monotonic()

    def command(self, payload: bytes) -> bytes:
        """Payload of ADMIN to payload of ADMIN_ANSWER; never raises."""
        try:
            answer = router_pb2.EdgeAnswer(response=self._execute(_read(payload)))
        except BrowserGoError as error:
            detail = types_pb2.ErrorDetail(
                code=error.code, category=error.category, message=error.message, retryable=error.retryable
            )
            answer = router_pb2.EdgeAnswer(error=detail)
        return answer.SerializeToString()

    def _execute(self, request: router_pb2.CommandEdgeRequest) -> router_pb2.CommandEdgeResponse:
        command = request.WhichOneof("command")
        if command == "disconnect_device":
            return self._disconnect(request.disconnect_device)
        if command == "describe_edge":
            return router_pb2.CommandEdgeResponse(edge_description=self.describe())
        raise InvalidArgument("this edge does not know that command")

    def _disconnect(self, command: router_pb2.DisconnectDevice) -> router_pb2.CommandEdgeResponse:
        session = self._devices.get(command.device_id)
        found = session is not None and self._devices.remove(session, DeviceLost(command.reason[:200]))
        return router_pb2.CommandEdgeResponse(device_disconnected=router_pb2.DeviceDisconnected(was_connected=found))

    def describe(self) -> router_pb2.EdgeDescription:
        """What this edge is doing now."""
        counts = self._counts()
        return router_pb2.EdgeDescription(
            edge=self._edge,
            version=browsergo.__version__,
            uptime_ms=int((time.monotonic() - self._started_s) * 1000),
            clients=counts["cdp"],
            devices=len(self._devices),
            operators=counts["control"],
            channels=self._clients.channels,
            messages_down=self._clients.messages_down,
            messages_up=self._clients.messages_up,
            errors=self._clients.errors,
            memory_bytes=self._overload.memory() or _peak_memory_bytes(),
            insecure_no_auth=self._insecure_no_auth,
            pending_commands=self._clients.pending_commands,
            overload=self._overload.rung.word,
            memory_limit_bytes=self._overload.limits.memory_bytes,
            loop_lag_ms=round(self._overload.lag_s * 1000),
        )


def _read(payload: bytes) -> router_pb2.CommandEdgeRequest:
    try:
        return router_pb2.CommandEdgeRequest.FromString(payload)
    except DecodeError:
        raise BadFrame("the command could not be read") from None


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
