"""gRPC as this system uses it: keepalive that both sides permit, safe addresses, errors that keep their code."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
from grpc import StatusCode, aio

from browsergo.chassis.config import ConfigError
from browsergo.chassis.grpc_client import CLIENT_OPTIONS, open_channel
from browsergo.chassis.grpc_errors import DETAIL_KEY, from_rpc, translated
from browsergo.chassis.grpc_server import SERVER_OPTIONS, check_address, serving
from browsergo.chassis.process import Stop
from browsergo.core import errors
from browsergo.v2 import control_pb2, control_pb2_grpc
from tests.fakes import grpc_probe
from tests.fakes.control_service import FakeControl

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP2_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
HTTP2_PING = b"\0\0\10\6\0\0\0\0\0" + b"arethere"
HTTP2_PONG = b"\0\0\10\6\1\0\0\0\0" + b"arethere"

CLIENT, SERVER = dict(CLIENT_OPTIONS), dict(SERVER_OPTIONS)


def test_a_client_pings_every_ten_seconds_also_when_idle_and_goes_through_no_proxy() -> None:
    assert CLIENT["grpc.keepalive_time_ms"] == 10_000
    assert CLIENT["grpc.keepalive_timeout_ms"] == 5_000
    assert CLIENT["grpc.keepalive_permit_without_calls"] == 1
    assert CLIENT["grpc.http2.max_pings_without_data"] == 0
    assert CLIENT["grpc.enable_http_proxy"] == 0


def test_a_server_permits_these_pings_and_sends_its_own() -> None:
    """With gRPC's defaults it would answer the third one with "Too many pings" and end every trunk."""
    assert SERVER["grpc.http2.min_ping_interval_without_data_ms"] <= CLIENT["grpc.keepalive_time_ms"] / 2
    assert SERVER["grpc.http2.max_pings_without_data"] == 0
    assert SERVER["grpc.keepalive_permit_without_calls"] == 1
    assert SERVER["grpc.keepalive_time_ms"] == 10_000
    assert SERVER["grpc.keepalive_timeout_ms"] == 5_000


def test_a_silent_cut_is_seen_also_while_a_ping_of_the_library_itself_is_out() -> None:
    """A keepalive ping rides on that one, which has a minute unless it is told otherwise."""
    assert CLIENT["grpc.http2.ping_timeout_ms"] == CLIENT["grpc.keepalive_timeout_ms"]
    assert SERVER["grpc.http2.ping_timeout_ms"] == SERVER["grpc.keepalive_timeout_ms"]


@pytest.mark.parametrize("name", sorted(CLIENT | SERVER))
def test_every_option_is_one_that_the_library_knows(name: str) -> None:
    """gRPC takes an unknown option without a word, so a misspelled one is as good as none."""
    library = importlib.util.find_spec("grpc._cython.cygrpc")
    assert library is not None
    assert library.origin is not None
    known = name.encode() + b"\0" in Path(library.origin).read_bytes()
    assert known


@pytest.mark.slow
def test_pings_at_the_pace_that_is_permitted_are_answered_for_as_long_as_they_come() -> None:
    pace_s = SERVER["grpc.http2.min_ping_interval_without_data_ms"] / 1000 + 0.5

    async def ping() -> None:
        async with serving(["127.0.0.1:0"], lambda _: [], Stop()) as server, asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(*server.addresses[0].split(":"))
            writer.write(HTTP2_PREFACE + HTTP2_SETTINGS)
            for _ in range(5):  # two that come too fast are forgiven, the third ends the connection
                await asyncio.sleep(pace_s)
                writer.write(HTTP2_PING)
                await reader.readuntil(HTTP2_PONG)
            writer.close()

    asyncio.run(ping())


def test_both_sides_take_messages_of_the_same_size() -> None:
    for name in ("grpc.max_receive_message_length", "grpc.max_send_message_length"):
        assert CLIENT[name] == SERVER[name] == 8 << 20


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "localhost:7401", "[::1]:7401", "127.8.9.1:1", "unix:/run/x.sock", "unix:" + "x" * 107]
)
def test_addresses_that_only_this_machine_reaches_may_be_served(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0:7401",
        "[::]:7401",
        "192.168.1.2:7401",
        "example.org:1",
        ":7401",
        "7401",
        "",
        "localhost:",
        "unix:" + "x" * 108,
    ],
)
def test_other_addresses_are_refused_with_a_reason(address: str) -> None:
    with pytest.raises(ConfigError, match="listen: "):
        check_address(address)


