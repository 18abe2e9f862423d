"""`python -m edge`: one edge process."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import browsergo
from browsergo.chassis.config import ConfigError, load_or_exit, refuse
from browsergo.chassis.following import Follower
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.logs import configure_logs
from browsergo.chassis.membership import Membership, watch_routers
from browsergo.chassis.process import Stop, new_boot, run
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv, tokens
from browsergo.core.channel.client_state import ClientLimits
from browsergo.core.errors import BrowserGoError
from browsergo.v2 import membership_pb2, types_pb2
from edge.admin import EdgeAdmin
from edge.bridge import Bridge
from edge.clients import Clients
from edge.config import EdgeConfig
from edge.core.admission import Admission
from edge.core.forwarding import TrustedProxies
from edge.core.origins import Addresses
from edge.device_origin import ByHost, DeviceOrigin
from edge.devices import Devices
from edge.discovery import Discovery
from edge.drain import Drain
from edge.gate import EdgeGate, Parts
from edge.grpc_carrier import GrpcCarrier
from edge.leases import Leases
from edge.overload import Overload, limits_of
from edge.placement import Placement
from edge.server import EdgeServer, http_protocol, listening_socket, make_server
from edge.stubs import ControlStub, RegistryStub
from edge.tickets import Tickets
from edge.trunks import Carrier, Trunks

PING_TIMEOUT_S = 2.0
HEALTH_GRACE_S = 0.2  # for answers to probes; whoever watches has been told

CarrierTo = Callable[[str, types_pb2.EdgeRun], Carrier]


class Edge:
    """Everything of one edge process, wired in one place."""

    def __init__(
        self,
        config: EdgeConfig,
        log: structlog.typing.FilteringBoundLogger,
        device_origin_port: int = 0,
        carrier_to: CarrierTo = GrpcCarrier,
    ) -> None:
        """`device_origin_port` is where the device origin's own listener is; 0: it has none.

        `carrier_to` makes the way to the router at an address.
        """
        self.config = config
        self.log = log
        self.run_id = types_pb2.EdgeRun(edge_id=config.edge_id, boot=new_boot())
        self.telemetry = Telemetry(semconv.SERVICE_EDGE, config.edge_id)
        key = read_key(config)
        self.admission = Admission(
            None if config.insecure_no_auth or key is None else tokens.Verifier(key.public_key()),
            _served_hosts(config),
            frozenset(config.allowed_origins),
            config.url_tokens,
            TrustedProxies(config.trusted_proxies),
        )
        addresses = Addresses(config.public_url, config.device_origin_url, device_origin_port)
        self.registry = RegistryStub(config.registry, self.run_id)
        self.control = ControlStub(config.control)
        self.trunks = Trunks(config.routers, lambda address: carrier_to(address, self.run_id), log)
        self.routers = Follower(partial(watch_routers, self.registry.channel), "routers", log)
        self.membership = Membership(self.registry.channel, _member(self.run_id), log)
        self.bridge = Bridge(self.run_id.boot, self.trunks, self.telemetry, log)
        limits = ClientLimits(resume_window_s=config.resume_window_s, command_deadline_s=config.command_deadline_s)
        self.devices = Devices(self.bridge, log)
        self.placement = Placement(self.registry, self.devices.placed, log)
        self.clients = Clients(self.bridge, config.edge_id, self.placement, limits, log)
        self.overload = Overload(limits_of(config), self.clients, log)
        self.leases = Leases(self.devices, self.registry, self.run_id, config.lease_renewal_s, log)
        self.gate = EdgeGate(
            Parts(
                config,
                self.admission,
                addresses,
                self.clients,
                self.devices,
                self.registry,
                self.control,
                self.overload,
            ),
            log,
        )
        admin = EdgeAdmin(
            self.run_id, self.clients, self.devices, self.gate.counts, self.overload, config.insecure_no_auth
        )
        self.bridge.connect(self.clients, self.devices, admin)
        tickets = Tickets(None if self.admission.verifier is None else key)
        discovery = Discovery(self.clients, self.admission, tickets, addresses, self.overload, self.failing).app()
        device_origin = DeviceOrigin(self.clients, self.admission, addresses).app()
        size = config.max_client_message_bytes
        by_host = ByHost(discovery, device_origin, self.admission, addresses)
        self.server = make_server(by_host, http_protocol(self.gate, size))
        self.device_origin_server = (
            make_server(device_origin, http_protocol(self.gate.at_device_origin, size)) if device_origin_port else None
        )

    @property
    def servers(self) -> list[EdgeServer]:
        """All that listen."""
        return [self.server, *([self.device_origin_server] if self.device_origin_server is not None else [])]

    async def failing(self) -> Mapping[str, str]:
        """For /readyz: the parts that fail, with why."""
        registry, control = await asyncio.gather(_failure(self.registry.ping()), _failure(self.control.status()))
        found = {"registry": registry, "control": control, "overload": self.overload.refusal}
        if not self.trunks.live():
            found["router"] = "; ".join(trunk.last_error for trunk in self.trunks) or "no router is known"
        return {name: why for name, why in found.items() if why}

    async def follow_routers(self) -> None:
        """Have a trunk to every router that the registry tells; until cancelled."""
        await self.routers.run(lambda: self.trunks.told(self.routers.view))

    async def drain(self, stop: Stop) -> None:
        """Nothing new; devices go elsewhere; clients may finish for `drain_s`, or until a second signal."""
        self.gate.draining = True
        for server in self.servers:
            server.stop_accepting()
        drain = Drain(self.clients, self.devices, self.config, lambda: self.gate.counts()["cdp"], self.log)
        await drain.run(stop.forced)


def _member(edge: types_pb2.EdgeRun) -> membership_pb2.Member:
    kind = membership_pb2.MEMBER_KIND_EDGE
    return membership_pb2.Member(kind=kind, id=edge.edge_id, boot=edge.boot, version=browsergo.__version__)


def _served_hosts(config: EdgeConfig) -> frozenset[str]:
    device_origin = urlsplit(config.device_origin_url).hostname
    names = [*config.public_hosts, *([device_origin] if device_origin else [])]
    return frozenset(name.lower() for name in names)


def read_key(config: EdgeConfig) -> Ed25519PrivateKey | None:
    """The signing key. Raises ConfigError; never says what is in the file."""
    if config.signing_key is None:
        return None
    try:
        return tokens.load_key(config.signing_key.read_bytes())
    except OSError as error:
        raise ConfigError(f"signing-key: {config.signing_key}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"signing-key: {config.signing_key} holds no Ed25519 private key (PEM)") from None


async def _failure(call: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(PING_TIMEOUT_S):
            await call
    except BrowserGoError as error:
        return error.message
    except TimeoutError:
        return "no answer"
    return ""


def _device_origin_socket(config: EdgeConfig) -> socket.socket | None:
    if config.device_origin_fd is None and config.device_origin_port is None:
        return None
    return listening_socket(
        config.host, config.device_origin_port or 0, config.device_origin_fd, flag="--device-origin-port"
    )


async def _serve_all(servers: list[EdgeServer], listeners: list[socket.socket]) -> None:
    """Until they are told to exit, or one of them fails."""
    async with asyncio.TaskGroup() as group:
        for server, listener in zip(servers, listeners, strict=True):
            group.create_task(server.serve(sockets=[listener]))


async def serve(config: EdgeConfig, stop: Stop, carrier_to: CarrierTo = GrpcCarrier) -> None:
    """Serve until asked to stop, then drain; NOT_SERVING from the first moment of it."""
    async with serving(config.health, lambda _: [], stop, HEALTH_GRACE_S) if config.health else nullcontext():
        await _serve(config, stop, carrier_to)


async def _serve(config: EdgeConfig, stop: Stop, carrier_to: CarrierTo) -> None:
    log = configure_logs(semconv.SERVICE_EDGE, config.edge_id, config.log_level, config.log_format)
    listener = listening_socket(config.host, config.port, config.fd)
    origin_listener = _device_origin_socket(config)
    edge = Edge(config, log, origin_listener.getsockname()[1] if origin_listener is not None else 0, carrier_to)
    background: list[asyncio.Task[None]] = [
        asyncio.create_task(edge.trunks.run(edge.bridge)),
        asyncio.create_task(edge.clients.keep_time()),
        asyncio.create_task(edge.leases.run()),
        asyncio.create_task(edge.registry.watch(edge.devices.changed.set)),
        asyncio.create_task(edge.placement.run()),
        asyncio.create_task(edge.overload.run()),
        asyncio.create_task(edge.follow_routers()),
    ]
    membership = asyncio.create_task(edge.membership.hold_until(stop.requested))
    listeners = [listener, *([origin_listener] if origin_listener is not None else [])]
    listening = asyncio.create_task(_serve_all(edge.servers, listeners))
    stopping: asyncio.Task[Any] = asyncio.create_task(stop.requested.wait())
    log.info("ready", address=listener.getsockname()[:2], boot=f"{edge.run_id.boot:016x}")
    try:
        await asyncio.wait({listening, stopping, membership, *background}, return_when=asyncio.FIRST_COMPLETED)
        if stop.requested.is_set():
            log.info("stopping", channels=edge.clients.channels, devices=len(edge.devices))
            await edge.drain(stop)
            for server in edge.servers:
                server.should_exit = True
            await listening
            await membership
            await edge.leases.renew()
        for task in (listening, membership, *background):
            if task.done():
                task.result()
    except BrowserGoError as error:
        log.warning("stopped without releasing all leases", reason=error.code)
    finally:
        for task in (listening, stopping, membership, *background):
            task.cancel()
        await asyncio.gather(listening, stopping, membership, *background, return_exceptions=True)
        await asyncio.gather(edge.registry.close(), edge.control.close())
        edge.telemetry.shutdown()


def main() -> None:
    """Entry point."""
    config = load_or_exit(EdgeConfig)
    try:
        run(lambda stop: serve(config, stop))
    except ConfigError as error:
        refuse(config.section, str(error))


if __name__ == "__main__":
    main()
