"""The edge behind a proxy, and its device origin: by a port of its own, and by a host name of its own."""

import asyncio
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from browsergo.core.errors import HandshakeRefused
from browsergo.core.tokens import Grant
from tests.fakes.device_client import EchoDevice
from tests.fakes.edge_world import World, play
from tests.fakes.http_client import HttpAnswer, request
from tests.fakes.websocket_client import Socket, dial_socket
from tests.integration.test_edge_http import LAPTOP, PAGE, ask, browser

FILE, FILE_BODY = "/devtools/inspector.html", b"<!doctype html><script src='./x.js'></script>"
DEVICES = "devices.example"
FRONTED_PAGE = PAGE | {"devtoolsFrontendUrl": "/devtools/inspector.html?ws=localhost:9222/devtools/page/AB12"}
BY_HOST = {"device_origin_url": f"https://{DEVICES}", "trusted_proxies": ["127.0.0.0/8"]}
THROUGH_PROXY = {"X_Forwarded_Proto": "https"}


async def fronted(world: World, page: dict[str, str] | None = None) -> EchoDevice:
    """A device whose browser has a front end of one file."""
    echo = await browser(world)
    echo.documents["/json/new?about:blank"] = echo.documents["/json/list"] = (200, _json(page or FRONTED_PAGE))
    echo.documents[FILE] = (200, FILE_BODY)
    echo.documents["/devtools/gone.js"] = (200, b"")
    echo.documents["/devtools/odd.bin"] = (200, b"\0")
    echo.documents["/devtools/broken.js"] = (500, b"oh")
    return echo


def _json(page: dict[str, str]) -> bytes:
    text = ", ".join(f'"{name}": "{value}"' for name, value in page.items())
    return f"[{{{text}}}]".encode()


async def frontend_url(world: World, **header: str) -> str:
    """What a client is told, that came with these headers."""
    bearer = world.bearer("cdp:laptop:full")["Authorization"]
    answer = await request(world.edge.address, f"{LAPTOP}/json/list", Authorization=bearer, **header)
    url: str = answer.json()[0]["devtoolsFrontendUrl"]
    return url


async def fetched(world: World, url: str, **header: str) -> HttpAnswer:
    """GET a URL of the device origin, at the socket that serves it."""
    parts = urlsplit(url)
    return await request(world.edge.device_origin_address, parts.path, Host=parts.netloc, **header)


async def dialed(world: World, url: str, **headers: str) -> Socket:
    """Open the WebSocket that a front end's URL tells its page to dial."""
    parts = urlsplit(url)
    told = (parse_qs(parts.query).get("ws") or parse_qs(parts.query)["wss"])[0]
    authority, _, path = told.partition("/")
    assert authority == parts.netloc
    return await dial_socket(world.edge.device_origin_address, f"/{path}", headers={"Host": authority, **headers})


# --- behind a proxy -------------------------------------------------------------------------------------------------


