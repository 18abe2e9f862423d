"""A relay in this process and on loopback: the real registry, routers and edges; control answers as told.

One world a test, inside its own event loop, so that a test can reach into every part and change its constants.
"""

import asyncio
import contextlib
import functools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvloop
from grpc import aio

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_server import serving
from browsergo.chassis.membership import Membership
from browsergo.chassis.process import Stop
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv, tokens
from browsergo.v2 import control_pb2_grpc, router_pb2_grpc
from deploy.embedded import carriers_around
from edge.__main__ import CarrierTo, Edge
from edge.config import EdgeConfig
from edge.grpc_carrier import GrpcCarrier
from edge.server import listening_socket
from services.registry.core.conflicts import Policy
from services.router.__main__ import member, register, resolving
from services.router.messages import Messages
from services.router.switchboard import Switchboard
from tests.fakes import served
from tests.fakes.clock import HandClock
from tests.fakes.control_service import FakeControl
from tests.fakes.epochs import MemoryEpochs
from tests.fakes.registry_service import MEMBER_TTL_S, registry_address, registry_over
from tests.fakes.websocket_client import Address, Socket, dial_socket

T = TypeVar("T")

PATIENCE_S = 10.0
SCENARIO_S = 60.0
POLL_S = 0.005


async def until(is_so: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Poll, for states that give nobody an event."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(POLL_S)


class LocalRouter:
    """A router: the real servicers. It can be stopped and started again at the same address.

    `joins`: it tells the registry of itself.
    """

    def __init__(self, folder: Path, router_id: str, joins: bool = False) -> None:
        self.router_id = router_id
        self._registry = registry_address(folder)
        self._joins = joins
        self._leaving = asyncio.Event()
        self._membership: asyncio.Task[None] | None = None
        self._messages: asyncio.Task[None]
        self.address = f"unix:{folder / router_id}.sock"
        self.board: Switchboard
        self._running = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Serve."""
        telemetry = Telemetry(semconv.SERVICE_ROUTER, self.router_id)
        self._running.push_async_callback(asyncio.to_thread, telemetry.shutdown)
        board = self.board = Switchboard(self.router_id, telemetry, structlog.get_logger())
        registry = await self._running.enter_async_context(open_channel(self._registry))
        messages = Messages(board, resolving(registry), telemetry, structlog.get_logger())
        self._messages = asyncio.create_task(messages.run())
        serve = serving([self.address], functools.partial(register, board, messages), Stop(), grace_s=0.1)
        await self._running.enter_async_context(serve)
        if self._joins:
            self._join(registry)

    async def stop(self) -> None:
        """As on SIGTERM: it leaves the registry, the trunks end, then the server."""
        self._leaving.set()
        if self._membership is not None:
            await asyncio.gather(self._membership, return_exceptions=True)
        await self.cut()

    async def cut(self) -> None:
        """It is gone, and the registry is not told."""
        self.forget_registry()
        self.board.drain()
        self._messages.cancel()
        await asyncio.gather(self._messages, return_exceptions=True)
        await self._running.aclose()

    def forget_registry(self) -> None:
        """Its lease is not renewed any more."""
        if self._membership is not None:
            self._membership.cancel()

    def _join(self, registry: aio.Channel) -> None:
        self._leaving.clear()
        membership = Membership(registry, member(self.router_id, self.address), structlog.get_logger())
        self._membership = asyncio.create_task(membership.hold_until(self._leaving))

    def edges(self) -> set[str]:
        """The edges that have a trunk here."""
        return {trunk.edge.edge_id for trunk in self.board.trunks}


@contextlib.asynccontextmanager
async def router_service(router: LocalRouter) -> AsyncIterator[Any]:
    """What other services ask of a router."""
    async with open_channel(router.address) as channel:
        yield router_pb2_grpc.RouterServiceStub(channel)


class LocalEdge:
    """An edge, wired as its process wires it, but for signals."""

    def __init__(self, config: EdgeConfig, carrier_to: CarrierTo = GrpcCarrier) -> None:
        self.config = config
        has_origin = config.device_origin_port is not None
        self._listeners = [listening_socket("127.0.0.1", 0, None) for _ in range(1 + has_origin)]
        self.address: Address = self._listeners[0].getsockname()[:2]
        self.device_origin_address: Address = self._listeners[-1].getsockname()[:2]
        origin_port = self.device_origin_address[1] if has_origin else 0
        self.parts = Edge(config, structlog.get_logger(), origin_port, carrier_to)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def boot(self) -> int:
        """Its address on trunks."""
        return self.parts.run_id.boot

    @property
    def authority(self) -> str:
        """HOST:PORT."""
        return f"{self.address[0]}:{self.address[1]}"

    async def start(self) -> None:
        """Serve, without waiting for the trunks."""
        parts = self.parts
        for server, listener in zip(parts.servers, self._listeners, strict=True):
            await served.start(server, listener)
        work = (
            parts.trunks.run(parts.bridge),
            parts.clients.keep_time(),
            parts.leases.run(),
            parts.placement.run(),
            parts.overload.run(),
            parts.follow_routers(),
            parts.membership.hold_until(asyncio.Event()),
        )
        self._tasks = [asyncio.create_task(each) for each in work]

    async def stop(self) -> None:
        """End it; an error that ended any of its tasks is raised here."""
        for server in self.parts.servers:
            await served.stop(server)
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome
        await asyncio.gather(self.parts.registry.close(), self.parts.control.close())
        await asyncio.to_thread(self.parts.telemetry.shutdown)


class World:
    """What a scenario can reach."""

    def __init__(self, folder: Path, control: FakeControl, epochs: MemoryEpochs) -> None:
        self._folder = folder
        self.control = control
        self.epochs = epochs
        self.registry: Any  # its stub
        self.start_registry: Callable[[], Awaitable[None]]
        self.stop_registry: Callable[[], Awaitable[None]]
        self.routers: list[LocalRouter] = []
        self.edges: list[LocalEdge] = []
        self._key_pem = tokens.new_key_pem()
        self.key_path = folder / "signing.pem"
        self.key_path.write_bytes(self._key_pem)
        self._open = contextlib.AsyncExitStack()

    @property
    def edge(self) -> LocalEdge:
        """The first edge."""
        return self.edges[0]

    @property
    def router(self) -> LocalRouter:
        """The first router."""
        return self.routers[0]

    async def add_router(self, router_id: str, joins: bool = False) -> LocalRouter:
        """One more router; edges made later know it, and those that are here too if it `joins`."""
        router = LocalRouter(self._folder, router_id, joins)
        await router.start()
        self.routers.append(router)
        self._open.push_async_callback(router.stop)
        return router

    async def add_edge(self, edge_id: str, within: LocalRouter | None = None, **settings: Any) -> LocalEdge:
        """One more edge, with its trunks up; `within` is the router whose process it shares."""
        config: dict[str, Any] = {
            "edge_id": edge_id,
            "registry": registry_address(self._folder),
            "routers": [router.address for router in self.routers],
            "control": f"unix:{self._folder / 'control.sock'}",
            "signing_key": self.key_path,
            "drain_s": 1.0,
        }
        carrier_to = GrpcCarrier if within is None else carriers_around(within.board, within.address)
        edge = LocalEdge(EdgeConfig(**config | settings), carrier_to)
        await edge.start()
        self.edges.append(edge)
        self._open.push_async_callback(edge.stop)
        await until(lambda: len(edge.parts.trunks.live()) == len(self.routers), "the trunks of a new edge")
        return edge

    def token(self, *scopes: str, age_s: int = 0, ttl_s: int = 3600, subject: str = "test") -> str:
        """A token of this relay."""
        return tokens.mint(
            tokens.load_key(self._key_pem),
            subject=subject,
            scopes=scopes,
            now_unix_s=int(time.time()) - age_s,
            ttl_s=ttl_s,
            token_id=uuid.uuid4().hex,
        )

    def bearer(self, *scopes: str, ttl_s: int = 3600) -> dict[str, str]:
        """The header line that carries such a token."""
        return {"Authorization": f"Bearer {self.token(*scopes, ttl_s=ttl_s)}"}

    async def client(self, device: str = "laptop", endpoint: str = "", edge: LocalEdge | None = None) -> Socket:
        """A CDP client of a device. Raises HandshakeRefused."""
        at = edge or self.edge
        path = f"/v2/cdp/{device}{endpoint}"
        client = await dial_socket(at.address, path, headers=self.bearer(f"cdp:{device}:full"))
        self._open.callback(client.connection.abort)  # uvloop does not close with a transport that is not read
        return client

    async def operator(self, *scopes: str, edge: LocalEdge | None = None) -> Socket:
        """An operator, past the status that comes first."""
        at = edge or self.edge
        operator = await dial_socket(at.address, "/v2/control", headers=self.bearer(*(scopes or ("control:read",))))
        assert (await operator.receive_json())["type"] == "control:status"
        return operator

    async def close(self) -> None:
        """End everything, last started first."""
        await self._open.aclose()


@contextlib.asynccontextmanager
async def world_in(
    folder: Path,
    *,
    edges: int = 1,
    routers: int = 1,
    policy: Policy = Policy.TAKEOVER,
    member_ttl_s: float = MEMBER_TTL_S,
    **settings: Any,
) -> AsyncIterator[World]:
    """A relay of so many routers and edges; `settings` are those of every edge."""
    control, epochs = FakeControl(), MemoryEpochs()

    def register(server: aio.Server) -> list[str]:
        control_pb2_grpc.add_ControlServiceServicer_to_server(control, server)
        return []

    async with (
        contextlib.AsyncExitStack() as registry_serving,
        serving([f"unix:{folder / 'control.sock'}"], register, Stop(), grace_s=0.1),
    ):
        world = World(folder, control, epochs)

        async def start_registry() -> None:
            registry = registry_over(epochs, HandClock(), folder, policy, member_ttl_s)
            world.registry = await registry_serving.enter_async_context(registry)

        world.start_registry, world.stop_registry = start_registry, registry_serving.aclose
        await start_registry()
        try:
            for number in range(routers):
                await world.add_router(f"router-{number + 1}")
            for number in range(edges):
                await world.add_edge(f"edge-{number + 1}", **settings)
            yield world
        finally:
            await world.close()


def play(folder: Path, scenario: Callable[[World], Awaitable[T]], **what: Any) -> T:
    """Run a scenario in a fresh world, on the event loop that the processes run on."""

    async def main() -> T:
        async with asyncio.timeout(SCENARIO_S), world_in(folder, **what) as world:
            return await scenario(world)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def play_router(folder: Path, scenario: Callable[[LocalRouter], Awaitable[None]]) -> None:
    """Run a scenario with one router and nothing else."""

    async def main() -> None:
        router = LocalRouter(folder, "router-1")
        async with asyncio.timeout(SCENARIO_S):
            await router.start()
            try:
                await scenario(router)
            finally:
                await router.stop()

    asyncio.run(main())
