"""What a client finds by HTTP leads back through the relay: documents, tickets, browser and page endpoints."""

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from browsergo.core import tokens
from tests.e2e.chrome import DirectChrome
from tests.e2e.raw_cdp import Message, RawClient
from tests.e2e.raw_http import Answer, exchange, upgrade_request
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

PREFIX = "/v2/cdp/local"
CHANNEL_GONE = 4001
DEVTOOLS_NAMES = {"Browser", "Protocol-Version", "User-Agent", "V8-Version", "WebKit-Version", "webSocketDebuggerUrl"}


def get(address: tuple[str, int], path: str, token: str = "", method: str = "GET") -> Answer:
    """One request on a connection of its own."""
    connection = HTTPConnection(*address, timeout=15)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        header = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, header, response.read().decode())
    finally:
        connection.close()


def document(relay: Stack, name: str, **options: Any) -> Any:
    """A discovery document of the local device."""
    answer = get(relay.address, f"{PREFIX}/json{name}", relay.urls.tokens["client"], **options)
    assert answer.status == 200, answer
    assert answer.header["content-type"] == "application/json; charset=UTF-8"
    assert answer.header["x-content-type-options"] == "nosniff"
    return json.loads(answer.body)


@pytest.fixture
def page(relay: Stack) -> Iterator[Message]:
    """A page of the local browser, as /json/list shows it, whose `found` is true."""
    with RawClient(relay.urls.client_ws) as client:
        target = client.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = client.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        client.evaluate("window.found = true", session)
        client.call("Target.detachFromTarget", {"sessionId": session})
        [entry] = [entry for entry in document(relay, "/list") if entry["id"] == target]
        yield entry
        client.call("Target.closeTarget", {"targetId": target})


@pytest.mark.parametrize("name", ["/version", "/version/"])
def test_version_says_what_chrome_says_but_for_the_url(relay: Stack, direct_chrome: DirectChrome, name: str) -> None:
    host, _, port = direct_chrome.address.partition(":")
    chromes = json.loads(get((host, int(port)), "/json/version").body)
    found = document(relay, name)
    assert set(found) == set(chromes) >= DEVTOOLS_NAMES
    assert {key: value for key, value in found.items() if key != "webSocketDebuggerUrl"} == {
        key: value for key, value in chromes.items() if key != "webSocketDebuggerUrl"
    }
    check_url(found["webSocketDebuggerUrl"], relay, "/devtools/browser/")


@pytest.mark.parametrize("name", ["", "/", "/list", "/list/"])
def test_every_page_is_listed_with_a_url_through_the_relay(relay: Stack, page: Message, name: str) -> None:
    [entry] = [entry for entry in document(relay, name) if entry["id"] == page["id"]]
    assert (entry["type"], entry["url"]) == ("page", "about:blank")
    check_url(entry["webSocketDebuggerUrl"], relay, f"/devtools/page/{page['id']}")
    assert f"/devtools/page/{page['id']}" in entry["devtoolsFrontendUrl"]
    assert "localhost" not in json.dumps(entry)


