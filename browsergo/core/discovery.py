"""Chrome's `/json/*`: what may be asked of a device's browser over HTTP, and how. Pure.

The edge reads a client's request with it, and the agent the FETCH that comes of it: neither passes on anything else.
Chrome's own rules: `new` is a PUT whose whole query is the URL to open; `close` and `activate` act on any method.
"""

import re
from enum import Enum
from typing import NamedTuple
from urllib.parse import quote

from browsergo.core.errors import DeviceNotFound, MethodNotAllowed, TargetNotFound

METHODS = ("GET", "PUT", "HEAD")
MAX_URL_BYTES = 8 << 10
_TARGET = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_PRINTABLE = re.compile(r"[!-~]*\Z")


class Document(Enum):
    """What `/json/*` offers; the value is the name behind `/json/`."""

    VERSION = "version"
    LIST = "list"
    PROTOCOL = "protocol"
    NEW = "new"
    CLOSE = "close"
    ACTIVATE = "activate"

    @property
    def names_targets(self) -> bool:
        """Whether the answer holds URLs that lead to the browser."""
        return self in {Document.VERSION, Document.LIST, Document.NEW}

    @property
    def is_text(self) -> bool:
        """Whether the answer is plain text."""
        return self in {Document.CLOSE, Document.ACTIVATE}


class Fetch(NamedTuple):
    """One request to Chrome's server: method and request target, as they are sent."""

    document: Document
    method: str
    target: str


def read_fetch(method: str, path: str, query: str = "") -> Fetch:
    """The request behind `METHOD /json...`; `path` is decoded, `query` raw (only `new` has a use for it).

    Raises MethodNotAllowed, TargetNotFound (an id of no form that Chrome gives), DeviceNotFound (no such document).
    """
    if method not in METHODS:
        raise MethodNotAllowed(f"{method[:16]} is not for /json; use {', '.join(METHODS)}")
    if path != "/json" and not path.startswith("/json/"):
        raise _no_such_document()
    name, _, rest = path.removeprefix("/json").strip("/").partition("/")
    document = _document(name or "list")
    if document.is_text:
        if _TARGET.match(rest) is None:
            raise TargetNotFound
        return Fetch(document, "GET", f"/json/{document.value}/{rest}")
    if rest:
        raise _no_such_document()
    if document is Document.NEW:
        return _new(method, query)
    return Fetch(document, "GET", f"/json/{document.value}")


def _document(name: str) -> Document:
    try:
        return Document(name)
    except ValueError:
        raise _no_such_document() from None


def _no_such_document() -> DeviceNotFound:
    return DeviceNotFound(f"no such document; there are {', '.join(document.value for document in Document)}")


def _new(method: str, query: str) -> Fetch:
    if method != "PUT":  # a page could make any browser GET it
        raise MethodNotAllowed("use PUT for /json/new")
    if len(query) > MAX_URL_BYTES or _PRINTABLE.match(query) is None:
        raise MethodNotAllowed(f"the URL for /json/new is longer than {MAX_URL_BYTES} bytes or not percent-encoded")
    return Fetch(Document.NEW, "PUT", f"/json/new?{query}" if query else "/json/new")


# The front end that every Chrome has built in; the page it inspects is named by its query.
_FRONTEND = "devtools://devtools/bundled/inspector.html"


def devtools_url(websocket_url: str) -> str:
    """What to paste into a Chrome's address bar so that its DevTools inspect the page at `ws(s)://...`."""
    scheme, _, rest = websocket_url.partition("://")
    return f"{_FRONTEND}?{scheme}={quote(rest, safe='/:')}"


_OURS = re.compile(r"(?:token|ticket|traceparent)=[^&]*\Z")


def without_credentials(query: str) -> str:
    """A raw query without what is meant for the edge: no token reaches a browser."""
    return "&".join(part for part in query.split("&") if _OURS.match(part) is None)
