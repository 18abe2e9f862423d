"""Requests for discovery in every spelling: as Chrome answers them, or better, and then with the reason why."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.e2e.chrome import DirectChrome
from tests.e2e.raw_cdp import RawClient
from tests.e2e.test_discovery import PREFIX
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

AS_CHROME = (
    "GET /json/version", "get /json/version", "Get /json/version", "HEAD /json/version", "PUT /json/version",
    "GET /json/version/", "GET /json/version//", "GET /json/version?x=1", "GET /json/protocol/",
    "GET /json", "GET /json/list", "GET /json/list/", "GET /json/list?for_tab", "GET /json/list/?t=1",
    "GET /json/new", "POST /json/new", "PUT /json/new?about:blank", "put /json/new?about:blank", "PUT /json/new/",
    "GET /json/close", "GET /json/close/", "GET /json/close/NOPE", "PUT /json/close/NOPE", "GET /json/close/a/b",
    "GET /json/activate/NOPE", "GET /json/nothing", "GET /json/list;x", "GET /JSON/version", "GET //json/version",
    "GET /json/../json/version", "GET /json/./version", "GET /json/version%00", "GET /json/version%20",
    "GET /json%2Fversion", "GET /json%5Cversion", "GET /json/close/..%2Flist", "GET /json/%2e%2e/json/version",
)  # fmt: skip

HOSTS_AS_CHROME = (
    "localhost", "localhost:1", "LOCALHOST", "localhost.", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:9",
)  # fmt: skip


class Difference(NamedTuple):
    """What Chrome answers, what the relay answers, and why it is better so."""

    asked: str
    chrome: int
    relay: int
    why: str


DIFFERENCES = (
    Difference("GET /json/", 404, 200, "clients that add a slash to every path get the list"),
    Difference("GET /json/%76ersion", 404, 200, "the same path by RFC 3986, 2.3"),
    Difference("POST /json/version", 200, 405, "nothing is posted here; Chrome does not look at the method"),
    Difference("DELETE /json/list", 200, 405, "the same"),
    Difference("BREW /json/version", 200, 405, "the same"),
)

HOST_DIFFERENCES = (
    Difference("evil.example", 500, 421, "a status that says what is wrong"),
    Difference("192.0.2.1", 200, 421, "an address is served when it is in public_hosts"),
    Difference("0x7f.1", 200, 421, "one way to spell an address is enough"),
    Difference("", 200, 421, "a request names whom it is for"),
)


@pytest.fixture(scope="module", autouse=True)
def _leave_no_pages(relay: Stack) -> Iterator[None]:
    """Some spellings open a page."""
    with RawClient(relay.urls.client_ws) as client:
        before = pages(client)
        yield
        for target in pages(client) - before:
            client.call("Target.closeTarget", {"targetId": target})


def pages(client: RawClient) -> set[str]:
    """The pages of the local browser."""
    found = client.call("Target.getTargets")["targetInfos"]
    return {target["targetId"] for target in found if target["type"] == "page"}


def chromes(chrome: DirectChrome, asked: str, host: str = "localhost") -> int:
    """The status that Chrome gives."""
    name, _, port = chrome.address.partition(":")
    method, path = asked.split(" ", 1)
    return status((name, int(port)), method, path, host)


def relays(relay: Stack, asked: str, host: str = "localhost") -> int:
    """The status that the relay gives, at the device's prefix."""
    method, path = asked.split(" ", 1)
    return status(relay.address, method, PREFIX + path, host, f"Bearer {relay.urls.tokens['client']}")


def status(address: tuple[str, int], method: str, path: str, host: str, bearer: str = "") -> int:
    """One request, spelled as it is given."""
    connection = HTTPConnection(*address, timeout=15)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        if bearer:
            connection.putheader("Authorization", bearer)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("asked", AS_CHROME)
def test_a_spelling_is_answered_as_chrome_answers_it(relay: Stack, direct_chrome: DirectChrome, asked: str) -> None:
    assert relays(relay, asked) == chromes(direct_chrome, asked)


@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda case: case.asked)
def test_a_spelling_is_answered_better_than_by_chrome(
    relay: Stack, direct_chrome: DirectChrome, case: Difference
) -> None:
    assert (chromes(direct_chrome, case.asked), relays(relay, case.asked)) == (case.chrome, case.relay), case.why


@pytest.mark.parametrize("host", HOSTS_AS_CHROME)
def test_a_host_is_served_as_by_chrome(relay: Stack, direct_chrome: DirectChrome, host: str) -> None:
    asked = "GET /json/version"
    assert relays(relay, asked, host) == chromes(direct_chrome, asked, host) == 200


@pytest.mark.parametrize("case", HOST_DIFFERENCES, ids=lambda case: case.asked)
def test_a_host_is_refused_better_than_by_chrome(relay: Stack, direct_chrome: DirectChrome, case: Difference) -> None:
    asked = "GET /json/version"
    found = chromes(direct_chrome, asked, case.asked), relays(relay, asked, case.asked)
    assert found == (case.chrome, case.relay), case.why


@pytest.mark.parametrize("host", ["[::1]:3000", "localhost:3000", "LocalHost:3000"])
def test_urls_lead_back_to_the_host_as_the_client_spelled_it(relay: Stack, host: str) -> None:
    connection = HTTPConnection(*relay.address, timeout=15)
    headers = {"Host": host, "Authorization": f"Bearer {relay.urls.tokens['client']}"}
    connection.request("GET", f"{PREFIX}/json/list", headers=headers)
    entries = json.loads(connection.getresponse().read())
    connection.close()
    assert {urlsplit(entry["webSocketDebuggerUrl"]).netloc for entry in entries} == {host}
    frontends = {urlsplit(entry["devtoolsFrontendUrl"]) for entry in entries}
    assert {frontend.hostname for frontend in frontends} == {urlsplit(f"//{host}").hostname}
