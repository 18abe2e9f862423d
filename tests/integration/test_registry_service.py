"""The registry as a process of its own, over real gRPC on a unix socket."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browsergo.chassis.grpc_client import open_channel
from browsergo.chassis.grpc_errors import translated
from browsergo.core import errors
from browsergo.v2 import registry_pb2, registry_pb2_grpc, types_pb2
from tests.fakes import grpc_probe
from tests.fakes.devices import EDGE_1, EDGE_2, registration, renewal, renewals
from tests.fakes.otlp_sink import CollectedSpan, OtlpSink
from tests.fakes.parts import Part
from tests.fakes.stack import ROOT, clean_environment

if TYPE_CHECKING:  # it exists in the stubs only
    from browsergo.v2.registry_pb2_grpc import RegistryServiceAsyncStub

NAME = "browsergo.v2.RegistryService"
USAGE = 2
POLL_S = 0.02
EVENTUALLY_S = 10.0

Start = Callable[..., Part]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"unix:{tmp_path / 'registry.sock'}"


@pytest.fixture
def flags(tmp_path: Path, address: str) -> list[str]:
    return ["--listen", address, "--database", str(tmp_path / "state" / "registry.sqlite")]


@pytest.fixture
def start(flags: list[str]) -> Iterator[Start]:
    """Starts a registry with more flags and waits until it is ready; all of them are ended after the test."""
    parts: list[Part] = []

    def run(*more: str, environment: dict[str, str] | None = None) -> Part:
        part = Part("registry", ["services.registry", *flags, *more], environment or {})
        parts.append(part)
        part.wait_ready()
        return part

    yield run
    for part in parts:
        part.end()


def refused(flags: Sequence[str]) -> str:
    """What a registry prints that refuses to start."""
    done = subprocess.run(
        [sys.executable, "-m", "services.registry", *flags],
        cwd=ROOT,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == USAGE, done.stderr
    assert done.stdout == ""
    return done.stderr


@contextlib.asynccontextmanager
async def stub_at(address: str) -> "AsyncIterator[RegistryServiceAsyncStub]":
    async with open_channel(address) as channel:
        yield registry_pb2_grpc.RegistryServiceStub(channel)


def ask(address: str, method: str, request: Any) -> Any:
    """One call, one answer."""

    async def main() -> Any:
        async with stub_at(address) as stub:
            return await translated(getattr(stub, method)(request, timeout=EVENTUALLY_S))

    return asyncio.run(main())


def register(address: str, **what: Any) -> registry_pb2.RegisterResponse:
    response: registry_pb2.RegisterResponse = ask(address, "Register", registration(**what))
    return response


def resolve(address: str, device_id: str = "laptop") -> registry_pb2.ResolveResponse:
    response: registry_pb2.ResolveResponse = ask(address, "Resolve", registry_pb2.ResolveRequest(device_id=device_id))
    return response


def events(part: Part) -> list[str]:
    return [json.loads(line)["event"] for line in part.log]


def test_it_serves_says_so_and_ends_cleanly(start: Start, address: str, tmp_path: Path) -> None:
    registry = start()
    assert register(address).epoch == 1
    assert resolve(address).edge == EDGE_1
    assert registry.end() == 0
    assert events(registry) == ["ready", "device_registered", "stopped"]
    assert not (tmp_path / "registry.sock").exists()


def test_health_and_reflection_name_the_service(start: Start, address: str) -> None:
    start()

    async def main() -> tuple[int, set[str]]:
        async with open_channel(address) as channel:
            return await grpc_probe.health(channel, NAME), await grpc_probe.services(channel)

    status, services = asyncio.run(main())
    assert status == grpc_probe.SERVING
    assert {NAME, "grpc.health.v1.Health"} <= services


def test_after_a_kill_devices_are_taken_back_and_epochs_go_on(start: Start, address: str) -> None:
    first = start()
    laptop = [register(address, boot=boot) for boot in ("boot-1", "boot-2", "boot-3")][-1]
    phone = register(address, device_id="phone", edge=EDGE_2)
    first.send(signal.SIGKILL)
    assert first.end() == -signal.SIGKILL

    start()
    with pytest.raises(errors.DeviceOffline):
        resolve(address)
    stale = renewals(renewal(epoch=laptop.epoch - 1))
    assert list(ask(address, "Renew", stale).fenced_device_ids) == ["laptop"]
    fresh = renewals(renewal(epoch=laptop.epoch))
    assert list(ask(address, "Renew", fresh).fenced_device_ids) == []
    where = resolve(address)
    assert (where.edge, where.epoch, where.state) == (EDGE_1, 3, types_pb2.DEVICE_STATE_ACTIVE)
    assert register(address, boot="boot-4").epoch == laptop.epoch + 1
    assert register(address, device_id="phone", boot="boot-2").epoch == phone.epoch + 1


def test_one_client_connection_outlives_a_restart_of_the_registry(start: Start, address: str) -> None:
    first = start()

    async def main() -> list[int]:
        async with stub_at(address) as stub:
            before = await stub.Register(registration())
            await asyncio.to_thread(first.end)
            await asyncio.to_thread(start)
            after = await stub.Register(registration(boot="boot-2"), wait_for_ready=True, timeout=EVENTUALLY_S)
            return [before.epoch, after.epoch]

    assert asyncio.run(main()) == [1, 2]


def test_many_devices_can_register_at_once(start: Start, address: str) -> None:
    registry = start()
    devices = 300

    async def main() -> list[int]:
        async with stub_at(address) as stub:
            calls = (stub.Register(registration(f"device-{number}")) for number in range(devices))
            return [response.epoch for response in await asyncio.gather(*calls)]

    assert asyncio.run(main()) == [1] * devices
    registry.end()
    stopped = json.loads(registry.log[-1])
    assert stopped["epochs"] == devices
    assert stopped["commits"] <= devices


def test_a_second_registry_on_the_same_file_refuses_in_one_line(start: Start, tmp_path: Path, flags: list[str]) -> None:
    start()
    other = ["--listen", f"unix:{tmp_path / 'other.sock'}", *flags[2:]]
    line = refused(other)
    assert line.count("\n") == 1
    assert "is in use by another registry" in line


def test_the_file_is_free_again_when_its_registry_was_killed(start: Start) -> None:
    start().send(signal.SIGKILL)
    start()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--listen", "0.0.0.0:7000"], "is not loopback"),
        (["--conflict-policy", "maybe"], "conflict-policy:"),
        (["--lease-ttl-s", "0"], "lease-ttl-s:"),
        (["--no-such-flag", "1"], "no-such-flag"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(flags: list[str], change: list[str], words: str) -> None:
    assert words in refused([*flags, *change])


def test_the_policy_can_come_from_the_environment(start: Start, address: str) -> None:
    start(environment={"BROWSERGO_REGISTRY_CONFLICT_POLICY": "reject"})
    register(address)
    with pytest.raises(errors.DeviceConflict):
        register(address, instance="instance-b")


def test_a_lease_that_nobody_renews_ends_and_the_log_says_so(start: Start, address: str) -> None:
    registry = start("--lease-ttl-s", "0.2")
    register(address)
    deadline = time.monotonic() + EVENTUALLY_S
    while "device_lease_expired" not in events(registry):
        assert time.monotonic() < deadline, registry.text
        time.sleep(POLL_S)  # the log is the event
    with pytest.raises(errors.DeviceOffline):
        resolve(address)


def test_it_ends_although_a_caller_holds_its_connection_open(start: Start, address: str) -> None:
    registry = start()

    async def main() -> int:
        async with stub_at(address) as stub:
            await stub.Register(registration())
            return await asyncio.to_thread(registry.end)

    assert asyncio.run(main()) == 0


def test_a_registration_is_a_span_of_the_registry(start: Start, address: str) -> None:
    with OtlpSink() as sink:
        registry = start(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint})
        register(address)
        registry.end()

        def check(spans: list[CollectedSpan]) -> None:
            (span,) = [span for span in spans if span.name == "registry.register"]
            assert span.process == ("browsergo-registry", registry.pid)
            assert span.attributes["browsergo.device"] == "laptop"
            assert span.attributes["browsergo.verdict"] == "first"

        sink.wait_until(check, EVENTUALLY_S)
