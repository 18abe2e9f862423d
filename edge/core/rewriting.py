"""Discovery documents of a device's browser, with URLs that lead back through the edge. Pure.

Chrome names itself in them (`ws://localhost:PORT/devtools/...`); clients must dial the edge instead:
`ws(s)://AUTHORITY/v2/cdp/DEVICE/devtools/...?ticket=...`.
"""

import json
from typing import Any
from urllib.parse import quote, urlsplit

from browsergo.core.discovery import devtools_url
from browsergo.core.errors import BrowserUnavailable
from edge.core.endpoints import websocket_endpoint

_URLS = ("webSocketDebuggerUrl", "devtoolsFrontendUrl")


def rewrite(body: bytes, device: str, base: str, ticket: str) -> bytes:
    """`/json/version` or `/json/list` for clients of `device`. `base` is `ws://HOST` or `wss://HOST`.

    Raises BrowserUnavailable when the document is not what a browser says.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BrowserUnavailable("the browser's answer is not JSON") from None
    entries = document if isinstance(document, list) else [document]
    if not all(isinstance(entry, dict) for entry in entries):
        raise BrowserUnavailable("the browser's answer is not a discovery document")
    rewritten = [_entry(entry, device, base, ticket) for entry in entries]
    return json.dumps(rewritten if isinstance(document, list) else rewritten[0], indent=2).encode()


def _entry(entry: dict[str, Any], device: str, base: str, ticket: str) -> dict[str, Any]:
    path = _served_path(entry.get("webSocketDebuggerUrl"), device)
    if path is None:
        return {name: value for name, value in entry.items() if name not in _URLS}
    query = f"?ticket={quote(ticket)}" if ticket else ""
    url = f"{base}{path}{query}"
    changed = {**entry, "webSocketDebuggerUrl": url}
    if "devtoolsFrontendUrl" in entry:
        changed["devtoolsFrontendUrl"] = devtools_url(url)
    return changed


def _served_path(url: object, device: str) -> str | None:
    """Where this edge serves the browser's `url`; None if it does not: a device may say anything."""
    try:
        path = f"/v2/cdp/{device}{urlsplit(url).path}" if isinstance(url, str) else ""
    except ValueError:
        return None
    return path if websocket_endpoint(path) is not None else None
