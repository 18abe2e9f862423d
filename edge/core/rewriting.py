"""Discovery documents of a device's browser, with URLs that lead back through the edge. Pure.

Chrome names itself in them (`ws://localhost:PORT/devtools/...`); clients must dial the edge instead:
`ws(s)://AUTHORITY/v2/cdp/DEVICE/devtools/...?ticket=...`.
"""

import json
from typing import Any
from urllib.parse import quote, urlsplit

from browsergo.core.errors import BrowserUnavailable

# The front end that every Chrome has built in; the page it inspects is named by its query.
_FRONTEND = "devtools://devtools/bundled/inspector.html"


def rewrite(body: bytes, device: str, base: str, ticket: str) -> bytes:
    """`/json/version` or `/json/list` for clients of `device`. `base` is `ws://HOST` or `wss://HOST`.

    Raises BrowserUnavailable when the document is not what a browser says.
    """
    try:
        document = json.loads(body)
    except ValueError:
        raise BrowserUnavailable("the browser's answer is not JSON") from None
    entries = document if isinstance(document, list) else [document]
    if not all(isinstance(entry, dict) for entry in entries):
        raise BrowserUnavailable("the browser's answer is not a discovery document")
    rewritten = [_entry(entry, device, base, ticket) for entry in entries]
    return json.dumps(rewritten if isinstance(document, list) else rewritten[0], indent=2).encode()


def _entry(entry: dict[str, Any], device: str, base: str, ticket: str) -> dict[str, Any]:
    found = entry.get("webSocketDebuggerUrl")
    if not isinstance(found, str):
        return {name: value for name, value in entry.items() if name != "devtoolsFrontendUrl"}
    query = f"?ticket={quote(ticket)}" if ticket else ""
    url = f"{base}/v2/cdp/{device}{urlsplit(found).path}{query}"
    changed = {**entry, "webSocketDebuggerUrl": url}
    if "devtoolsFrontendUrl" in entry:
        scheme, _, rest = url.partition("://")
        changed["devtoolsFrontendUrl"] = f"{_FRONTEND}?{scheme}={quote(rest, safe='/:')}"
    return changed
