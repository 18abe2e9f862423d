"""Playwright for Python, by ws or http URL."""

from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Playwright, Response, async_playwright

from tests.e2e.clients.steps import Place, Seen, main


class PlaywrightClient:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._playwright: Playwright | None = None
        self._browser: Browser

    @property
    def _context(self) -> BrowserContext:
        return self._browser.contexts[0]

    async def connect(self) -> str:
        if self._playwright is None:
            self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.connect_over_cdp(self._place.url, headers=self._place.headers)
        return self._browser.version

    async def open(self, url: str) -> Page:
        page = await self._context.new_page()
        await page.goto(url)
        return page

    async def go(self, page: Page, url: str) -> None:
        await page.goto(url)

    async def evaluate(self, page: Page, expression: str) -> Any:
        return await page.evaluate(expression)

    async def fill(self, page: Page, field: str, text: str) -> None:
        await page.fill(field, text)

    async def click(self, page: Page, button: str) -> None:
        await page.click(button)

    async def watch(self, page: Page, seen: Seen) -> None:
        def on_response(response: Response) -> None:
            seen(response.url, response.status)

        page.on("response", on_response)

    async def screenshot(self, page: Page) -> bytes:
        return await page.screenshot()

    async def close_page(self, page: Page) -> None:
        await page.close()

    async def leave(self) -> None:
        await self._browser.close()

    async def find(self, url: str) -> Page:
        return next(page for page in self._context.pages if page.url == url)

    async def end(self) -> None:
        await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()


if __name__ == "__main__":
    main(PlaywrightClient, "playwright")
