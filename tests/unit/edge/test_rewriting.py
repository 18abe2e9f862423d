"""Discovery documents lead back through the edge."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from browsergo.core.errors import BrowserUnavailable
from edge.core.rewriting import LeadingBack, rewrite

EDGE = "http://relay.example:3000"
BASE = "ws://relay.example:3000"
FRONTEND = "http://relay.example:3001/v2/cdp/laptop/~t1.t2.t3"
PAGE = {
    "id": "AB12",
    "type": "page",
    "title": "Title & more",
    "devtoolsFrontendUrl": "/devtools/inspector.html?ws=localhost:9222/devtools/page/AB12",
    "webSocketDebuggerUrl": "ws://localhost:9222/devtools/page/AB12",
}


def rewritten(document: Any, ticket: str = "t.i-c_k", edge: str = EDGE, frontend: str = "") -> Any:
    return json.loads(rewrite(json.dumps(document).encode(), LeadingBack("laptop", edge, ticket, frontend)))


def test_the_browser_endpoint_leads_through_the_edge_with_a_ticket_and_the_rest_is_untouched() -> None:
    found = rewritten({"Browser": "Chrome/1", "webSocketDebuggerUrl": "ws://localhost:9222/devtools/browser/4f0c"})
    url = f"{BASE}/v2/cdp/laptop/devtools/browser/4f0c?ticket=t.i-c_k"
    assert found == {"Browser": "Chrome/1", "webSocketDebuggerUrl": url}


def test_every_page_of_a_list_is_rewritten_in_order() -> None:
    found = rewritten([PAGE, PAGE | {"id": "CD34", "webSocketDebuggerUrl": "ws://localhost/devtools/page/CD34"}])
    assert [entry["id"] for entry in found] == ["AB12", "CD34"]
    assert [urlsplit(entry["webSocketDebuggerUrl"]).path for entry in found] == [
        "/v2/cdp/laptop/devtools/page/AB12",
        "/v2/cdp/laptop/devtools/page/CD34",
    ]
    assert found[0]["title"] == PAGE["title"]


@pytest.mark.parametrize(("edge", "scheme"), [("http", "ws"), ("https", "wss")])
def test_the_front_end_of_any_chrome_is_told_the_same_url_in_its_query(edge: str, scheme: str) -> None:
    [entry] = rewritten([PAGE], edge=f"{edge}://[::1]:3000")
    front_end = urlsplit(entry["devtoolsFrontendUrl"])
    assert front_end.scheme == "devtools"
    told = parse_qs(front_end.query)[scheme][0]
    assert f"{scheme}://{told}" == entry["webSocketDebuggerUrl"]


@pytest.mark.parametrize(("http", "scheme"), [("http", "ws"), ("https", "wss")])
def test_the_devices_own_front_end_is_told_to_dial_its_own_origin(http: str, scheme: str) -> None:
    [entry] = rewritten([PAGE], frontend=FRONTEND.replace("http", http))
    front_end = urlsplit(entry["devtoolsFrontendUrl"])
    assert (front_end.scheme, front_end.netloc) == (http, "relay.example:3001")
    assert front_end.path == "/v2/cdp/laptop/~t1.t2.t3/devtools/inspector.html"
    told = parse_qs(front_end.query)[scheme][0]
    assert told == "relay.example:3001/v2/cdp/laptop/devtools/page/AB12?ticket=t.i-c_k"
    assert entry["webSocketDebuggerUrl"].startswith(f"{BASE}/v2/cdp/laptop/devtools/page/AB12")


@pytest.mark.parametrize(
    ("chromes", "page"),
    [
        ("https://elsewhere.example/serve_rev/@1/worker_app.html?ws=localhost/x", "worker_app.html"),
        ("/devtools/js_app.html?ws=localhost/x", "js_app.html"),
        ("/devtools/../../evil.html", "evil.html"),
        ("/devtools/Inspector.html", "inspector.html"),
        ("", "inspector.html"),
        (7, "inspector.html"),
        (f"/{'x' * 65}.html", "inspector.html"),
    ],
)
def test_the_front_ends_page_is_the_one_that_chrome_names_for_the_target(chromes: object, page: str) -> None:
    [entry] = rewritten([PAGE | {"devtoolsFrontendUrl": chromes}], frontend=FRONTEND)
    assert urlsplit(entry["devtoolsFrontendUrl"]).path == f"/v2/cdp/laptop/~t1.t2.t3/devtools/{page}"


def test_a_page_that_is_taken_offers_no_url_and_no_front_end() -> None:
    taken = {key: value for key, value in PAGE.items() if key != "webSocketDebuggerUrl"}
    assert rewritten([taken]) == [{"id": "AB12", "type": "page", "title": "Title & more"}]


@pytest.mark.parametrize(
    "url",
    [
        "ws://[broken/devtools/page/A",
        "ws://x/v2/control",
        "ws://x/devtools/../../../control",
        "ws://x/devtools/page/..",
        "ws://x/devtools/page/A\x00B",
        "ws://x/../other/devtools/page/A",
        7,
        None,
    ],
)
def test_a_url_that_this_edge_would_not_serve_is_not_handed_out(url: object) -> None:
    [entry] = rewritten([PAGE | {"webSocketDebuggerUrl": url}])
    assert entry == {"id": "AB12", "type": "page", "title": "Title & more"}


def test_without_tickets_there_is_no_query() -> None:
    assert "?" not in rewritten(PAGE, ticket="")["webSocketDebuggerUrl"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'"text"',
        b"7",
        b"null",
        b"[1]",
        b"[[]]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=range(10),
)
def test_what_no_browser_says_is_a_browser_that_does_not_answer(body: bytes) -> None:
    with pytest.raises(BrowserUnavailable):
        rewrite(body, LeadingBack("laptop", EDGE, "ticket", ""))