def check_url(url: str, relay: Stack, path: str) -> None:
    """A ticketed URL of this relay's edge; the ticket is none of the tokens."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.hostname, parts.port) == ("ws", "127.0.0.1", relay.port)
    assert parts.path.startswith(PREFIX + path)
    [ticket] = parse_qs(parts.query)["ticket"]
    assert ticket not in relay.urls.tokens.values()


def test_the_protocol_is_chromes_own(relay: Stack) -> None:
    domains = {domain["domain"] for domain in document(relay, "/protocol")["domains"]}
    assert {"Browser", "Page", "Runtime", "Target"} <= domains


def test_methods_in_lower_case_and_head_are_served(relay: Stack) -> None:
    assert document(relay, "/version", method="get")["Browser"]
    answer = get(relay.address, f"{PREFIX}/json/version", relay.urls.tokens["client"], method="HEAD")
    assert (answer.status, answer.body) == (200, "")


def test_the_browsers_ticketed_url_connects_and_drives(relay: Stack) -> None:
    with RawClient(document(relay, "/version")["webSocketDebuggerUrl"]) as client:
        assert client.evaluate("6 * 7", client.open_page()) == 42


def test_a_pages_ticketed_url_is_a_page_endpoint(page: Message) -> None:
    with RawClient(page["webSocketDebuggerUrl"]) as client:
        assert client.evaluate("found", "") is True
        assert client.call("Target.getTargetInfo")["targetInfo"]["targetId"] == page["id"]


def test_two_clients_on_one_page_endpoint_have_their_own_sessions(page: Message) -> None:
    with RawClient(page["webSocketDebuggerUrl"]) as first, RawClient(page["webSocketDebuggerUrl"]) as second:
        first.call("Runtime.enable")
        first.events.clear()
        second.evaluate("console.log('who hears it')", "")
        assert first.evaluate("1", "") == 1
        assert [event["method"] for event in first.events] == ["Runtime.consoleAPICalled"]
        assert second.events == []


def test_a_ticket_is_for_its_device_only(relay: Stack) -> None:
    url = document(relay, "/version")["webSocketDebuggerUrl"]
    path = urlsplit(url)._replace(scheme="", netloc="").geturl()
    answer = exchange(relay.address, upgrade_request(relay.address, path.replace("/local/", "/another/")))
    assert (answer.status, "FORBIDDEN" in answer.body) == (403, True), answer


def test_a_ticket_is_no_token_and_a_token_no_ticket(relay: Stack) -> None:
    [ticket] = parse_qs(urlsplit(document(relay, "/version")["webSocketDebuggerUrl"]).query)["ticket"]
    for query in (f"ticket={relay.urls.tokens['client']}", "ticket=", "ticket=garbage"):
        answer = exchange(relay.address, upgrade_request(relay.address, f"{PREFIX}?{query}"))
        assert (answer.status, "UNAUTHENTICATED" in answer.body) == (401, True), (query, answer)
    header = {"Authorization": f"Bearer {ticket}"}
    assert exchange(relay.address, upgrade_request(relay.address, "/v2/control", header)).status == 403


def test_a_ticket_ends_with_the_credential_that_asked_for_it(relay: Stack) -> None:
    key, now = tokens.load_key(relay.signing_key), int(time.time())
    token = tokens.mint(key, subject="brief", scopes=["cdp:local:full"], now_unix_s=now, ttl_s=60, token_id="brief")
    answer = get(relay.address, f"{PREFIX}/json/version", token)
    [ticket] = parse_qs(urlsplit(json.loads(answer.body)["webSocketDebuggerUrl"]).query)["ticket"]
    grant = tokens.Verifier(key.public_key()).verify(ticket, now)
    assert now < grant.expires_unix_s <= now + 60
    assert grant.scopes == ("cdp:local:full",)


def test_an_unknown_page_is_404_at_the_upgrade(page: Message) -> None:
    unknown = page["webSocketDebuggerUrl"].replace(page["id"], "0" * 32)
    with pytest.raises(InvalidStatus) as refused, RawClient(unknown):
        pass
    assert refused.value.response.status_code == 404
    assert b"TARGET_NOT_FOUND" in (refused.value.response.body or b"")


@pytest.mark.parametrize("path", ["/json/nonsense", "/json/version/more", "/devtools"])
def test_documents_that_are_not_served_say_so(relay: Stack, path: str) -> None:
    answer = get(relay.address, PREFIX + path, relay.urls.tokens["client"])
    assert answer.status in {404, 426}, answer
    assert answer.body.strip()


def test_a_client_of_a_page_that_is_closed_is_told_and_let_go(relay: Stack) -> None:
    with RawClient(relay.urls.client_ws) as owner:
        target = owner.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        url = relay.urls.client_ws.replace("?", f"/devtools/page/{target}?")
        with RawClient(url) as attached:
            assert attached.evaluate("1 + 1", "") == 2
            attached.send(7, "Runtime.evaluate", {"expression": "new Promise(() => 0)", "awaitPromise": True})
            owner.call("Target.closeTarget", {"targetId": target})
            messages = attached.receive_rest()
            assert attached.socket.close_code == CHANNEL_GONE
            assert attached.socket.close_reason
        assert [message["id"] for message in messages if "id" in message] == [7]
        [answer] = [message for message in messages if "id" in message]
        assert "error" in answer
        reasons = [message["params"]["reason"] for message in messages if message.get("method") == "Inspector.detached"]
        assert "target_closed" in reasons  # Chrome's own word
        assert "CHANNEL_GONE" not in reasons  # and none of ours on top
        assert "Chrome/" in owner.call("Browser.getVersion")["product"]
