"""What may be asked of a device's browser over HTTP."""

import pytest

from browsergo.core.discovery import Document, Fetch, read_fetch, without_credentials
from browsergo.core.errors import DeviceNotFound, MethodNotAllowed, TargetNotFound

TARGET = "007712163DB91A8908F6FC70C9A6748D"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/json", Fetch(Document.LIST, "GET", "/json/list")),
        ("GET", "/json/", Fetch(Document.LIST, "GET", "/json/list")),
        ("HEAD", "/json/list", Fetch(Document.LIST, "GET", "/json/list")),
        ("GET", "/json/version/", Fetch(Document.VERSION, "GET", "/json/version")),
        ("PUT", "/json/protocol", Fetch(Document.PROTOCOL, "GET", "/json/protocol")),
        ("PUT", "/json/new", Fetch(Document.NEW, "PUT", "/json/new")),
        ("GET", f"/json/close/{TARGET}", Fetch(Document.CLOSE, "GET", f"/json/close/{TARGET}")),
        ("PUT", f"/json/activate/{TARGET}/", Fetch(Document.ACTIVATE, "GET", f"/json/activate/{TARGET}")),
    ],
)
def test_chromes_documents_are_read(method: str, path: str, expected: Fetch) -> None:
    assert read_fetch(method, path) == expected


def test_the_whole_query_of_new_is_the_url_to_open() -> None:
    fetch = read_fetch("PUT", "/json/new", "http://a.example/?x=1&y=%20")
    assert fetch.target == "/json/new?http://a.example/?x=1&y=%20"


def test_a_query_changes_nothing_elsewhere() -> None:
    assert read_fetch("GET", "/json/list", "x=1").target == "/json/list"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_a_page_is_opened_by_put_only(method: str) -> None:
    with pytest.raises(MethodNotAllowed):
        read_fetch(method, "/json/new", "about:blank")


@pytest.mark.parametrize(
    "path",
    [
        "/json/nothing",
        "/json/version/more",
        "/json/list/x",
        "/json/../json/version",
        "/json/..",
        "/",
        "/list",
        "/jsonlist",
    ],
)
def test_other_documents_do_not_exist(path: str) -> None:
    with pytest.raises(DeviceNotFound):
        read_fetch("GET", path)


@pytest.mark.parametrize("target", ["", "..", "a/b", "a.b", "x" * 129, "%2e", "a\r\nHost: b", "ä"])
def test_a_target_has_the_form_of_an_id(target: str) -> None:
    with pytest.raises(TargetNotFound):
        read_fetch("GET", f"/json/close/{target}")


@pytest.mark.parametrize("query", ["a b", "a\r\nX: y", "ä", "x" * 8193])
def test_the_url_of_new_is_percent_encoded_and_bounded(query: str) -> None:
    with pytest.raises(MethodNotAllowed):
        read_fetch("PUT", "/json/new", query)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ""),
        ("token=secret", ""),
        ("about:blank", "about:blank"),
        ("token=secret&http://a.example/?b=1&c=2", "http://a.example/?b=1&c=2"),
        ("http://a.example/&ticket=secret", "http://a.example/"),
        ("traceparent=00-1&x", "x"),
        ("mytoken=1", "mytoken=1"),
    ],
)
def test_no_credential_reaches_a_browser(query: str, left: str) -> None:
    assert without_credentials(query) == left
