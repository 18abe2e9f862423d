"""Pages over HTTP, as Chrome's own server has them: open, list, activate, close."""

import json

import pytest

from tests.e2e.raw_cdp import RawClient
from tests.e2e.test_discovery import PREFIX, get
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome


def test_a_page_is_opened_activated_and_closed(relay: Stack) -> None:
    token, at = relay.urls.tokens["client"], relay.address
    opened = get(at, f"{PREFIX}/json/new?data:text/html,<title>opened</title>".replace("<", "%3C"), token, "PUT")
    assert opened.status == 200, opened
    page = json.loads(opened.body)
    assert page["url"].startswith("data:text/html")
    with RawClient(page["webSocketDebuggerUrl"]) as client:  # it may still be loading: ask nothing of its content
        assert client.call("Target.getTargetInfo")["targetInfo"]["targetId"] == page["id"]
    activated = get(at, f"{PREFIX}/json/activate/{page['id']}", token)
    assert (activated.status, activated.body) == (200, "Target activated")
    closed = get(at, f"{PREFIX}/json/close/{page['id']}", token)
    assert (closed.status, closed.body) == (200, "Target is closing")
    assert closed.header["content-type"].startswith("text/plain")


def test_the_token_in_the_url_never_reaches_the_browser(relay: Stack) -> None:
    token, at = relay.urls.tokens["client"], relay.address
    opened = get(at, f"{PREFIX}/json/new?token={token}&about:blank%23here", method="PUT")
    page = json.loads(opened.body)
    assert page["url"] == "about:blank#here"
    assert get(at, f"{PREFIX}/json/close/{page['id']}", token).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/json/new?about:blank", 405),
        ("POST", "/json/list", 405),
        ("GET", "/json/close/NOSUCHTARGET", 404),
        ("GET", "/json/activate/NOSUCHTARGET", 404),
        ("GET", "/json/close/..%2f..%2fjson", 404),
        ("GET", "/json/nothing", 404),
        ("GET", "/json/protocol", 200),
        ("HEAD", "/json/version", 200),
        ("get", "/json/version", 200),
    ],
)
def test_other_requests_are_answered_as_chrome_would_or_better(
    relay: Stack, method: str, path: str, status: int
) -> None:
    answer = get(relay.address, PREFIX + path, relay.urls.tokens["client"], method)
    assert answer.status == status, answer
    assert (answer.body == "") == (method == "HEAD")
