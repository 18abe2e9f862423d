"""The browser's own server, as the agent talks to it: HTTP for `/json/*`, one WebSocket a channel.

Chrome answers a foreign Origin with 403 and a Host that is neither an IP nor localhost with 500, so
the agent sends none and `Host: localhost` (compat.md, "Chrome as seen by the agent").
"""

import asyncio
import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from browsergo.agent.websocket import ClientConnection, dial
from browsergo.core import frontend
from browsergo.core.channel.frames import MAX_MESSAGE_BYTES
from browsergo.core.discovery import read_fetch
from browsergo.core.errors import BrowserGoError, BrowserUnavailable, HandshakeRefused, TargetNotFound

HTTP_TIMEOUT_S = 10.0
DIAL_TIMEOUT_S = 10.0
BROWSER_ENDPOINT = "/devtools/browser"
PAGE_ENDPOINT = "/devtools/page/"


class Answer(NamedTuple):
    """What Chrome answered over HTTP."""

    status: int
    body: bytes


class Version(NamedTuple):
    """`/json/version`, read."""

    product: str
    user_agent: str
    browser_path: str


class BrowserWatch:
    """A connection to a browser that this agent did not start: it ends when the browser does, or the way to it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        connection.listen(self)

    async def ended(self) -> None:
        """Wait for the end."""
        await self._ended

    async def stop(self) -> None:
        """Watch no more; the browser goes on."""
        self._connection.abort()

    def on_message(self, payload: bytes, is_text: bool) -> None:
        """Nothing was asked, so nothing is said."""

    def on_writable(self, writable: bool) -> None:
        """Nothing is written."""

    def on_closed(self, code: int, reason: str) -> None:
        """The browser is gone."""
        if not self._ended.done():
            self._ended.set_result(None)


class Browser:
    """A browser with a debugging port at `host:port`."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    @classmethod
    def at(cls, url: str) -> "Browser":
        """The browser at `http://host:port`."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 9222)

    async def fetch(self, method: str, target: str) -> Answer:
        """Ask for a `/json` document or a file of the DevTools front end.

        Raises what browsergo.core.discovery and .frontend refuse with, and BrowserUnavailable.
        """
        path, _, query = target.partition("?")
        if path.startswith(frontend.FOLDER):
            return await asyncio.to_thread(self._ask, "GET", frontend.read_file(path))
        fetch = read_fetch(method, path, query)
        return await asyncio.to_thread(self._ask, fetch.method, fetch.target)

    def _ask(self, method: str, target: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=HTTP_TIMEOUT_S)
        try:
            connection.request(method, target, headers={"Host": "localhost"})
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise BrowserUnavailable(f"the browser does not answer ({why})") from None
        finally:
            connection.close()

    async def version(self) -> Version:
        """What browser it is. Raises BrowserUnavailable."""
        answer = await self.fetch("GET", "/json/version")
        try:
            found: dict[str, Any] = json.loads(answer.body)
            path = urlsplit(str(found["webSocketDebuggerUrl"])).path
            return Version(str(found["Browser"]), str(found.get("User-Agent", "")), path)
        except (ValueError, KeyError, TypeError):
            raise BrowserUnavailable("what answers there is not a browser's debugging port") from None

    async def dial(self, endpoint: str) -> ClientConnection:
        """A WebSocket to the browser or one of its pages. Raises TargetNotFound, BrowserUnavailable."""
        path = (await self.version()).browser_path if endpoint == BROWSER_ENDPOINT else endpoint
        try:
            connection = await dial(
                self.host,
                self.port,
                path,
                headers={"Host": "localhost"},
                max_size_bytes=MAX_MESSAGE_BYTES,
                timeout_s=DIAL_TIMEOUT_S,
                in_pieces=True,
            )
        except HandshakeRefused as refusal:
            if endpoint.startswith(PAGE_ENDPOINT):
                raise TargetNotFound from None
            raise BrowserUnavailable(f"the browser refused: HTTP {refusal.status}") from None
        except BrowserGoError as error:
            raise BrowserUnavailable(error.message) from None
        connection.probe_peer()
        return connection

    async def watch(self) -> BrowserWatch:
        """Notice the browser's end. Raises BrowserUnavailable."""
        return BrowserWatch(await self.dial(BROWSER_ENDPOINT))
