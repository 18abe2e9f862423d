"""Discovery documents lead back through the edge."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from browsergo.core.errors import BrowserUnavailable
from edge.core.rewriting import rewrite

BASE = "ws://relay.example:3000"
PAGE = {
    "id": "AB12",
    "type": "page",
    "title": "Title & more",
    "devtoolsFrontendUrl": "/devtools/inspector.html?ws=localhost:9222/devtools/page/AB12",
    "webSocketDebuggerUrl": "ws://localhost:9222/devtools/page/AB12",
}


def rewritten(document: Any, ticket: str = "t.i-c_k", base: str = BASE) -> Any:
    return json.loads(rewrite(json.dumps(document).encode(), "laptop", base, ticket))


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


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_the_front_end_is_told_the_same_url_in_its_query(scheme: str) -> None:
    [entry] = rewritten([PAGE], base=f"{scheme}://[::1]:3000")
    front_end = urlsplit(entry["devtoolsFrontendUrl"])
    assert front_end.scheme == "devtools"
    told = parse_qs(front_end.query)[scheme][0]
    assert f"{scheme}://{told}" == entry["webSocketDebuggerUrl"]


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
        rewrite(body, "laptop", BASE, "ticket")
