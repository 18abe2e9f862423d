"""Which path is for whom."""

import pytest

from browsergo.core.errors import FrontendNotFound, InvalidDeviceId
from edge.core.endpoints import (
    Endpoint,
    FrontendFile,
    Purpose,
    frontend_file,
    frontend_prefix,
    is_page,
    split_target,
    websocket_endpoint,
)

BROWSER = "/devtools/browser"


def cdp(device: str, target: str = BROWSER) -> Endpoint:
    return Endpoint(Purpose.CDP, device, target)


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v2/device", Endpoint(Purpose.DEVICE)),
        ("/v2/device/", Endpoint(Purpose.DEVICE)),
        ("/v2/control", Endpoint(Purpose.CONTROL)),
        ("/v2/control/", Endpoint(Purpose.CONTROL)),
        ("/v2/cdp/laptop", cdp("laptop")),
        ("/v2/cdp/laptop/", cdp("laptop")),
        ("/v2/cdp/Lap.top_2-x", cdp("Lap.top_2-x")),
        (f"/v2/cdp/{'x' * 128}", cdp("x" * 128)),
        ("/v2/cdp/laptop/devtools/browser", cdp("laptop")),
        ("/v2/cdp/laptop/devtools/browser/", cdp("laptop")),
        ("/v2/cdp/laptop/devtools/browser/4f0c-9a", cdp("laptop")),
        ("/v2/cdp/laptop/devtools/browser/4f0c-9a/", cdp("laptop")),
        ("/v2/cdp/laptop/devtools/page/AB12", cdp("laptop", "/devtools/page/AB12")),
        ("/v2/cdp/laptop/devtools/page/AB12/", cdp("laptop", "/devtools/page/AB12")),
        ("/v2/cdp/device", cdp("device")),
    ],
)
def test_a_path_is_understood(path: str, endpoint: Endpoint) -> None:
    assert websocket_endpoint(path) == endpoint


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v2",
        "/v2/",
        "/v2/cdp",
        "/v2/cdp/",
        "/v2/cdp//",
        "/v2/devices",
        "/V2/device",
        "/v2/device/x",
        "/v2/controls",
        "/v2/cdp/laptop//",
        "/v2/cdp/laptop/json/version",
        "/v2/cdp/laptop/devtools",
        "/v2/cdp/laptop/devtools/page",
        "/v2/cdp/laptop/devtools/page/",
        "/v2/cdp/laptop/devtools/page/A/B",
        "/v2/cdp/laptop/devtools/page/..",
        "/v2/cdp/laptop/devtools/page/.",
        "/v2/cdp/laptop/devtools/page/A?B",
        "/v2/cdp/laptop/devtools/page/A\n",
        f"/v2/cdp/laptop/devtools/page/{'x' * 129}",
        "/v2/cdp/laptop/../other",
        "/devtools/browser",
        "http://localhost:3000/v2/device",
        "v2/device",
        "*",
    ],
)
def test_nothing_is_served_elsewhere(path: str) -> None:
    assert websocket_endpoint(path) is None


@pytest.mark.parametrize("device", ["no such", "ä", "a\n", "any", ".", "..", "x" * 129, "a%b", "a:b"])
def test_an_ill_formed_or_reserved_device_id_is_said_to_be_one(device: str) -> None:
    with pytest.raises(InvalidDeviceId):
        websocket_endpoint(f"/v2/cdp/{device}")


def test_a_target_is_split_and_its_path_decoded_once() -> None:
    target = split_target("/v2/cdp/lap%74op/x%252Fy?token=a.b-c_d&ticket=t%20t&token=second&empty=")
    assert target.path == "/v2/cdp/laptop/x%2Fy"
    assert target.query == {"token": "a.b-c_d", "ticket": "t t", "empty": ""}


@pytest.mark.parametrize("path", ["/v2/cdp%2flaptop", "/v2/cdp/a%2Fb", "/v2/cdp/a%5cb", "/v2\\cdp\\a", "/v2/cdp/a%00"])
def test_a_path_that_hides_something_leads_nowhere(path: str) -> None:
    assert websocket_endpoint(split_target(f"{path}?token=a").path) is None


@pytest.mark.parametrize("query", ["&".join(["a=1"] * 33), "%", "", "=", "&&"])
def test_a_query_that_makes_no_sense_gives_no_token(query: str) -> None:
    target = split_target(f"/v2/device?{query}")
    assert target.path == "/v2/device"
    assert "token" not in target.query


@pytest.mark.parametrize("ticket", ["", "e30.e30.c2ln"])
def test_a_file_of_a_front_end_has_its_ticket_in_the_path(ticket: str) -> None:
    path = "/devtools/entrypoints/inspector/inspector.js"
    assert frontend_file(frontend_prefix("laptop", ticket) + path) == FrontendFile("laptop", ticket, path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/cdp/laptop/devtools/inspector.html",
        "/v2/cdp/laptop/~t",
        "/v2/cdp/laptop/~t/json/list",
        "/~t/devtools/x",
    ],
)
def test_nothing_but_files_is_served_on_the_device_origin(path: str) -> None:
    assert frontend_file(path) is None


def test_what_a_front_end_cannot_have_is_refused() -> None:
    with pytest.raises(InvalidDeviceId):
        frontend_file("/v2/cdp/no such/~t/devtools/inspector.html")
    with pytest.raises(FrontendNotFound):
        frontend_file("/v2/cdp/laptop/~t/devtools/../json/list")


def test_pages_are_told_from_the_browser() -> None:
    assert is_page(cdp("laptop", "/devtools/page/AB12"))
    assert not is_page(cdp("laptop"))
    assert not is_page(Endpoint(Purpose.CONTROL))
