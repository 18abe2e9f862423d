"""Plain HTTP of a real edge: discovery of a device's browser, liveness, readiness, and what is not there."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from browsergo.core import tokens
from browsergo.core.errors import HandshakeRefused, ServiceUnavailable
from edge import clients
from edge import server as server_module
from tests.fakes.device_client import DeviceClient, EchoDevice, registration
from tests.fakes.edge_world import World, play, until
from tests.fakes.http_client import HttpAnswer, request
from tests.fakes.raw_peer import raw_connection
from tests.fakes.websocket_client import dial_socket

LAPTOP = "/v2/cdp/laptop"
VERSION = {"Browser": "Echo/1", "webSocketDebuggerUrl": "ws://localhost:9222/devtools/browser/4f0c"}
PAGE = {"id": "AB12", "type": "page", "webSocketDebuggerUrl": "ws://localhost:9222/devtools/page/AB12"}
PROTOCOL = {"version": {"major": "1", "minor": "3"}, "domains": []}


async def browser(world: World, device: str = "laptop") -> EchoDevice:
    """A device whose browser has the documents of discovery."""
    echo = await EchoDevice.start(world, registration(device))
    for path, document in (("version", VERSION), ("list", [PAGE]), ("protocol", PROTOCOL)):
        echo.documents[f"/json/{path}"] = (200, json.dumps(document).encode())
    return echo


async def ask(world: World, path: str, method: str = "GET", scope: str = "cdp:laptop:full") -> HttpAnswer:
    return await request(world.edge.address, path, method, Authorization=world.bearer(scope)["Authorization"])


# --- discovery ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_documents_are_those_of_the_browser_with_urls_that_lead_here(tmp_path: Path, slash: str) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        version = await ask(world, f"{LAPTOP}/json/version{slash}")
        assert version.status == 200
        assert version.header["content-type"].startswith("application/json")
        assert (version.header["x-content-type-options"], version.header["cache-control"]) == ("nosniff", "no-store")
        url = urlsplit(version.json()["webSocketDebuggerUrl"])
        assert (url.scheme, url.netloc, url.path) == (
            "ws", world.edge.authority, f"{LAPTOP}/devtools/browser/4f0c",
        )  # fmt: skip
        for path in ("/json/list", "/json"):
            [page] = (await ask(world, f"{LAPTOP}{path}{slash}")).json()
            assert urlsplit(page["webSocketDebuggerUrl"]).path == f"{LAPTOP}/devtools/page/AB12"
        assert (await ask(world, f"{LAPTOP}/json/protocol{slash}")).json() == PROTOCOL
        await echo.leave()

    play(tmp_path, scenario)


def test_the_ticket_in_a_url_opens_that_device_and_no_other_thing(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        devices = [await browser(world), await browser(world, "phone")]
        version = await ask(world, f"{LAPTOP}/json/version", scope="cdp:*:full")
        url = urlsplit(version.json()["webSocketDebuggerUrl"])
        client = await dial_socket(world.edge.address, f"{url.path}?{url.query}")
        assert (await client.call(1, "Fake.say"))["result"]["device"] == "laptop"
        [ticket] = parse_qs(url.query)["ticket"]
        again = await request(world.edge.address, f"{LAPTOP}/json/version?ticket={ticket}")
        assert again.status == 200
        for path, shown in (
            ("/v2/cdp/phone", {"Authorization": f"Bearer {ticket}"}),
            (f"/v2/cdp/phone?ticket={ticket}", {}),
            (f"/v2/control?ticket={ticket}", {}),
            ("/v2/control", {"Authorization": f"Bearer {ticket}"}),
            ("/v2/device", {"Authorization": f"Bearer {ticket}"}),
        ):
            with pytest.raises(HandshakeRefused) as refused:
                await dial_socket(world.edge.address, path, headers=shown)
            assert refused.value.status in {401, 403}, path
        assert (await request(world.edge.address, f"/v2/cdp/phone/json/version?ticket={ticket}")).status == 403
        for echo in devices:
            await echo.leave()

    play(tmp_path, scenario)


def test_a_ticket_ends_with_the_token_that_asked_and_after_an_hour_at_most(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        verifier = world.edge.parts.admission.verifier
        assert isinstance(verifier, tokens.Verifier)
        for ttl_s, expected_s in ((100, 100), (7 * 86_400, 3600)):
            authorization = world.bearer("cdp:laptop:full", ttl_s=ttl_s)["Authorization"]
            version = await request(world.edge.address, f"{LAPTOP}/json/version", Authorization=authorization)
            [ticket] = parse_qs(urlsplit(version.json()["webSocketDebuggerUrl"]).query)["ticket"]
            grant = verifier.verify(ticket, time.time())
            assert abs(grant.expires_unix_s - time.time() - expected_s) < 10
            assert (grant.subject, grant.scopes) == ("ticket:test", ("cdp:laptop:full",))
        await echo.leave()

    play(tmp_path, scenario)


def test_behind_a_public_url_the_documents_lead_there(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        authorization = world.bearer("cdp:laptop:full")["Authorization"]
        version = await request(
            world.edge.address, f"{LAPTOP}/json/version", Host="relay.example", Authorization=authorization
        )
        assert version.json()["webSocketDebuggerUrl"].startswith(f"wss://relay.example:8443{LAPTOP}/devtools/")
        await echo.leave()

    play(tmp_path, scenario, public_url="https://relay.example:8443", public_hosts=["Relay.Example"])


def test_without_auth_urls_carry_no_ticket_and_nobody_needs_one(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        version = await request(world.edge.address, f"{LAPTOP}/json/version")
        assert urlsplit(version.json()["webSocketDebuggerUrl"]).query == ""
        client = await dial_socket(world.edge.address, LAPTOP)
        assert (await client.call(1, "Fake.say"))["id"] == 1
        evil = await request(world.edge.address, f"{LAPTOP}/json/version", Host="evil.example")
        assert evil.status == 421
        await echo.leave()

    play(tmp_path, scenario, insecure_no_auth=True)


@pytest.mark.parametrize("method", ["get", "GeT", "HEAD", "head"])
def test_methods_are_understood_however_they_are_spelled(tmp_path: Path, method: str) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        answer = await ask(world, f"{LAPTOP}/json/version", method)
        assert answer.status == 200
        assert bool(answer.body) == (method.upper() == "GET")
        assert int(answer.header["content-length"]) > 0
        assert (await ask(world, "/healthz", method)).status == 200
        await echo.leave()

    play(tmp_path, scenario)


REFUSALS: list[tuple[str, str, dict[str, str], int, str]] = [
    ("GET", f"{LAPTOP}/json/version", {}, 401, "UNAUTHENTICATED"),
    ("GET", f"{LAPTOP}/json/version", {"Authorization": "Bearer x"}, 401, "UNAUTHENTICATED"),
    ("GET", f"{LAPTOP}/json/version", {"Host": "evil.example"}, 421, "BAD_HOST"),
    ("GET", f"{LAPTOP}/json/version", {"Host": "user@localhost"}, 421, "BAD_HOST"),
    ("GET", f"{LAPTOP}/json/version", {"Origin": "https://evil.example"}, 403, "BAD_ORIGIN"),
    ("GET", "/healthz", {"Host": "evil.example"}, 421, "BAD_HOST"),
    ("GET", "/readyz", {"Origin": "https://evil.example"}, 403, "BAD_ORIGIN"),
    ("GET", "/nowhere", {"Host": "evil.example"}, 421, "BAD_HOST"),
    ("GET", "/", {}, 404, "NOT_FOUND"),
    ("GET", "/nowhere", {}, 404, "NOT_FOUND"),
    ("GET", "/json/version", {}, 404, "NOT_FOUND"),
    ("GET", "/v2/device", {}, 426, "UPGRADE_REQUIRED"),
    ("GET", "/v2/control", {}, 426, "UPGRADE_REQUIRED"),
    ("GET", LAPTOP, {}, 426, "UPGRADE_REQUIRED"),
    ("GET", f"{LAPTOP}/devtools/page/A", {}, 426, "UPGRADE_REQUIRED"),
    ("GET", f"{LAPTOP}/JSON/version", {}, 404, "NOT_FOUND"),
    ("GET", f"{LAPTOP}//json/version", {}, 404, "NOT_FOUND"),
    ("GET", f"{LAPTOP}/json%2Fversion", {}, 404, "NOT_FOUND"),
    ("GET", "/v2/cdp/laptop%2fjson/version", {}, 404, "NOT_FOUND"),
    ("GET", f"{LAPTOP}\\json\\version", {}, 404, "NOT_FOUND"),
    ("GET", f"{LAPTOP}/json/version%00", {}, 404, "NOT_FOUND"),
    ("GET", f"{LAPTOP}/json/../../../healthz", {}, 401, "UNAUTHENTICATED"),
    ("GET", "http://localhost/healthz", {}, 404, "NOT_FOUND"),
    ("POST", "/healthz", {}, 405, "METHOD_NOT_ALLOWED"),
    ("DELETE", "/nowhere", {}, 405, "METHOD_NOT_ALLOWED"),
    ("OPTIONS", f"{LAPTOP}/json/version", {}, 405, "METHOD_NOT_ALLOWED"),
    ("BREW", f"{LAPTOP}/json/version", {}, 405, "METHOD_NOT_ALLOWED"),
]


def test_what_is_not_there_or_not_allowed_says_so(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        for method, path, header, status, code in REFUSALS:
            answer = await request(world.edge.address, path, method, None, **header)
            assert answer.status == status, (method, path)
            assert answer.text.startswith(f"{code}: "), (method, path)
        unauthenticated = await request(world.edge.address, f"{LAPTOP}/json/version")
        assert unauthenticated.header["www-authenticate"].startswith("Bearer")
        upgrade = await request(world.edge.address, "/v2/device")
        assert upgrade.header["upgrade"] == "websocket"

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("path", "scope", "status", "code"),
    [
        (f"{LAPTOP}/json/version", "cdp:phone:full", 403, "FORBIDDEN"),
        (f"{LAPTOP}/json/version", "cdp:laptop:observe", 403, "FORBIDDEN"),
        ("/v2/cdp/nobody/json/version", "cdp:*:full", 404, "DEVICE_NOT_FOUND"),
        ("/v2/cdp/any/json/version", "cdp:*:full", 400, "INVALID_DEVICE_ID"),
        ("/v2/cdp/no%20such/json/version", "cdp:*:full", 400, "INVALID_DEVICE_ID"),
        ("/v2/cdp/%2e%2e/json/version", "cdp:*:full", 400, "INVALID_DEVICE_ID"),
    ],
)
def test_a_document_of_a_device_that_is_not_yours_or_not_there_is_refused(
    tmp_path: Path, path: str, scope: str, status: int, code: str
) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        answer = await ask(world, path, scope=scope)
        assert (answer.status, answer.text.partition(":")[0]) == (status, code)
        await echo.leave()

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "hosts", [["Host: localhost", "Host: localhost"], ["Host: localhost", "Host: evil.example"], []]
)
@pytest.mark.parametrize("kind", ["http", "upgrade"])
def test_two_hosts_or_none_are_refused(tmp_path: Path, hosts: list[str], kind: str) -> None:
    async def scenario(world: World) -> None:
        upgrade = ["Upgrade: websocket", "Connection: Upgrade"] if kind == "upgrade" else []
        answer = await request(world.edge.address, "/healthz", "GET", [*hosts, *upgrade], Host="", Connection="")
        assert answer.status in {400, 421}

    play(tmp_path, scenario)


@pytest.mark.parametrize("host", ["[::1]:{port}", "LOCALHOST:{port}", "localhost.", "127.0.0.1"])
def test_our_own_names_are_served_in_any_spelling(tmp_path: Path, host: str) -> None:
    async def scenario(world: World) -> None:
        answer = await request(world.edge.address, "/healthz", Host=host.format(port=world.edge.address[1]))
        assert (answer.status, answer.json()["status"]) == (200, "ok")

    play(tmp_path, scenario)


# --- the device's part ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (200, b"<html>", 502, "BROWSER_UNAVAILABLE"),
        (200, b"[" * 100_000, 502, "BROWSER_UNAVAILABLE"),
        (200, b'{"webSocketDebuggerUrl": "ws://[broken"}', 200, ""),
        (500, b"oops", 502, "BROWSER_UNAVAILABLE"),
        (2**63, b"{}", 502, "BROWSER_UNAVAILABLE"),
        (503, b'{"error":"DEVICE_OFFLINE"}', 503, "SERVICE_UNAVAILABLE"),
    ],
    ids=range(6),
)
def test_a_browser_that_answers_oddly_is_named_as_the_one_at_fault(
    tmp_path: Path, status: int, body: bytes, expected: int, code: str
) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        echo.documents["/json/version"] = (status, body)
        answer = await ask(world, f"{LAPTOP}/json/version")
        assert answer.status == expected
        if code:
            assert answer.text.startswith(f"{code}: ")
            assert ("retry-after" in answer.header) == (expected == 503)
        await echo.leave()

    play(tmp_path, scenario)


def test_a_device_that_has_not_said_hello_is_a_503(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await DeviceClient.registered(world)
        answer = await ask(world, f"{LAPTOP}/json/version")
        assert (answer.status, answer.header.get("retry-after")) == (503, "1")

    play(tmp_path, scenario)


def test_a_device_that_never_answers_is_a_504_and_a_crowd_of_askers_a_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "FETCH_TIMEOUT_S", 0.5)
    monkeypatch.setattr(clients, "MAX_FETCHES", 2)

    async def scenario(world: World) -> None:
        await DeviceClient.active(world)  # it hears the question and says nothing
        answers = await asyncio.gather(*(ask(world, f"{LAPTOP}/json/version") for _ in range(3)))
        assert sorted((answer.status, answer.text.partition(":")[0]) for answer in answers) == [
            (503, "OVERLOADED"),
            (504, "DEADLINE"),
            (504, "DEADLINE"),
        ]

    play(tmp_path, scenario)


# --- health ---------------------------------------------------------------------------------------------------


def test_readiness_names_the_part_that_fails(tmp_path: Path) -> None:
    async def ready(world: World) -> Any:
        answer = await request(world.edge.address, "/readyz")
        assert (answer.status == 200) == (not answer.json()["failing"])
        return answer.json()["failing"]

    async def scenario(world: World) -> None:
        assert await ready(world) == {}
        world.control.failure = ServiceUnavailable("the disk is full")
        assert await ready(world) == {"control": "the disk is full"}
        world.control.failure = None
        await world.router.stop()
        await until(lambda: not world.edge.parts.trunks.live(), "the trunk is down")
        assert list(await ready(world)) == ["router"]
        assert (await request(world.edge.address, "/healthz")).status == 200
        await world.router.start()
        await until(lambda: bool(world.edge.parts.trunks.live()), "the trunk is up again")
        assert await ready(world) == {}

    play(tmp_path, scenario)


def test_readiness_names_a_registry_that_is_away(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        lonely = await world.add_edge("edge-9", registry=f"unix:{tmp_path / 'nobody.sock'}")
        answer = await request(lonely.address, "/readyz")
        assert (answer.status, list(answer.json()["failing"])) == (503, ["registry"])

    play(tmp_path, scenario)


# --- bad heads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come_is_not_waited_for(
    tmp_path: Path, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HEAD_TIMEOUT_S", 0.1)

    async def scenario(world: World) -> None:
        async with raw_connection(world.edge.address) as peer:
            peer.writer.write(sent)
            assert await peer.is_ended()

    play(tmp_path, scenario)


def test_the_second_request_of_a_connection_has_the_same_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HEAD_TIMEOUT_S", 0.2)

    async def scenario(world: World) -> None:
        async with raw_connection(world.edge.address) as peer:
            whole = f"GET /healthz HTTP/1.1\r\nHost: {world.edge.authority}\r\n\r\n".encode()
            peer.writer.write(whole)
            _, lines = await peer.read_head()
            await peer.reader.readexactly(int(dict(lines)["content-length"]))
            peer.writer.write(whole[:20])
            assert await peer.is_ended()

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"h" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"p" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
    ],
    ids=["TLS", "nonsense", "huge header", "huge path", "blank before the colon"],
)
def test_what_is_not_http_is_a_400_and_the_end_of_the_connection(tmp_path: Path, sent: bytes) -> None:
    async def scenario(world: World) -> None:
        async with raw_connection(world.edge.address) as peer:
            peer.writer.write(sent)
            peer.writer.write(b"\r\n\r\n")
            assert "400" in (await peer.read_head())[0]
            assert await peer.is_ended()
        assert (await request(world.edge.address, "/healthz")).status == 200

    play(tmp_path, scenario)
