"""The steps of the scenario for clients written in Python; node/clients/steps.mjs is its twin.

A client program calls `main` with its `Client`. It reads {"url", "headers", "site", "steps": [{"name", "given"}]} from
stdin and prints {"version": the library's, "steps": {name: {"gives": {...}} or {"cannot": reason}}}. It runs in the
clients' environment, which has nothing of this project: the standard library only.
"""

import asyncio
import hashlib
import json
import re
import struct
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

STEP_TIMEOUT_S = 15.0
POLL_S = 0.02
REASON_CHARS = 100

Seen = Callable[[str, int], object]


class Place(NamedTuple):
    """Where the browser is: a ws or http URL, and the header lines to send along."""

    url: str
    headers: dict[str, str]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0


class Client(Protocol):
    """What a client program says of its library: how each thing is done with it. A page is whatever it calls a page."""

    def __init__(self, place: Place) -> None: ...

    async def connect(self) -> str:
        """Connect; the browser's version. Called again after `leave`."""

    async def open(self, url: str) -> Any:
        """A new tab at a URL."""

    async def go(self, page: Any, url: str) -> None: ...

    async def evaluate(self, page: Any, expression: str) -> Any: ...

    async def fill(self, page: Any, field: str, text: str) -> None: ...

    async def click(self, page: Any, button: str) -> None: ...

    async def watch(self, page: Any, seen: Seen) -> None:
        """Call `seen(url, status)` for every response from now on."""

    async def screenshot(self, page: Any) -> bytes:
        """What the page's window shows, as PNG."""

    async def close_page(self, page: Any) -> None: ...

    async def leave(self) -> None:
        """Let go of the browser in the gentlest way that the library has."""

    async def find(self, url: str) -> Any:
        """The page at a URL, after connecting again."""

    async def end(self) -> None:
        """Close as the library's documentation says."""


class Work:
    """One run of the scenario with a client."""

    def __init__(self, client: Client, site: str) -> None:
        self._client, self._site = client, site
        self._page: Any = None

    async def perform_connect(self) -> dict[str, Any]:
        return {"version": (await self._client.connect()).rpartition("/")[2]}

    async def perform_navigate(self, path: str) -> dict[str, Any]:
        self._page = await self._client.open(self._site + path)
        return {"title": await self._title_at(self._page, path)}

    async def perform_evaluate(self, expression: str) -> dict[str, Any]:
        return {"value": await self._client.evaluate(self._page, expression)}

    async def perform_click(self, field: str, text: str, button: str) -> dict[str, Any]:
        await self._client.fill(self._page, field, text)
        await self._client.click(self._page, button)
        greeting = await self._client.evaluate(self._page, "greeting.textContent")
        return {"greeting": greeting, "clicks": await self._client.evaluate(self._page, "clicks.textContent")}

    async def perform_events(self, path: str, watched: list[str]) -> dict[str, Any]:
        responses: dict[str, int] = {}

        def seen(url: str, status: int) -> None:
            if urlsplit(url).path in watched:
                responses[urlsplit(url).path] = status

        async def is_all_there() -> bool:
            # A question keeps a client that only reads when asked (Selenium) reading.
            await self._client.evaluate(self._page, "0")
            return len(responses) == len(watched)

        await self._client.watch(self._page, seen)
        await self._client.go(self._page, self._site + path)
        await until(is_all_there)
        return {"responses": dict(sorted(responses.items()))}

    async def perform_screenshot(self, path: str, title: str) -> dict[str, Any]:
        await self._client.go(self._page, self._site + path)
        await self._until_value(self._page, "document.title", title)
        png = await self._client.screenshot(self._page)
        whole = png[:8] == b"\x89PNG\r\n\x1a\n" and png[-8:-4] == b"IEND"
        return {"png": whole, "px": struct.unpack(">II", png[16:24]), "sha256": hashlib.sha256(png).hexdigest()}

    async def perform_tabs(self, paths: list[str]) -> dict[str, Any]:
        pages = [await self._client.open(self._site + path) for path in paths]
        titles = [await self._title_at(page, path) for page, path in zip(pages, paths, strict=True)]
        for number, page in enumerate(pages):
            await self._client.evaluate(page, f"void (window.mine = {number})")
        kept = [await self._client.evaluate(page, "String(window.mine)") for page in pages]
        for page in pages:
            await self._client.close_page(page)
        return {"titles": titles, "kept": list(map(int, kept))}

    async def perform_detach(self, path: str) -> dict[str, Any]:
        await self._title_at(await self._client.open(self._site + path), path)
        await self._client.leave()
        await self._client.connect()
        return {"title": await self._title_at(await self._client.find(self._site + path), path)}

    async def perform_close(self) -> dict[str, Any]:
        await self._client.end()
        return {}

    async def _title_at(self, page: Any, path: str) -> Any:
        """The title of the document at a path, once it is there."""
        await self._until_value(page, "location.pathname + ' ' + document.readyState", f"{path} complete")
        return await self._client.evaluate(page, "document.title")

    async def _until_value(self, page: Any, expression: str, value: str) -> None:
        async def is_value() -> bool:
            return bool(await self._client.evaluate(page, expression) == value)

        await until(is_value)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so; the step's timeout ends it. A page that is just going elsewhere may not be able to answer."""
    while True:
        try:
            if await condition():
                return
        except Exception:  # noqa: BLE001  # the libraries share no class of errors
            await asyncio.sleep(0)
        await asyncio.sleep(POLL_S)


def reason(error: Exception) -> str:
    """Why a step failed, in a line that is the same in every run: without ports, ids and addresses."""
    words = str(error).strip().partition("\n")[0] or "no words"
    return re.sub(r"\b[0-9A-Fa-f-]{5,}\b|0x\w+", "…", f"{type(error).__name__}: {words}")[:REASON_CHARS]


async def perform(client: Client, given: dict[str, Any], step_timeout_s: float) -> dict[str, Any]:
    """Every step's outcome by its name; nothing after a connect that failed."""
    work, outcomes = Work(client, given["site"]), dict[str, Any]()
    for step in given["steps"]:
        try:
            async with asyncio.timeout(step_timeout_s):
                gives = await getattr(work, f"perform_{step['name']}")(**step["given"])
            outcomes[step["name"]] = {"gives": gives}
        except Exception as error:  # noqa: BLE001  # whatever a library raises is what it gives
            outcomes[step["name"]] = {"cannot": reason(error)}
            if step["name"] == "connect":
                break
    return outcomes


def main(make: type[Client], package: str, step_timeout_s: float = STEP_TIMEOUT_S) -> None:
    """Run the scenario that stdin holds with the client of a package, and print what it gave."""
    given = json.load(sys.stdin)
    outcomes = asyncio.run(perform(make(Place(given["url"], given["headers"])), given, step_timeout_s))
    print(json.dumps({"version": version(package), "steps": outcomes}))