def test_documents_lead_back_through_the_proxy_that_the_client_came_by(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        bearer = world.bearer("cdp:laptop:full")["Authorization"]
        said = {"X_Forwarded_Host": "relay.example", "X_Forwarded_Proto": "https", "X_Forwarded_For": "192.0.2.7"}
        version = await request(world.edge.address, f"{LAPTOP}/json/version", Authorization=bearer, **said)
        assert version.json()["webSocketDebuggerUrl"].startswith(f"wss://relay.example{LAPTOP}/devtools/browser/")
        await echo.leave()

    play(tmp_path, scenario, trusted_proxies=["127.0.0.1"], public_hosts=["relay.example"])


def test_a_stranger_is_not_believed_and_a_proxy_only_about_hosts_that_are_served(tmp_path: Path) -> None:
    async def untrusting(world: World) -> None:
        echo = await browser(world)
        bearer = world.bearer("cdp:laptop:full")["Authorization"]
        said = {"X_Forwarded_Host": "relay.example", "X_Forwarded_Proto": "https"}
        version = await request(world.edge.address, f"{LAPTOP}/json/version", Authorization=bearer, **said)
        assert version.json()["webSocketDebuggerUrl"].startswith(f"ws://{world.edge.authority}/")
        await echo.leave()

    async def trusting(world: World) -> None:
        answer = await request(world.edge.address, "/healthz", X_Forwarded_Host="evil.example")
        assert (answer.status, answer.text.startswith("BAD_HOST")) == (421, True)
        headers = {**world.bearer("cdp:laptop:full"), "X-Forwarded-Host": "evil.example"}
        with pytest.raises(HandshakeRefused) as refused:
            await dial_socket(world.edge.address, LAPTOP, headers=headers)
        assert refused.value.status == 421

    (tmp_path / "trusting").mkdir()
    play(tmp_path, untrusting, public_hosts=["relay.example"])
    play(tmp_path / "trusting", trusting, trusted_proxies=["127.0.0.1"])


# --- the device origin ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_host", [False, True])
def test_a_front_end_is_served_with_its_own_rules_and_dials_its_own_origin(tmp_path: Path, by_host: bool) -> None:
    async def scenario(world: World) -> None:
        echo = await fronted(world)
        came = THROUGH_PROXY if by_host else {}
        url = await frontend_url(world, **came)
        origin = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
        expected = f"https://{DEVICES}" if by_host else f"http://127.0.0.1:{world.edge.device_origin_address[1]}"
        assert origin == expected
        answer = await fetched(world, url, **came)
        assert (answer.status, answer.body) == (200, FILE_BODY)
        assert answer.header["content-type"].startswith("text/html")
        assert answer.header["x-content-type-options"] == "nosniff"
        assert answer.header["referrer-policy"] == "no-referrer"
        assert "default-src 'self'" in answer.header["content-security-policy"]
        headers = {"X-Forwarded-Proto": "https"} if by_host else {}
        client = await dialed(world, url, Origin=origin, **headers)
        assert (await client.call(1, "Fake.say"))["result"]["device"] == "laptop"
        await client.close()
        for foreign in ("http://evil.example", f"http://{world.edge.authority}", "null"):
            with pytest.raises(HandshakeRefused) as refused:
                await dialed(world, url, Origin=foreign, **headers)
            assert refused.value.status == 403, foreign
        await echo.leave()

    play(tmp_path, scenario, **(BY_HOST if by_host else {"device_origin_port": 0}))


def test_files_that_are_not_there_odd_ones_and_a_browser_that_fails(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await fronted(world)
        url = await frontend_url(world)
        for name, status, code in (
            ("gone.js", 404, "FRONTEND_NOT_FOUND"),
            ("never.js", 404, "FRONTEND_NOT_FOUND"),
            ("a//b.js", 404, "FRONTEND_NOT_FOUND"),
            ("../json/list", 404, "FRONTEND_NOT_FOUND"),
            ("broken.js", 502, "BROWSER_UNAVAILABLE"),
        ):
            answer = await fetched(world, url.replace("inspector.html", name))
            assert (answer.status, answer.text.partition(":")[0]) == (status, code), name
        odd = await fetched(world, url.replace("inspector.html", "odd.bin"))
        assert (odd.status, odd.header["content-type"]) == (200, "application/octet-stream")
        await echo.leave()
        away = await fetched(world, url)
        assert (away.status, "retry-after" in away.header) == (503, True)

    play(tmp_path, scenario, device_origin_port=0)


def test_the_ticket_of_a_front_end_is_for_its_device_and_ends(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        devices = [await fronted(world), await browser(world, "phone")]
        url = await frontend_url(world)
        other = await fetched(world, url.replace("/laptop/", "/phone/"))
        assert (other.status, other.text.partition(":")[0]) == (403, "FORBIDDEN")
        old = world.token("frontend:laptop", subject="ticket:test", age_s=100, ttl_s=50)
        token = world.token("frontend:laptop")  # the right scope, but no ticket
        for ticket in (old, token, "", "e30.e30.e30"):
            answer = await fetched(world, f"http://{urlsplit(url).netloc}{LAPTOP}/~{ticket}{FILE}")
            assert answer.status == 401, ticket
        for echo in devices:
            await echo.leave()

    play(tmp_path, scenario, device_origin_port=0)


def test_at_a_shared_port_the_edges_own_paths_are_not_those_of_the_device_origin(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        came = {"Host": DEVICES, **THROUGH_PROXY}
        bearer = world.bearer("cdp:*:full")["Authorization"]
        for path in ("/healthz", f"{LAPTOP}/json/list", "/v2/control"):
            answer = await request(world.edge.address, path, Authorization=bearer, **came)
            assert (answer.status, answer.text) == (404, "NOT_FOUND: nothing is served here\n"), path
        headers = {"Host": DEVICES, "X-Forwarded-Proto": "https", **world.bearer("control:read", "cdp:*:full")}
        for path in ("/v2/control", "/v2/device", LAPTOP):
            with pytest.raises(HandshakeRefused) as refused:
                await dial_socket(world.edge.address, path, headers=headers)
            assert refused.value.status == 404, path
        assert (await request(world.edge.address, "/healthz")).status == 200

    play(tmp_path, scenario, **BY_HOST)


def test_without_authentication_no_ticket_is_needed(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await fronted(world)
        url = await frontend_url(world)
        assert "/~/devtools/" in url
        assert (await fetched(world, url)).status == 200
        client = await dialed(world, url, Origin=f"http://{urlsplit(url).netloc}")
        await client.close()
        await echo.leave()

    play(tmp_path, scenario, device_origin_port=0, insecure_no_auth=True)


# --- tickets --------------------------------------------------------------------------------------------------------


def test_what_a_ticket_opened_lives_as_long_as_the_token_that_asked_for_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await browser(world)
        [page] = (await ask(world, f"{LAPTOP}/json/list")).json()
        verifier = world.edge.parts.admission.verifier
        assert verifier is not None

        def read(ticket: str) -> Grant:
            return verifier.verify(ticket, time.time())

        url = urlsplit(page["webSocketDebuggerUrl"])
        first = parse_qs(url.query)["ticket"][0]
        again = await request(world.edge.address, f"{LAPTOP}/json/list?ticket={first}")
        second = parse_qs(urlsplit(again.json()[0]["webSocketDebuggerUrl"]).query)["ticket"][0]
        assert read(second).expires_unix_s <= read(first).expires_unix_s, "a ticket cannot be prolonged by itself"
        assert read(second).session_expires_unix_s == read(first).session_expires_unix_s
        assert read(second).subject == read(first).subject == "ticket:test"
        short = world.token("cdp:laptop:full", subject="ticket:test", ttl_s=2)
        client = await dial_socket(world.edge.address, f"{LAPTOP}?ticket={short}")
        async with asyncio.timeout(10):
            assert (await client.closed()).code == 4006
        await echo.leave()

    play(tmp_path, scenario)
