"""Paths of the edge: what a request is for. Pure (design/endpoints.md, the table)."""

import re
from enum import Enum
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from browsergo.core.errors import InvalidDeviceId
from browsergo.core.frontend import read_file
from browsergo.core.ids import is_device_id

BROWSER_ENDPOINT = "/devtools/browser"
_CDP = re.compile(r"/v2/cdp/([^/]+)(/.*)?\Z")
_PAGE = re.compile(r"/devtools/page/(?!\.{1,2}/?\Z)([A-Za-z0-9._-]{1,128})/?\Z")  # no way up in a path
_BROWSER = re.compile(r"(?:/|/devtools/browser(?:/[A-Za-z0-9._-]{0,128})?/?)?\Z")


_HIDDEN = re.compile(r"%(?:2f|5c|00)|\\", re.IGNORECASE)
_FRONTEND = re.compile(r"/v2/cdp/([^/]+)/~([^/]*)(/devtools/.*)\Z")


class Purpose(Enum):
    """Who dials."""

    DEVICE = "device"
    CDP = "cdp"
    CONTROL = "control"


class Endpoint(NamedTuple):
    """A WebSocket path, understood. `target` is the path on the browser's own server (CDP only)."""

    purpose: Purpose
    device: str = ""
    target: str = ""


class FrontendFile(NamedTuple):
    """A file of a device's DevTools front end, on the device origin: `path` is the one on the browser's own server."""

    device: str
    ticket: str
    path: str


class Target(NamedTuple):
    """A request target, split. `query` holds the first value of each name."""

    path: str
    query: dict[str, str]


def hides_separators(raw_path: str) -> bool:
    """Whether a path as sent spells a slash, a backslash or a NUL as a percent-encoding, or has a backslash."""
    return _HIDDEN.search(raw_path) is not None


def split_target(raw: str) -> Target:
    """Split a request target; percent-encodings of the path are resolved once. A path that hides something is none."""
    path, _, query = raw.partition("?")
    if hides_separators(path):
        path = ""
    try:
        pairs = parse_qs(query, keep_blank_values=True, max_num_fields=32)
    except ValueError:
        pairs = {}
    return Target(unquote(path), {name: values[0] for name, values in pairs.items()})


def websocket_endpoint(path: str) -> Endpoint | None:
    """What a WebSocket at `path` is for; None: nothing is served there. Raises InvalidDeviceId."""
    stripped = path.rstrip("/")
    if stripped == "/v2/device":
        return Endpoint(Purpose.DEVICE)
    if stripped == "/v2/control":
        return Endpoint(Purpose.CONTROL)
    match = _CDP.match(path)
    if match is None:
        return None
    if not is_device_id(match[1]):
        raise InvalidDeviceId
    rest = match[2] or ""
    page = _PAGE.match(rest)
    if page is not None:
        return Endpoint(Purpose.CDP, match[1], f"/devtools/page/{page[1]}")
    if _BROWSER.match(rest) is not None:
        return Endpoint(Purpose.CDP, match[1], BROWSER_ENDPOINT)
    return None


def frontend_prefix(device: str, ticket: str) -> str:
    """Where the front end of `device` is served on the device origin. The ticket stands in the path: pages load files
    by relative names, and nothing else of a URL goes along.
    """
    return f"/v2/cdp/{device}/~{ticket}"


def frontend_file(path: str) -> FrontendFile | None:
    """What a GET at `path` (decoded) of the device origin asks for; None: nothing is served there.

    Raises InvalidDeviceId, FrontendNotFound.
    """
    match = _FRONTEND.match(path)
    if match is None:
        return None
    if not is_device_id(match[1]):
        raise InvalidDeviceId
    return FrontendFile(match[1], match[2], read_file(match[3]))


def is_page(endpoint: Endpoint) -> bool:
    """Whether the endpoint is one of the browser's pages."""
    return endpoint.purpose is Purpose.CDP and endpoint.target != BROWSER_ENDPOINT
