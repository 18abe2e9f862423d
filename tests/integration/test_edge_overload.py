"""The overload ladder on real edges: every rung entered and left by the figure that the edge is given."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from browsergo.chassis.grpc_errors import translated
from browsergo.chassis.websocket import WRITE_HIGH_BYTES
from browsergo.core.channel.client_flow import NARROW
from browsergo.core.errors import HandshakeRefused
from browsergo.v2 import router_pb2
from edge import overload
from edge.core.overload import Rung
from tests.fakes.device_client import DeviceClient, EchoDevice, registration
from tests.fakes.edge_process import edge_process
from tests.fakes.edge_world import LocalEdge, World, play, router_service, until
from tests.fakes.http_client import HttpAnswer, request
from tests.fakes.raw_peer import raw_connection, upgrade_lines
from tests.fakes.websocket_client import Closed, Received, Socket, dial_socket

LIMIT_BYTES = 1000 << 20
PIECE = "x" * 100_000
FLOOD = 85  # pieces: a little more than the 8 MiB that a channel is sent ahead


class Scales:
    """Where an edge under test has its figure of memory from; it counts how often it was asked."""

    def __init__(self, edge: LocalEdge) -> None:
        self.share = 0.1
        self.samples = 0
        self.overload = edge.parts.overload
        self.overload.memory = self._weigh

    def _weigh(self) -> int:
        self.samples += 1
        return round(self.share * LIMIT_BYTES)

    async def show(self, share: float, rung: Rung) -> None:
        """Show so much; returns once the edge is on the rung that follows."""
        self.share = share
        await until(lambda: self.overload.rung is rung, f"rung {rung.word}")

    async def seen(self, times: int = 5) -> None:
        """Wait for so many further samples."""
        enough = self.samples + times
        await until(lambda: self.samples >= enough, "more samples")


@pytest.fixture(autouse=True)
def quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "SAMPLE_S", 0.01)


def play_weighed(folder: Path, scenario: Callable[[World, Scales], Awaitable[None]], **settings: Any) -> None:
    """Run a scenario on one edge whose memory is what its scales show; a busy test machine is no lag."""
    settings = {"memory_limit_bytes": LIMIT_BYTES, "overload_stay_s": 0.0, "overload_lag_s": 1000.0} | settings

    async def weighed(world: World) -> None:
        await scenario(world, Scales(world.edge))

    play(folder, weighed, **settings)


async def described(world: World) -> router_pb2.EdgeDescription:
    """What the edge says of itself to control."""
    edge = world.edge.parts.run_id
    command = router_pb2.CommandEdgeRequest(edge=edge, describe_edge=router_pb2.DescribeEdge())
    async with router_service(world.router) as stub:
        answer: router_pb2.CommandEdgeResponse = await translated(stub.CommandEdge(command, timeout=5))
    return answer.edge_description


async def refused_upgrade(world: World, path: str, scope: str) -> tuple[str, str, str]:
    """Status, Retry-After and code with which an upgrade is refused."""
    async with raw_connection(world.edge.address) as peer:
        peer.writer.write(upgrade_lines(world.edge.address, path, **world.bearer(scope)))
        first, lines = await peer.read_head()
        header = dict(lines)
        body = await peer.reader.readexactly(int(header["content-length"]))
    return first.split()[1], header["retry-after"], body.decode().partition(":")[0]


# --- the rungs ------------------------------------------------------------------------------------------------

LADDER = [
    (0.69, Rung.OK), (0.7, Rung.SAVING), (0.6, Rung.SAVING), (0.8, Rung.REFUSING), (0.7, Rung.REFUSING),
    (0.9, Rung.CLOSING), (0.8, Rung.CLOSING), (0.79, Rung.REFUSING), (0.69, Rung.SAVING), (0.59, Rung.OK),
]  # fmt: skip


def test_each_rung_is_entered_and_left_and_shown_everywhere(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        for share, rung in LADDER:
            await scales.show(share, rung)
            await scales.seen()
            assert scales.overload.rung is rung, share
            found = await described(world)
            assert (found.overload, found.memory_limit_bytes) == (rung.word, LIMIT_BYTES)
            assert found.memory_bytes == round(share * LIMIT_BYTES)
            ready = await request(world.edge.address, "/readyz")
            refuses = rung >= Rung.REFUSING
            assert (ready.status, ready.json()["overload"]) == (503 if refuses else 200, rung.word)
            assert list(ready.json()["failing"]) == (["overload"] if refuses else [])
            assert (await request(world.edge.address, "/healthz")).status == 200

    with capture_logs() as lines:
        play_weighed(tmp_path, scenario)
    said = [(line["was"], line["rung"], line["log_level"]) for line in lines if line["event"] == "overload"]
    assert said == [
        ("ok", "saving", "warning"), ("saving", "refusing", "warning"), ("refusing", "closing", "warning"),
        ("closing", "refusing", "info"), ("refusing", "saving", "info"), ("saving", "ok", "info"),
    ]  # fmt: skip


def test_a_rung_is_not_left_before_its_stay_is_over(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        assert world.edge.parts.overload.limits.stay_s == 0.4
        await scales.show(0.75, Rung.SAVING)
        entered = time.monotonic()
        await scales.show(0.0, Rung.OK)
        assert time.monotonic() - entered > 0.3

    play_weighed(tmp_path, scenario, overload_stay_s=0.4)


# --- saving ---------------------------------------------------------------------------------------------------


async def flood(client: Socket) -> list[int]:
    """The numbers of a whole flood, as they come."""
    return [(await client.receive_json())["params"]["n"] for _ in range(300)]


def test_saving_keeps_little_for_a_slow_client_and_loses_nothing(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        echo = await EchoDevice.start(world)
        slow, quick = await world.client(), await world.client()
        await scales.show(0.75, Rung.SAVING)
        for client in (slow, quick):  # its device end has been told of the narrow window before it gets a command
            assert (await client.call(7, "Fake.say"))["id"] == 7
        slow.connection.pause_reading()
        for number in range(300):
            echo.event("Fake.flooded", {"n": number, "filler": PIECE})
        assert await flood(quick) == list(range(300))
        assert (await quick.call(1, "Fake.say"))["id"] == 1
        most = max(world.edge.parts.clients.buffered_bytes().values())
        assert most < WRITE_HIGH_BYTES + 2 * (NARROW.size_bytes + len(PIECE))
        slow.connection.resume_reading()
        assert await flood(slow) == list(range(300))
        await scales.show(0.1, Rung.OK)
        for number in range(300):
            echo.event("Fake.flooded", {"n": number})
        assert await flood(slow) == await flood(quick) == list(range(300))
        await echo.leave()

    play_weighed(tmp_path, scenario)


# --- refusing -------------------------------------------------------------------------------------------------


def test_refusing_takes_nobody_new_and_leaves_everybody_else_alone(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        echo = await EchoDevice.start(world)
        echo.documents["/json/version"] = (200, b"{}")
        client = await world.client()
        await scales.show(0.85, Rung.REFUSING)
        assert await refused_upgrade(world, "/v2/cdp/laptop", "cdp:laptop:full") == ("503", "1", "OVERLOADED")
        assert await refused_upgrade(world, "/v2/device", "device:other") == ("503", "1", "OVERLOADED")
        assert await refused_upgrade(world, "/v2/device", "device:*") == ("503", "1", "OVERLOADED")
        version = await json_version(world)
        assert (version.status, version.header["retry-after"]) == (503, "1")
        assert version.text.startswith("OVERLOADED: ")
        assert (await client.call(1, "Fake.say"))["id"] == 1
        await (await echo.device.link()).socket.close()  # a device of ours may open what it was promised
        await (await world.operator()).close()
        await scales.show(0.1, Rung.OK)
        assert (await json_version(world)).status == 200
        assert (await (await world.client()).call(1, "Fake.say"))["id"] == 1
        await DeviceClient.registered(world, registration("other"))
        await echo.leave()

    play_weighed(tmp_path, scenario)


async def json_version(world: World) -> HttpAnswer:
    return await request(world.edge.address, "/v2/cdp/laptop/json/version", **world.bearer("cdp:laptop:full"))


def test_who_may_not_come_in_anyway_is_told_that_and_nothing_of_the_load(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        await scales.show(0.85, Rung.REFUSING)
        for path, scope, status in [("/v2/cdp/laptop", "cdp:other:full", 403), ("/v2/device", "control:read", 403)]:
            with pytest.raises(HandshakeRefused) as refused:
                await dial_socket(world.edge.address, path, headers=world.bearer(scope))
            assert refused.value.status == status

    play_weighed(tmp_path, scenario)


def test_a_device_that_was_here_just_now_is_not_new(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        echo = await EchoDevice.start(world)
        await scales.show(0.85, Rung.REFUSING)
        await echo.leave()
        await until(lambda: world.edge.parts.devices.get("laptop") is None, "it has left")
        assert await refused_upgrade(world, "/v2/device", "device:other") == ("503", "7", "OVERLOADED")
        back = await DeviceClient.connect(world, scope="device:laptop")
        await back.register()
        await back.control.close()

    play_weighed(tmp_path, scenario, overload_stay_s=7.0)


def test_a_device_whose_clients_wait_here_is_not_new(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        echo = await EchoDevice.start(world, edge=world.edges[1])
        waits = await world.client()
        await scales.show(0.85, Rung.REFUSING)
        back = await DeviceClient.connect(world, scope="device:laptop")
        await back.register()
        await waits.close()
        await until(lambda: not world.edge.parts.clients.channels, "nobody waits any more")
        await back.control.close()
        await echo.leave()

    play_weighed(tmp_path, scenario, edges=2)


# --- closing --------------------------------------------------------------------------------------------------


def test_closing_ends_the_channel_with_the_biggest_buffers_truthfully_and_no_other(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        echo = await EchoDevice.start(world)
        idle, big, quick = [await world.client() for _ in range(3)]
        for number in (1, 2):
            big.send_json({"id": number, "method": "Hold.answer", "params": {}})
        await until(lambda: len(echo.executed) == 2, "both commands are executed")
        big.connection.pause_reading()
        for number in range(300):
            echo.event("Fake.flooded", {"n": number, "filler": PIECE})
        assert await flood(quick) == await flood(idle) == list(range(300))
        await scales.show(0.95, Rung.CLOSING)
        await until(lambda: world.edge.parts.clients.channels == 2, "one channel has ended")
        big.connection.resume_reading()
        assert (await big.closed()).code == 4005
        said = [json.loads(found.payload) for found in big.pending() if isinstance(found, Received)]
        events = [message["params"]["n"] for message in said if "params" in message]
        assert events == list(range(len(events)))  # what was kept for it is told, then what was not saved
        errors = [message for message in said if "params" not in message]
        assert said[len(events) :] == errors
        assert [message["id"] for message in errors] == [1, 2]
        assert all("reason=OVERLOADED executed=unknown" in message["error"]["data"] for message in errors)
        await scales.seen(20)
        assert (await idle.call(1, "Fake.say"))["id"] == (await quick.call(1, "Fake.say"))["id"] == 1
        assert world.edge.parts.clients.channels == 2
        await echo.leave()

    with capture_logs() as lines:
        play_weighed(tmp_path, scenario)
    assert [line["reason"] for line in lines if line["event"] == "channel ended"] == ["OVERLOADED"]


def test_between_the_thresholds_nothing_more_is_closed_and_over_them_one_after_another(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        echo = await EchoDevice.start(world)
        clients = [await world.client() for _ in range(2)]
        await scales.show(0.95, Rung.CLOSING)
        await scales.seen(20)
        assert world.edge.parts.clients.channels == 2  # neither has anything in its buffers
        scales.share = 0.85
        for client in clients:
            client.connection.pause_reading()
        for number in range(300):
            echo.event("Fake.flooded", {"n": number, "filler": PIECE})
        await until(lambda: sizes(world)[0] > overload.LEAST_CLOSED_BYTES, "both have buffers")
        await scales.seen(20)
        assert (scales.overload.rung, world.edge.parts.clients.channels) == (Rung.CLOSING, 2)
        scales.share = 0.95
        await until(lambda: world.edge.parts.clients.channels == 0, "both have gone")
        for client in clients:
            client.connection.resume_reading()
            assert (await client.closed()).code == 4005
        await echo.leave()

    play_weighed(tmp_path, scenario)


def sizes(world: World) -> list[int]:
    """What is kept of each channel, least first."""
    return sorted(world.edge.parts.clients.buffered_bytes().values())


# --- where the figures come from ------------------------------------------------------------------------------


def test_an_event_loop_that_lags_is_overloaded_until_it_does_not(tmp_path: Path) -> None:
    async def scenario(world: World, scales: Scales) -> None:
        loop = asyncio.get_running_loop()
        busy = True

        def block() -> None:
            time.sleep(0.1)
            if busy:
                loop.call_soon(block)

        block()
        await until(lambda: scales.overload.rung > Rung.OK, "the lag is noticed")
        assert (await described(world)).loop_lag_ms >= 25
        busy = False
        await until(lambda: scales.overload.rung is Rung.OK, "it is over")

    play_weighed(tmp_path, scenario, overload_lag_s=0.05)


def test_a_process_measures_its_own_memory(tmp_path: Path) -> None:
    """An edge of gRPC and Python alone is above such a limit, so it climbs as far as it is heavy."""

    async def scenario(world: World) -> None:
        async with edge_process(world, tmp_path, "--memory-limit-bytes", str(64 << 20)) as edge:
            why = (await edge.until_failing("overload"))["overload"]
            assert why.startswith("overloaded: memory ")
            assert "of 64 MiB" in why
            with pytest.raises(HandshakeRefused) as refused:
                await dial_socket(edge.address, "/v2/cdp/laptop", headers=world.bearer("cdp:laptop:full"))
            assert "OVERLOADED" in refused.value.body

    play(tmp_path, scenario)


@pytest.mark.slow
def test_a_process_whose_clients_take_nothing_climbs_and_once_they_do_comes_all_the_way_down(tmp_path: Path) -> None:
    """No figure is injected here. Freed memory that the allocator kept would hold the edge on its rung for ever."""

    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        limits = ("--memory-limit-bytes", str(160 << 20), "--overload-stay-s", "0.5")
        async with edge_process(world, tmp_path, *limits) as edge:
            await edge.until_failing()
            headers = world.bearer("cdp:laptop:full")
            clients = [await dial_socket(edge.address, "/v2/cdp/laptop", headers=headers) for _ in range(32)]
            for client in clients:
                client.connection.pause_reading()
            for number in range(FLOOD):
                echo.event("Fake.flooded", {"n": number, "filler": PIECE})
            await until(lambda: "channel ended" in edge.part.text, "a channel is closed", 30.0)
            for client in clients:
                client.connection.resume_reading()
            await until(lambda: rungs(edge.part.log)[-1] == "ok", "it is down again", 30.0)
            assert rungs(edge.part.log)[:3] == ["saving", "refusing", "closing"]
            assert await fates_of(clients) == {"closed", "served"}
            assert (await dial_socket(edge.address, "/v2/cdp/laptop", headers=headers)).connection.is_open
        await echo.leave()

    play(tmp_path, scenario)


def rungs(log: list[str]) -> list[str]:
    """The rungs that a process says it went to."""
    return [line["rung"] for line in map(json.loads, log) if line["event"] == "overload"]


async def fates_of(clients: list[Socket]) -> set[str]:
    """What became of clients of a flood: closed for the load, or served whole; in order, in both cases."""
    fates = set()
    for client in clients:
        said, end = await everything(client, FLOOD)
        numbers = [json.loads(message.payload)["params"]["n"] for message in said]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) == FLOOD or (end is not None and end.code == 4005)
        fates.add("closed" if end is not None else "served")
    return fates


async def everything(client: Socket, messages: int) -> tuple[list[Received], Closed | None]:
    """What came until so many messages are there, or the connection is over, and how it ended."""
    arrived: list[Received | Closed] = []

    def is_all() -> bool:
        arrived.extend(client.pending())
        return len(arrived) >= messages or any(isinstance(each, Closed) for each in arrived)

    await until(is_all, "all messages, or the end")
    ends = [each for each in arrived if isinstance(each, Closed)]
    return [each for each in arrived if isinstance(each, Received)], ends[0] if ends else None