async def call(folder: Path, failing: FakeControl, stop: Stop | None = None) -> None:
    def register(server: aio.Server) -> list[str]:
        control_pb2_grpc.add_ControlServiceServicer_to_server(failing, server)
        return ["browsergo.v2.ControlService"]

    address = f"unix:{folder / 'c.sock'}"
    async with serving([address], register, stop or Stop(), grace_s=0.1), open_channel(address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        await translated(stub.GetStatus(control_pb2.GetControlStatusRequest(), timeout=5))


@pytest.mark.parametrize("cls", list(dict.fromkeys(errors.BY_CODE.values())))
def test_every_error_crosses_grpc_with_its_class_and_words(tmp_path: Path, cls: type[errors.BrowserGoError]) -> None:
    failing = FakeControl()
    failing.failure = cls("these words, größer")
    with pytest.raises(errors.BrowserGoError) as raised:
        asyncio.run(call(tmp_path, failing))
    assert (raised.value.code, raised.value.message) == (cls.code, "these words, größer")


def test_nobody_there_is_a_service_that_is_unavailable(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_channel(f"unix:{tmp_path / 'nobody.sock'}") as channel:
            stub = control_pb2_grpc.ControlServiceStub(channel)
            await translated(stub.GetStatus(control_pb2.GetControlStatusRequest(), timeout=5))

    with pytest.raises(errors.ServiceUnavailable):
        asyncio.run(scenario())


def rpc_error(code: StatusCode, detail: bytes | None = None) -> aio.AioRpcError:
    trailing = aio.Metadata() if detail is None else aio.Metadata((DETAIL_KEY, detail))
    return aio.AioRpcError(code, aio.Metadata(), trailing, "words", "")


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (StatusCode.UNAVAILABLE, errors.ServiceUnavailable),
        (StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (StatusCode.CANCELLED, errors.ServiceUnavailable),
        (StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (StatusCode.PERMISSION_DENIED, errors.Forbidden),
        (StatusCode.UNKNOWN, errors.BrowserGoError),
    ],
)
def test_without_a_detail_the_status_says_what_it_was(status: StatusCode, cls: type[errors.BrowserGoError]) -> None:
    found = from_rpc(rpc_error(status))
    assert type(found) is cls
    assert "words" in found.message


def test_a_detail_that_cannot_be_read_does_not_hide_the_status() -> None:
    assert type(from_rpc(rpc_error(StatusCode.UNAVAILABLE, b"\xff\xff\xff"))) is errors.ServiceUnavailable


def test_health_says_not_serving_as_soon_as_the_end_is_asked_for(tmp_path: Path) -> None:
    name = "browsergo.v2.ControlService"

    async def scenario() -> None:
        stop = Stop()
        address = f"unix:{tmp_path / 'h.sock'}"

        def register(server: aio.Server) -> list[str]:
            control_pb2_grpc.add_ControlServiceServicer_to_server(FakeControl(), server)
            return [name]

        async with serving([address], register, stop) as served, open_channel(address) as channel:
            assert served.addresses == [address]
            assert await grpc_probe.health(channel, name) == grpc_probe.SERVING
            assert await grpc_probe.health(channel, "") == grpc_probe.SERVING
            assert name in await grpc_probe.services(channel)
            stop.signal()
            assert await grpc_probe.health(channel, name) != grpc_probe.SERVING
        assert not (tmp_path / "h.sock").exists()

    asyncio.run(scenario())


def test_an_address_in_use_is_refused_in_one_line() -> None:
    async def scenario() -> None:
        async with serving(["127.0.0.1:0"], lambda _: [], Stop(), grace_s=0) as served:
            with pytest.raises(ConfigError, match="cannot be bound"):
                async with serving(served.addresses, lambda _: [], Stop(), grace_s=0):
                    pass

    asyncio.run(scenario())
