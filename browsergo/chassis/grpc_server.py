"""A gRPC server with health, reflection, our keepalive, and an end that drains.

Addresses are `host:port` or `unix:/path`. Without mTLS (which is still to come) only loopback
addresses and unix sockets in a private folder are served.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from grpc import aio
from grpc_health.v1 import _async as health_aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from browsergo.chassis.config import ConfigError
from browsergo.chassis.process import Stop, is_loopback

# A client that pings every 10 s must not be taken for an attacker ("Too many pings"), and a cut must
# be noticed in 15 s; gRPC's default allows one ping in 5 minutes. gRPC ignores names it does not know: the constant
# GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS is spelled without `recv`.
SERVER_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", 8 << 20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),  # as in grpc_client.CLIENT_OPTIONS
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.so_reuseport", 0),
]


def check_address(address: str) -> None:
    """Raise ConfigError unless `address` may be served in the clear."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if len(os.fsencode(path)) > 107:
            raise ConfigError(f"listen: {path} is too long for a unix socket (107 bytes at most)")
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ConfigError(f"listen: {address!r} is neither host:port nor unix:/path")
    if not is_loopback(host):
        raise ConfigError(f"listen: {address} is not loopback; without mTLS only loopback or unix: is served")


class GrpcServer:
    """What `serving` hands out: the bound addresses and the health switch."""

    def __init__(self, server: aio.Server, health_servicer: health_aio.HealthServicer, services: Sequence[str]) -> None:
        self.server = server
        self.addresses: list[str] = []
        self._health = health_servicer
        self._services = ("", *services)
        self._pending: set[asyncio.Task[None]] = set()

    async def set_serving(self, serving: bool) -> None:
        """Say SERVING or NOT_SERVING for every service."""
        status = health_pb2.HealthCheckResponse
        for name in self._services:
            await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    def stop_serving_now(self) -> None:
        """For Stop.on_request: NOT_SERVING as soon as the loop turns."""
        task = asyncio.get_running_loop().create_task(self.set_serving(False))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)


@contextlib.asynccontextmanager
async def serving(
    addresses: Sequence[str],
    register: Callable[[aio.Server], Sequence[str]],
    stop: Stop,
    grace_s: float = 2.0,
) -> AsyncIterator[GrpcServer]:
    """Serve while the block runs; `register` adds servicers and returns their full service names.

    Leaving the block lets RPCs in flight finish for `grace_s`. Raises ConfigError for an address
    that cannot be bound.
    """
    for address in addresses:
        check_address(address)
    server = aio.server(options=SERVER_OPTIONS)
    health_servicer = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = [*register(server), health.SERVICE_NAME]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    handle = GrpcServer(server, health_servicer, names)
    for address in addresses:
        handle.addresses.append(_bind(server, address))
    await server.start()
    await handle.set_serving(True)
    stop.on_request(handle.stop_serving_now)
    try:
        yield handle
    finally:
        await handle.set_serving(False)
        await server.stop(grace_s)
        for address in addresses:
            if address.startswith("unix:"):
                Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _bind(server: aio.Server, address: str) -> str:
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(f"listen: {address} cannot be bound; is it in use?") from error
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
