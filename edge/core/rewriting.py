"""Discovery documents of a device's browser, with URLs that lead back through the edge. Pure.

Chrome names itself in them (`ws://localhost:PORT/devtools/...`); clients must dial the edge instead:
`ws(s)://AUTHORITY/v2/cdp/DEVICE/devtools/...?ticket=...`.
"""

import json
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from browsergo.core.discovery import devtools_url
from browsergo.core.errors import BrowserUnavailable
from browsergo.core.frontend import FOLDER, page_name
from edge.core.endpoints import websocket_endpoint
from edge.core.origins import websocket_url

_URLS = ("webSocketDebuggerUrl", "devtoolsFrontendUrl")


class LeadingBack(NamedTuple):
    """Where the URLs of a document lead: through the edge at `http(s)://AUTHORITY`, for clients of `device`.

    `ticket` "" is none. `frontend` is where the device's own DevTools front end is served; "": nowhere, and
    `devtoolsFrontendUrl` is one to paste into a Chrome, for its built-in DevTools.
    """

    device: str
    edge: str
    ticket: str
    frontend: str


def rewrite(body: bytes, back: LeadingBack) -> bytes:
    """`/json/version`, `/json/list` or `/json/new` as the clients of this edge need it.

    Raises BrowserUnavailable when the document is not what a browser says.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BrowserUnavailable("the browser's answer is not JSON") from None
    entries = document if isinstance(document, list) else [document]
    if not all(isinstance(entry, dict) for entry in entries):
        raise BrowserUnavailable("the browser's answer is not a discovery document")
    rewritten = [_entry(entry, back) for entry in entries]
    return json.dumps(rewritten if isinstance(document, list) else rewritten[0], indent=2).encode()


def _entry(entry: dict[str, Any], back: LeadingBack) -> dict[str, Any]:
    path = _served_path(entry.get("webSocketDebuggerUrl"), back.device)
    if path is None:
        return {name: value for name, value in entry.items() if name not in _URLS}
    ticketed = f"{path}?ticket={quote(back.ticket)}" if back.ticket else path
    url = websocket_url(back.edge) + ticketed
    changed = {**entry, "webSocketDebuggerUrl": url}
    if "devtoolsFrontendUrl" in entry:
        changed["devtoolsFrontendUrl"] = _frontend_url(entry, back, ticketed) if back.frontend else devtools_url(url)
    return changed


def _frontend_url(entry: dict[str, Any], back: LeadingBack, ticketed: str) -> str:
    """The front end's page, told to dial its own origin: Chrome's page permits no other, but on 127.0.0.1."""
    page = f"{back.frontend}{FOLDER}{page_name(entry['devtoolsFrontendUrl'])}"
    scheme, _, authority = websocket_url(back.frontend).partition("://")
    return f"{page}?{scheme}={quote(authority.partition('/')[0] + ticketed, safe='/:')}"


def _served_path(url: object, device: str) -> str | None:
    """Where this edge serves the browser's `url`; None if it does not: a device may say anything."""
    try:
        path = f"/v2/cdp/{device}{urlsplit(url).path}" if isinstance(url, str) else ""
    except ValueError:
        return None
    return path if websocket_endpoint(path) is not None else None
