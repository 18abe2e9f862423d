"""Opening handshakes of the edge over real sockets: what the gate decides, and what it never gets to see."""

import asyncio
import logging

import pytest

from browsergo.core.errors import (
    BadHost,
    BrowserGoError,
    DeviceOffline,
    Draining,
    Forbidden,
    RateLimited,
    Unauthenticated,
)
from edge import upgrade as upgrade_module
from edge.upgrade import Upgrade
from tests.fakes.gates import Echo, refused, refusing, served
from tests.fakes.loops import ON_BOTH_LOOPS, Loop
from tests.fakes.raw_peer import TEXT, TIMEOUT_S, raw_connection, raw_frame, upgrade_lines
from tests.fakes.websocket_client import dial_socket

pytestmark = ON_BOTH_LOOPS


def test_the_subprotocol_that_the_gate_names_is_echoed_and_no_other(loop: Loop) -> None:
    async def scenario() -> None:
        for named in ("browsergo.device.v2", None):
            async with served(Echo().accepting(named)) as at:
                offered = ["bearer.token", "browsergo.device.v2"]
                socket = await dial_socket(at.address, "/", subprotocols=offered)
                assert socket.connection.subprotocol == named
                await socket.close()

    loop.run(scenario)


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (Unauthenticated("get one"), 401, {"www-authenticate": 'Bearer realm="browser-go"'}),
        (Forbidden("no"), 403, {}),
        (BadHost("elsewhere"), 421, {}),
        (DeviceOffline("größer"), 503, {"retry-after": "1"}),
        (Draining("bye", retry_after_s=7), 503, {"retry-after": "7"}),
        (RateLimited("slowly", retry_after_s=3), 429, {"retry-after": "3"}),
    ],
)
def test_a_refusal_is_plain_http_that_says_why(
    loop: Loop, error: BrowserGoError, status: int, header: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with served(refusing(error)) as at:
            answer = await refused(at.address)
            assert (answer.status, answer.body) == (status, f"{error.code}: {error.message}\n")
            assert header.items() <= answer.header.items()
            assert answer.header["connection"] == "close"

    loop.run(scenario)


def test_a_refusal_reaches_a_peer_that_already_sent_more(loop: Loop) -> None:
    async def scenario() -> None:
        async with served(refusing(Forbidden("no"))) as at:
            behind = raw_frame(TEXT, b"impatient", masked=True)
            assert (await refused(at.address, behind)).body == "FORBIDDEN: no\n"

    loop.run(scenario)


def test_a_gate_that_fails_is_a_500_that_says_nothing_of_it(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: Upgrade) -> None:
        raise KeyError("secret")

    async def scenario() -> None:
        async with served(broken) as at:
            answer = await refused(at.address)
            assert answer.status == 500
            assert "secret" not in answer.body

    with caplog.at_level(logging.ERROR, "browsergo.edge"):
        loop.run(scenario)
    assert "the gate failed" in caplog.text


def test_a_gate_that_takes_too_long_is_a_503(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade_module, "HANDSHAKE_TIMEOUT_S", 0.05)

    async def stuck(_: Upgrade) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with served(stuck) as at:
            answer = await refused(at.address)
            assert (answer.status, answer.header["retry-after"]) == (503, "1")

    loop.run(scenario)


def test_a_peer_that_leaves_meanwhile_ends_the_gates_work(loop: Loop) -> None:
    async def scenario() -> None:
        asked, cancelled, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(upgrade: Upgrade) -> None:
            upgrade.on_gone(gone.set)
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with served(slow) as at, asyncio.timeout(TIMEOUT_S):
            async with raw_connection(at.address) as peer:
                peer.writer.write(upgrade_lines(at.address, "/"))
                await asked.wait()
            await cancelled.wait()
            await gone.wait()
            assert not at.server.server_state.connections

    loop.run(scenario)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Sec_WebSocket_Version": "12"}, 400),
        ({"Sec_WebSocket_Version": ""}, 400),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Key": ""}, 400),
        ({"X_Long": "x" * 9_000}, 431),
    ],
)
def test_what_is_no_valid_upgrade_is_refused_also_when_the_gate_would_accept(
    loop: Loop, header: dict[str, str], status: int
) -> None:
    async def scenario() -> None:
        async with served(Echo().accepting()) as at:
            assert (await refused(at.address, b"", **header)).status == status

    loop.run(scenario)


@pytest.mark.parametrize(
    ("method", "version", "status"),
    [("POST", "1.1", 405), ("PUT", "1.1", 405), ("GET", "1.0", 505), ("get", "1.1", 101)],
)
def test_an_upgrade_is_a_get_over_http_1_1(loop: Loop, method: str, version: str, status: int) -> None:
    async def scenario() -> None:
        async with served(Echo().accepting()) as at, raw_connection(at.address) as peer:
            head = upgrade_lines(at.address, "/").replace(b"GET / HTTP/1.1", f"{method} / HTTP/{version}".encode())
            peer.writer.write(head)
            first, _ = await peer.read_head()
            assert first.split()[1] == str(status)

    loop.run(scenario)


def test_a_request_that_came_in_two_pieces_is_one(loop: Loop) -> None:
    async def scenario() -> None:
        async with served(Echo().accepting()) as at, raw_connection(at.address) as peer:
            head = upgrade_lines(at.address, "/")
            peer.writer.write(head[:40])
            await asyncio.sleep(0.02)
            peer.writer.write(head[40:] + raw_frame(TEXT, b"hi", masked=True))
            assert (await peer.read_head())[0].startswith("HTTP/1.1 101")
            assert (await peer.receive()).payload == b"hi"

    loop.run(scenario)
