"""Decides about every WebSocket upgrade: where it leads, and whether it may."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from browsergo.core import device_messages
from browsergo.core.channel.frames import MAX_LINK_MESSAGE_BYTES
from browsergo.core.errors import BrowserGoError, Draining, NoSuchEndpoint, Unauthenticated
from browsergo.core.tokens import Grant
from edge import control_socket, device_socket
from edge.cdp_socket import CdpSocket
from edge.clients import Clients
from edge.config import EdgeConfig
from edge.control_socket import ControlSocket
from edge.core import control_protocol
from edge.core.admission import Admission, Knock, require_cdp, require_control, require_device
from edge.core.endpoints import Endpoint, Purpose, is_page, websocket_endpoint
from edge.core.origins import Addresses
from edge.device_socket import DeviceSocket
from edge.devices import Devices
from edge.link_socket import LinkSocket
from edge.overload import Overload
from edge.stubs import ControlStub, RegistryStub
from edge.upgrade import Upgrade

Pass = Callable[[Upgrade, Knock], Awaitable[None]]


@dataclass(slots=True)
class Parts:
    """What lies behind the gate."""

    config: EdgeConfig
    admission: Admission
    addresses: Addresses
    clients: Clients
    devices: Devices
    registry: RegistryStub
    control: ControlStub
    overload: Overload


class EdgeGate:
    """The gate of one edge. Order: Host, Origin, path, token, scope, then what the path needs."""

    def __init__(self, parts: Parts, log: structlog.typing.FilteringBoundLogger) -> None:
        self._parts = parts
        self._log = log
        self._open: dict[Upgrade, Purpose] = {}
        self.draining = False
        self.refused: Counter[str] = Counter()

    def counts(self) -> dict[str, int]:
        """Open sockets by purpose."""
        found = Counter(purpose.value for purpose in self._open.values())
        return {purpose.value: found[purpose.value] for purpose in Purpose}

    async def __call__(self, upgrade: Upgrade) -> None:
        """Accept or refuse one upgrade at the edge's own port."""
        knock = self._knock(upgrade)
        here = self._pass_page if self._parts.addresses.shares_port(knock.arrival) else self._pass
        await self._decide(upgrade, knock, here)

    async def at_device_origin(self, upgrade: Upgrade) -> None:
        """Accept or refuse one upgrade at the device origin's own port."""
        await self._decide(upgrade, self._knock(upgrade), self._pass_page)

    def _knock(self, upgrade: Upgrade) -> Knock:
        return upgrade.knock(self._parts.admission.arrival(upgrade.direct, upgrade.request.headers.get_all))

    async def _decide(self, upgrade: Upgrade, knock: Knock, pass_on: Pass) -> None:
        try:
            if self.draining:
                raise Draining(retry_after_s=1)
            await pass_on(upgrade, knock)
        except BrowserGoError as error:
            self.refused[error.code] += 1
            self._log.info("upgrade refused", reason=error.code, peer=knock.arrival.peer)
            upgrade.refuse(error)

    async def _pass_page(self, upgrade: Upgrade, knock: Knock) -> None:
        """At the device origin: pages of devices' browsers, for whom has a ticket, and nothing else."""
        parts = self._parts
        parts.admission.check_device_origin(knock, parts.addresses)
        endpoint = websocket_endpoint(upgrade.target.path)
        if endpoint is None or not is_page(endpoint):
            raise NoSuchEndpoint("the device origin serves pages of devices' browsers only")
        knock = replace(knock, authorization=None, subprotocols=(), url_token=None)
        grant = parts.admission.grant(knock, time.time())
        self._count(upgrade, endpoint)
        await self._open_channel(upgrade, endpoint, grant)

    async def _pass(self, upgrade: Upgrade, knock: Knock) -> None:
        parts = self._parts
        parts.admission.check_source(knock)
        endpoint = websocket_endpoint(upgrade.target.path)
        if endpoint is not None and device_messages.LINK_SUBPROTOCOL in knock.subprotocols:
            self._link(upgrade, endpoint, knock)
            return
        if endpoint is None or endpoint.purpose is not Purpose.CDP:
            knock = replace(knock, url_token=None, url_ticket=None)  # only CDP clients can give nothing but a URL
        grant = parts.admission.grant(knock, time.time())
        if endpoint is None:
            raise NoSuchEndpoint
        self._count(upgrade, endpoint)
        if endpoint.purpose is Purpose.CDP:
            await self._open_channel(upgrade, endpoint, grant)
        elif endpoint.purpose is Purpose.DEVICE:
            require_device(grant)
            if not self._comes_back(grant):
                parts.overload.check_newcomer()
            device = DeviceSocket(upgrade, grant, parts.devices, parts.registry, parts.config, self._log)
            ours = _echoed(knock.subprotocols, device_messages.SUBPROTOCOL)
            if upgrade.accept(device, ours, max_message_bytes=device_socket.MESSAGE_BYTES):
                device.start()
        else:
            require_control(grant, "control:read")
            operator = ControlSocket(upgrade, grant, parts.control, self._log)
            ours = _echoed(knock.subprotocols, control_protocol.SUBPROTOCOL)
            if upgrade.accept(operator, ours, max_message_bytes=control_socket.MESSAGE_BYTES):
                operator.start()

    def _count(self, upgrade: Upgrade, endpoint: Endpoint) -> None:
        self._open[upgrade] = endpoint.purpose
        upgrade.on_gone(lambda: self._open.pop(upgrade, None))

    def _comes_back(self, grant: Grant) -> bool:
        """Whether the token is for a device that was here within the resume window, or whose clients wait here."""
        parts, prefix = self._parts, "device:"
        names = [scope.removeprefix(prefix) for scope in grant.scopes if scope.startswith(prefix)]
        window_s = parts.config.resume_window_s
        return any(parts.devices.knows(name, window_s) or parts.clients.serves(name) for name in names)

    async def _open_channel(self, upgrade: Upgrade, endpoint: Endpoint, grant: Grant) -> None:
        require_cdp(grant, endpoint.device)
        self._parts.overload.check_newcomer()
        socket = CdpSocket(self._parts.clients, upgrade)
        await socket.open(endpoint.device, endpoint.target)
        socket.expire_at(grant.session_expires_unix_s)

    def _link(self, upgrade: Upgrade, endpoint: Endpoint, knock: Knock) -> None:
        """A data connection needs the ticket of its device's register ack, and nothing else."""
        ticket = _ticket(knock)
        session = self._parts.devices.by_ticket(endpoint.device, ticket) if ticket else None
        if session is None:
            raise Unauthenticated("this link ticket is not valid here; register on /v2/device first")
        if len(session.links) >= self._parts.config.link_pool:
            raise Draining(f"the pool of this device is full ({self._parts.config.link_pool})")
        link = LinkSocket(self._parts.devices, self._parts.clients.bridge, session, upgrade)
        if upgrade.accept(link, device_messages.LINK_SUBPROTOCOL, max_message_bytes=MAX_LINK_MESSAGE_BYTES):
            link.start()


def _echoed(offered: tuple[str, ...], ours: str) -> str | None:
    """The subprotocol to answer with: ours if it was offered, never the one that carries a token."""
    return ours if ours in offered else None


def _ticket(knock: Knock) -> str | None:
    if knock.authorization is not None:
        return knock.authorization.partition(" ")[2].strip()
    prefix = device_messages.TICKET_PREFIX
    return next((name.removeprefix(prefix) for name in knock.subprotocols if name.startswith(prefix)), None)
