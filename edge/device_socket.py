"""/v2/device: a device's control connection, from welcome to goodbye."""

import asyncio
import secrets
import time

import structlog

import browsergo
from browsergo.core import device_messages as messages
from browsergo.core.device_messages import Acknowledgement, Envelope, MessageId, Registration, Welcome
from browsergo.core.errors import (
    BadMessage,
    BrowserGoError,
    DeadlineExceeded,
    DeviceLost,
    Forbidden,
    MessageTooBig,
    StaleEpoch,
    TakenOver,
)
from browsergo.core.tokens import Grant
from browsergo.v2 import registry_pb2
from edge.config import EdgeConfig
from edge.core.lifecycle import Input, State, next_state
from edge.devices import Devices, Session
from edge.stubs import RegistryStub
from edge.upgrade import Upgrade

REGISTER_WITHIN_S = 10.0
UNREGISTERED_BYTES = 8 << 10
MESSAGE_BYTES = 1 << 20
MESSAGE_TIMEOUT_MS = 20_000
LOST_AFTER_INTERVALS = 2.25
DISCONNECT_REASON = "Device disconnect requested"


class DeviceSocket:
    """One device's control connection."""

    def __init__(
        self,
        connection: Upgrade,
        grant: Grant,
        devices: Devices,
        registry: RegistryStub,
        config: EdgeConfig,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._connection = connection
        self._grant = grant
        self._devices = devices
        self._registry = registry
        self._config = config
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._connection_id = secrets.token_hex(8)
        self._state = next_state(State.CONNECTING, Input.UPGRADED)
        self._session: Session | None = None
        self._registering: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(REGISTER_WITHIN_S, self._too_late)

    def start(self) -> None:
        """The upgrade was answered: the server speaks first."""
        welcome = Welcome(
            self._connection_id,
            browsergo.__version__,
            secrets.token_hex(16),
            int(self._config.heartbeat_interval_s * 1000),
            MESSAGE_TIMEOUT_MS,
        )
        self._send(messages.WELCOME, messages.welcome_body(welcome))

    def _send(self, kind: str, body: dict[str, object], message_id: MessageId | None = None) -> None:
        self._connection.send_text(messages.write_envelope(kind, body, _now_ms(), message_id))

    # --- from the device -----------------------------------------------------------------------------

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """One JSON message."""
        if self._session is not None:
            self._session.touch()
        try:
            if not is_text:
                raise BadMessage("messages on /v2/device are JSON text")
            if self._session is None and len(payload) > UNREGISTERED_BYTES:
                raise MessageTooBig(f"before registration a message has at most {UNREGISTERED_BYTES} bytes")
            self._react(messages.read_envelope(payload))
        except BrowserGoError as error:
            self.close(error)

    def _react(self, message: Envelope) -> None:
        if message.type == messages.REGISTER:
            self._register(message)
        elif self._session is None:
            raise BadMessage(f"{message.type[:64]} before {messages.REGISTER}")
        elif message.type == messages.HEARTBEAT:
            body: dict[str, object] = {"deviceId": self._session.device, "serverTime": _now_ms(), "status": "ok"}
            self._send(messages.HEARTBEAT_ACK, body, message.id)
        elif message.type == messages.DISCONNECT:
            self._depart()
        else:
            raise BadMessage(f"unknown message type {message.type[:64]}")

    def _register(self, message: Envelope) -> None:
        if self._registering is not None:
            raise BadMessage("this connection has registered already")
        registration = messages.read_registration(message.body)
        if not self._grant.may_register(registration.device_id):
            raise Forbidden(f"the token does not allow to register as {registration.device_id}")
        self._timer.cancel()  # it came in time; how long the registry takes is not the device's fault
        self._registering = self._loop.create_task(self._finish_registration(registration, message.id))
        self._registering.add_done_callback(self._registered)

    async def _finish_registration(self, registration: Registration, message_id: MessageId | None) -> None:
        device = registration.device_id
        try:
            with self._devices.registering(device):
                given = await self._registry.register(registration, self._connection_id)
        except BrowserGoError as error:
            self._log.warning("registration refused", device=device, reason=error.code)
            self.close(error)
            return
        current = self._devices.get(device)
        if current is not None and current.epoch > given.epoch:
            self.close(StaleEpoch())  # a later registration was faster
        elif self._connection.is_open:
            took_over = given.HasField("replaced") and given.replaced.identity.instance_id != registration.instance_id
            self._acknowledge(self._adopt(registration, given), message_id, took_over=took_over)
        elif not self._devices.expects(device, given.epoch):  # else it was kept for a newer connection
            await self._release(device, given.epoch)

    def _acknowledge(self, session: Session, message_id: MessageId | None, *, took_over: bool) -> None:
        ack = Acknowledgement(
            session.device,
            session.state.value,
            session.epoch,
            int(self._config.heartbeat_interval_s * 1000),
            f"/v2/cdp/{session.device}",
            session.ticket,
            self._config.link_pool,
            int(self._config.resume_window_s * 1000),
            self._devices.traced,
            took_over,
        )
        self._send(messages.REGISTER_ACK, messages.acknowledgement_body(ack), message_id)
        self._watch_silence()

    def _registered(self, registering: "asyncio.Task[None]") -> None:
        """A fault of ours must not look like a registry that takes long."""
        if not registering.cancelled() and (fault := registering.exception()) is not None:
            self._log.error("a registration failed", exc_info=fault)
            self.close(BrowserGoError())

    def _adopt(self, registration: Registration, given: registry_pb2.RegisterResponse) -> Session:
        ticket = secrets.token_urlsafe(32)
        session = Session(registration, given.epoch, self._connection_id, ticket, self)
        self._state = next_state(self._state, Input.REGISTERED)
        self._devices.add(session)
        self._session = session
        return session

    def _depart(self) -> None:
        """The device says goodbye: its lease is given back at once. The close comes first: it is no error to tell."""
        self._connection.close(1000, DISCONNECT_REASON)
        if self._session is not None:
            self._devices.remove(self._session, DeviceLost(DISCONNECT_REASON))

    # --- silence -------------------------------------------------------------------------------------

    def _too_late(self) -> None:
        self.close(DeadlineExceeded(f"no {messages.REGISTER} within {REGISTER_WITHIN_S:g} s"))

    def _watch_silence(self) -> None:
        """Any byte on any of its connections is life; after 2.25 intervals without one the device is lost."""
        session = self._session
        if session is None:
            return
        allowed_s = LOST_AFTER_INTERVALS * self._config.heartbeat_interval_s
        silent_s = time.monotonic() - session.last_seen_s
        if silent_s >= allowed_s:
            self._devices.remove(session, DeviceLost("the device was silent for too long"))
            return
        self._timer = self._loop.call_later(allowed_s - silent_s + 0.05, self._watch_silence)

    # --- ends ----------------------------------------------------------------------------------------

    def close(self, error: BrowserGoError) -> None:
        """Tell the device why, and close."""
        if isinstance(error, TakenOver):
            self._send(messages.TAKEN_OVER, {"retryAfter": 60_000})
        else:
            body: dict[str, object] = {
                "error": error.code,
                "message": error.message,
                "connectionId": self._connection_id,
            }
            self._send(messages.ERROR, body)
        self._connection.close(error.close_code, error.close_reason)

    def drain(self, reason: str) -> None:
        """Ask the device to register elsewhere."""
        self._send(messages.DRAIN, {"reason": reason})

    def on_writable(self, writable: bool) -> None:
        """A few small messages a minute: nothing to hold back."""

    def on_closed(self, code: int, reason: str) -> None:
        """The device's control connection is over."""
        self._timer.cancel()
        session, self._session = self._session, None
        if session is None:
            return
        if self._devices.remove(session, DeviceLost("the control connection was lost")):
            self._log.info("device connection lost", device=session.device, close_code=code)

    async def _release(self, device: str, epoch: int) -> None:
        try:
            await self._registry.release(device, epoch)
        except BrowserGoError as error:
            self._log.warning("lease not released", device=device, reason=error.code)


def _now_ms() -> int:
    return int(time.time() * 1000)
