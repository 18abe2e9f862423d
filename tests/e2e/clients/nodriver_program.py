"""nodriver, by host and port."""

import base64
from typing import Any

import nodriver
from nodriver import cdp

from tests.e2e.clients.steps import Place, Seen, main


class NodriverClient:
    def __init__(self, place: Place) -> None:
        self._place = place

    async def connect(self) -> str:
        self._browser = await nodriver.start(host=self._place.host, port=self._place.port)
        return str((await self._browser.send(cdp.browser.get_version()))[1])

    async def open(self, url: str) -> Any:
        return await self._browser.get(url, new_tab=True)

    async def go(self, page: Any, url: str) -> None:
        await page.get(url)

    async def evaluate(self, page: Any, expression: str) -> Any:
        return await page.evaluate(expression, return_by_value=True)

    async def fill(self, page: Any, field: str, text: str) -> None:
        await (await page.select(field)).send_keys(text)

    async def click(self, page: Any, button: str) -> None:
        await (await page.select(button)).click()

    async def watch(self, page: Any, seen: Seen) -> None:
        def on_response(event: Any, _: object = None) -> None:
            seen(event.response.url, event.response.status)

        page.add_handler(cdp.network.ResponseReceived, on_response)
        await page.send(cdp.network.enable())

    async def screenshot(self, page: Any) -> bytes:
        return base64.b64decode(await page.save_screenshot(format="png", as_base64=True))

    async def close_page(self, page: Any) -> None:
        await page.close()

    async def leave(self) -> None:
        await self._browser.aclose()

    async def find(self, url: str) -> Any:
        page = next(page for page in self._browser.tabs if page.target.url == url)
        await page.attach()
        return page

    async def end(self) -> None:
        self._browser.stop()


if __name__ == "__main__":
    main(NodriverClient, "nodriver")
