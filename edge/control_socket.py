"""/v2/control: an operator's connection. Requests are answered in order, each by a gRPC call to control."""

import asyncio
import time

import structlog

from browsergo.core.device_messages import Envelope, MessageId, read_envelope, write_envelope
from browsergo.core.errors import BadMessage, BrowserGoError, Overloaded, TokenExpired, cut_utf8
from browsergo.core.tokens import Grant
from browsergo.v2 import control_pb2
from edge.core import control_protocol as messages
from edge.core.admission import require_control
from edge.core.control_protocol import Command
from edge.stubs import ControlStub, device_json
from edge.upgrade import Upgrade

MAX_WAITING = 64
MESSAGE_BYTES = 1 << 20
MAX_REASON_BYTES = 200
DEFAULT_REASON = "disconnected by an operator"


class ControlSocket:
    """One operator."""

    def __init__(
        self, connection: Upgrade, grant: Grant, control: ControlStub, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._connection = connection
        self._grant = grant
        self._control = control
        self._log = log
        self._requests: asyncio.Queue[Envelope] = asyncio.Queue(maxsize=MAX_WAITING)
        self._answering: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def start(self) -> None:
        """The upgrade was answered: status first, as the original does, then whatever is asked."""
        self._requests.put_nowait(Envelope(messages.STATUS, None, {}))
        self._answering = asyncio.create_task(self._answer())
        self._answering.add_done_callback(self._answered)

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """One JSON request."""
        try:
            if not is_text:
                raise BadMessage("messages on /v2/control are JSON text")
            self._requests.put_nowait(read_envelope(payload))
        except asyncio.QueueFull:
            self._close(Overloaded(f"more than {MAX_WAITING} requests are waiting"))
        except BrowserGoError as error:
            self._send(messages.ERROR, {"error": error.code, "message": error.message}, None)

    def on_writable(self, writable: bool) -> None:
        """An operator that reads nothing is asked nothing more, and what it has asked waits."""
        if not writable:
            self._writable.clear()
            self._connection.pause_reading()
        else:
            self._writable.set()
            self._connection.resume_reading()

    def on_closed(self, code: int, reason: str) -> None:
        """The operator left."""
        if self._answering is not None:
            self._answering.cancel()

    async def _answer(self) -> None:
        while True:
            await self._writable.wait()
            request = await self._requests.get()
            if time.time() >= self._grant.expires_unix_s:
                self._close(TokenExpired())
                return
            try:
                kind, body = await self._react(request)
            except BrowserGoError as error:
                kind, body = messages.ERROR, {"error": error.code, "message": error.message}
            self._send(kind, body, request.id)

    def _answered(self, answering: "asyncio.Task[None]") -> None:
        """A fault of ours must not look like an answer that takes long."""
        if not answering.cancelled() and (fault := answering.exception()) is not None:
            self._log.error("an operator's request failed", exc_info=fault)
            self._close(BrowserGoError())

    async def _react(self, request: Envelope) -> tuple[str, dict[str, object]]:
        if request.type == messages.STATUS:
            return messages.STATUS, status_body(await self._control.status(), time.time())
        if request.type == messages.COMMAND:
            command = messages.read_command(request.body)
            require_control(self._grant, messages.COMMAND_SCOPES[command.name])
            result = await self._execute(command)
            return messages.COMMAND, {"command": command.name, "success": True, "result": result}
        raise BadMessage(f"unknown message type {request.type[:64]}")

    async def _execute(self, command: Command) -> object:
        if command.name == messages.LIST_DEVICES:
            return [device_json(device) for device in await self._control.devices()]
        device = messages.read_device_id(command.params)
        reason = cut_utf8(str(command.params.get("reason", DEFAULT_REASON)), MAX_REASON_BYTES)
        was_connected = await self._control.disconnect_device(device, reason, self._grant.subject)
        return {"deviceId": device, "wasConnected": was_connected}

    def _send(self, kind: str, body: dict[str, object], message_id: MessageId | None) -> None:
        self._connection.send_text(write_envelope(kind, body, int(time.time() * 1000), message_id))

    def _close(self, error: BrowserGoError) -> None:
        self._connection.close(error.close_code, error.close_reason)


def status_body(status: control_pb2.GetControlStatusResponse, now_unix_s: float) -> dict[str, object]:
    """`data` of control:status; the first fields are the original's."""
    edges = status.edges
    sockets = sum(edge.clients + edge.devices + edge.operators for edge in edges)
    queued = sum(trunk.queued_bytes for router in status.routers for trunk in router.trunks)
    return {
        "status": status.status,
        "timestamp": int(now_unix_s * 1000),
        "version": status.version,
        "uptime": status.uptime_ms / 1000,
        "connections": {
            "total": sockets,
            "active": sum(edge.channels for edge in edges),
            "errors": sum(edge.errors for edge in edges),
        },
        "resources": {
            "memoryUsage": sum(edge.memory_bytes for edge in edges),
            "queueSize": queued,
            "connectionPoolSize": sum(edge.devices for edge in edges),
        },
        "commands": {"pending": sum(edge.pending_commands for edge in edges)},
        "devices": {"total": status.devices_total, "active": status.devices_active},
        "edges": [
            {
                "edgeId": edge.edge.edge_id,
                "overload": edge.overload,
                "memoryUsage": edge.memory_bytes,
                "memoryLimit": edge.memory_limit_bytes,
                "loopLagMs": edge.loop_lag_ms,
            }
            for edge in edges
        ],
        "parts": [{"name": part.name, "healthy": part.healthy, "detail": part.detail} for part in status.parts],
        "insecureNoAuth": any(edge.insecure_no_auth for edge in edges),
    }
