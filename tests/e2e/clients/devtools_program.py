"""The DevTools front end that the browser itself serves, used by a person: Playwright plays the person's own browser.

Given the http address of a browser. A page is a tab of the person's browser with the front end in it.
"""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from playwright.async_api import Browser, Locator, Page, async_playwright

from tests.e2e.chrome import FLAGS, chrome_path
from tests.e2e.clients.steps import Place, Seen, main

STEP_TIMEOUT_S = 60.0  # some load the front end twice, of some two hundred files
LOAD_TIMEOUT_MS = 25_000
TIMEOUT_MS = 4_000  # what is asked while a page goes elsewhere may stay without an answer, and is asked again
MENU_TIMEOUT_MS = 20_000
_NO_COMMAND = "No commands found"  # what the menu says
_NAMES_AND_STATUS = (
    "rows => rows.map(row => [row.querySelector('.name-column').title, row.querySelector('.status-column').innerText])"
)
_CENTRE = "(box => [box.x + box.width / 2, box.y + box.height / 2, innerWidth])({}.getBoundingClientRect())"


class FrontEnd:
    """One tab with the front end of one page."""

    def __init__(self, tab: Page, target: str) -> None:
        self.tab = tab
        self.target = target
        self._marks = itertools.count(1)

    @classmethod
    async def load(cls, browser: Browser, entry: dict[str, Any], url: str, panel: str = "console") -> "FrontEnd":
        """Open the front end at one of its panels."""
        tab = await browser.new_page(viewport={"width": 1600, "height": 900})
        tab.set_default_timeout(TIMEOUT_MS)
        await tab.goto(f"{url}&panel={panel}", timeout=LOAD_TIMEOUT_MS)
        await tab.locator(".screencast-canvas-container canvas").wait_for(timeout=LOAD_TIMEOUT_MS)
        return cls(tab, str(entry["id"]))

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, by the console; it passes as JSON in letters that no string display changes."""
        mark = f"mark{next(self._marks)}:"
        shown = f"'{mark}' + encodeURIComponent(JSON.stringify({expression}) ?? 'null').replaceAll(\"'\", '%27')"
        prompt = self.tab.locator("#console-prompt .cm-content")
        await prompt.focus()
        await self.tab.keyboard.insert_text(shown)
        await self.tab.keyboard.press("Enter")
        result = self.tab.locator(".console-user-command-result", has_text=mark)
        text = (await result.inner_text()).strip().strip("'\"")
        return json.loads(unquote(text.removeprefix(mark)))

    async def click_at(self, selector: str) -> None:
        """Click on an element where the picture of the page shows it."""
        x, y, width_px = await self.evaluate(_CENTRE.format(f"document.querySelector('{selector}')"))
        canvas = self._canvas
        box = await canvas.bounding_box()
        assert box is not None
        scale = box["width"] / width_px
        await canvas.click(position={"x": x * scale, "y": y * scale})

    async def type(self, text: str) -> None:
        """Type where the picture of the page has the focus."""
        await self.tab.keyboard.type(text)

    async def go(self, url: str) -> None:
        """By the address bar above the picture."""
        address = self.tab.get_by_label("Address bar")
        await address.fill(url)
        await address.press("Enter")

    async def rows(self) -> list[list[str]]:
        """URL and status of every row of the network panel."""
        rows = self.tab.locator("tr:has(td.name-column[title^=http])")
        found: list[list[str]] = await rows.evaluate_all(_NAMES_AND_STATUS)
        return found

    async def screenshot(self) -> bytes:
        """By the command menu, which gives it as a download. Raises LookupError if there is no such command."""
        await self.tab.locator("#console-prompt .cm-content").focus()
        await self.tab.keyboard.press("Control+Shift+P")
        await self.tab.locator(".filtered-list-widget").wait_for(timeout=MENU_TIMEOUT_MS)
        await self.tab.keyboard.type("Capture screenshot")
        command = self.tab.get_by_role("option", name="Capture screenshot")
        none = self.tab.get_by_text(_NO_COMMAND).first
        await command.or_(none).first.wait_for(timeout=MENU_TIMEOUT_MS)
        if await none.is_visible():
            await self.tab.keyboard.press("Escape")
            raise LookupError(_NO_COMMAND)
        async with self.tab.expect_download() as download:
            await self.tab.keyboard.press("Enter")
        return Path(await (await download.value).path()).read_bytes()

    @property
    def _canvas(self) -> Locator:
        return self.tab.locator(".screencast-canvas-container canvas")


class DevToolsClient:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._browser: Browser | None = None
        self._watching: list[tuple[FrontEnd, Seen]] = []

    async def connect(self) -> str:
        if self._browser is None:
            self._playwright = await async_playwright().start()
            self._browser = await self._playwright.chromium.launch(
                executable_path=chrome_path(), args=list(FLAGS[1:-1]), chromium_sandbox=False
            )
        return str((await self._ask("GET", "/json/version"))["Browser"])

    async def open(self, url: str) -> FrontEnd:
        return await self._loaded(await self._ask("PUT", "/json/new", url))

    async def go(self, page: FrontEnd, url: str) -> None:
        await page.go(url)

    async def evaluate(self, page: FrontEnd, expression: str) -> Any:
        for front_end, seen in self._watching:
            for url, status in await front_end.rows():
                if status.isdecimal():
                    seen(url, int(status))
        return await page.evaluate(expression)

    async def fill(self, page: FrontEnd, field: str, text: str) -> None:
        await page.click_at(field)
        await page.type(text)

    async def click(self, page: FrontEnd, button: str) -> None:
        await page.click_at(button)

    async def watch(self, page: FrontEnd, seen: Seen) -> None:
        entry = next(entry for entry in await self._ask("GET", "/json/list") if entry["id"] == page.target)
        self._watching.append((await self._loaded(entry, "network"), seen))

    async def screenshot(self, page: FrontEnd) -> bytes:
        return await page.screenshot()

    async def close_page(self, page: FrontEnd) -> None:
        await page.tab.close()
        await self._send("GET", f"/json/close/{page.target}")

    async def leave(self) -> None:
        assert self._browser is not None
        self._watching.clear()
        for context in self._browser.contexts:
            await context.close()

    async def find(self, url: str) -> FrontEnd:
        return await self._loaded(next(entry for entry in await self._ask("GET", "/json/list") if entry["url"] == url))

    async def end(self) -> None:
        assert self._browser is not None
        await self._browser.close()
        await self._playwright.stop()

    async def _loaded(self, entry: dict[str, Any], panel: str = "console") -> FrontEnd:
        assert self._browser is not None
        return await FrontEnd.load(self._browser, entry, self._front_end_of(entry), panel)

    def _front_end_of(self, entry: dict[str, Any]) -> str:
        """Chrome itself names one on the internet for a release of its own; it serves the same at its port."""
        url = str(entry["devtoolsFrontendUrl"])
        if urlsplit(url).hostname == self._place.host:
            return url
        socket = str(entry["webSocketDebuggerUrl"]).removeprefix("ws://").replace("localhost", self._place.host, 1)
        return f"http://{self._place.host}:{self._place.port}/devtools/inspector.html?ws={socket}"

    async def _ask(self, method: str, path: str, query: str = "") -> Any:
        return json.loads(await self._send(method, path, query))

    async def _send(self, method: str, path: str, query: str = "") -> bytes:
        parts = urlsplit(self._place.url)
        question = "&".join(part for part in (query, parts.query) if part)
        url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{path}{'?' + question if question else ''}"
        request = Request(url, method=method, headers=self._place.headers)  # http, as it was given
        answer: bytes = await asyncio.to_thread(lambda: urlopen(request, timeout=10).read())
        return answer


if __name__ == "__main__":
    main(DevToolsClient, "playwright", STEP_TIMEOUT_S)
