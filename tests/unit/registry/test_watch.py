"""Watch, seen by its callers over gRPC: a snapshot, then every change; who comes back is told what was missed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browsergo.chassis.grpc_errors import translated
from browsergo.v2 import registry_pb2, types_pb2
from services.registry import watch
from tests.fakes.clock import HandClock
from tests.fakes.devices import EDGE_1, EDGE_2, registration, renewal, renewals
from tests.fakes.epochs import MemoryEpochs
from tests.fakes.registry_service import registry_over

if TYPE_CHECKING:  # it exists in the stubs only
    import pytest

    from browsergo.v2.registry_pb2_grpc import RegistryServiceAsyncStub

PATIENCE_S = 10.0
Scenario = Callable[["Watched"], Awaitable[None]]


class Watcher:
    """One watch, read response by response."""

    def __init__(self, responses: AsyncIterator[registry_pb2.WatchResponse]) -> None:
        self._responses = responses

    async def next(self) -> registry_pb2.WatchResponse:
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self._responses)

    async def routes(self) -> list[tuple[str, int, int, str]]:
        """The next response's routes: device, boot of its edge, epoch, state."""
        return [
            (route.device_id, route.edge.boot, route.epoch, types_pb2.DeviceState.Name(route.state)[13:])
            for route in (await self.next()).routes
        ]


class Watched:
    """A registry with a clock moved by hand."""

    def __init__(self, stub: "RegistryServiceAsyncStub") -> None:
        self.stub = stub

    async def register(self, device: str = "laptop", **what: Any) -> None:
        await translated(self.stub.Register(registration(device, **what)))

    def watch(self, generation: int = 0, revision: int = 0) -> Watcher:
        request = registry_pb2.WatchRequest(generation=generation, revision=revision)
        return Watcher(aiter(self.stub.Watch(request)))


def play(folder: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with registry_over(MemoryEpochs(), HandClock(), folder) as stub:
            await scenario(Watched(stub))

    asyncio.run(main())


def test_a_watcher_is_told_what_is_there_then_each_change(tmp_path: Path) -> None:
    async def scenario(registry: Watched) -> None:
        await registry.register()
        watcher = registry.watch()
        snapshot = await watcher.next()
        assert snapshot.begins_snapshot
        assert [(route.device_id, route.edge) for route in snapshot.routes] == [("laptop", EDGE_1)]
        await registry.register("phone", edge=EDGE_2)
        assert await watcher.routes() == [("phone", EDGE_2.boot, 1, "REGISTERED")]
        await translated(registry.stub.Renew(renewals(renewal(epoch=1))))
        assert await watcher.routes() == [("laptop", EDGE_1.boot, 1, "ACTIVE")]
        await registry.register("laptop", boot="boot-2", edge=EDGE_2)
        assert await watcher.routes() == [("laptop", EDGE_2.boot, 2, "REGISTERED")]
        await translated(registry.stub.Release(registry_pb2.ReleaseRequest(device_id="phone", epoch=1)))
        assert await watcher.routes() == [("phone", 0, 0, "UNSPECIFIED")]

    play(tmp_path, scenario)


def test_a_renewal_that_changes_nothing_is_no_change(tmp_path: Path) -> None:
    async def scenario(registry: Watched) -> None:
        await registry.register()
        watcher = registry.watch()
        revision = (await watcher.next()).revision
        for _ in range(3):
            active = renewal(epoch=1, last_seen_unix_ms=5)
            await translated(registry.stub.Renew(renewals(active)))
        assert (await watcher.next()).revision == revision + 1
        await registry.register("phone")
        assert (await watcher.next()).revision == revision + 2

    play(tmp_path, scenario)


def test_who_comes_back_is_told_what_was_missed_and_nothing_else(tmp_path: Path) -> None:
    async def scenario(registry: Watched) -> None:
        for device in ("a", "b", "c"):
            await registry.register(device)
        seen = await registry.watch().next()
        await translated(registry.stub.Release(registry_pb2.ReleaseRequest(device_id="b", epoch=1)))
        await registry.register("d")
        back = await registry.watch(seen.generation, seen.revision).next()
        assert not back.begins_snapshot
        assert [(route.device_id, route.edge.boot) for route in back.routes] == [("b", 0), ("d", EDGE_1.boot)]

    play(tmp_path, scenario)


def test_the_revision_of_another_run_or_of_no_run_begins_anew(tmp_path: Path) -> None:
    async def scenario(registry: Watched) -> None:
        await registry.register()
        seen = await registry.watch().next()
        for generation, revision in (
            (seen.generation + 2, seen.revision),
            (seen.generation, seen.revision + 1),
            (0, 0),
        ):
            anew = await registry.watch(generation, revision).next()
            assert anew.begins_snapshot, (generation, revision)
            assert [route.device_id for route in anew.routes] == ["laptop"]

    play(tmp_path, scenario)


def test_an_empty_registry_says_so_at_once(tmp_path: Path) -> None:
    async def scenario(registry: Watched) -> None:
        first = await registry.watch().next()
        assert (first.begins_snapshot, list(first.routes)) == (True, [])
        assert first.generation > 0

    play(tmp_path, scenario)


def test_many_devices_come_in_parts_of_which_the_last_has_the_revision(
    tmp_path: Path, monkeypatch: "pytest.MonkeyPatch"
) -> None:
    monkeypatch.setattr(watch, "PART", 2)

    async def scenario(registry: Watched) -> None:
        for number in range(5):
            await registry.register(f"device-{number}")
        watcher = registry.watch()
        parts = [await watcher.next() for _ in range(3)]
        assert [len(part.routes) for part in parts] == [2, 2, 1]
        assert [part.begins_snapshot for part in parts] == [True, False, False]
        assert [part.revision for part in parts] == [0, 0, 5]
        back = registry.watch(parts[-1].generation, 1)
        missed = [await back.next() for _ in range(2)]
        assert [part.revision for part in missed] == [3, 5]

    play(tmp_path, scenario)


def test_a_slow_watcher_is_told_the_last_change_of_each_device(tmp_path: Path) -> None:
    async def scenario(registry: Watched) -> None:
        slow = registry.watch()
        seen = await slow.next()
        for boot in range(20):
            await registry.register(boot=f"boot-{boot}")
        told = [await slow.next()]
        while told[-1].revision < seen.revision + 20:
            told.append(await slow.next())
        assert told[-1].routes[-1].epoch == 20
        late = await registry.watch(seen.generation, seen.revision).next()
        assert [route.epoch for route in late.routes] == [20]

    play(tmp_path, scenario)
