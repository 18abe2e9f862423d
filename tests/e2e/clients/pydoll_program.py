"""pydoll, by the browser's ws URL; it makes its pages' URLs from host, port and query of it."""

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from pydoll.browser import Chrome

from tests.e2e.clients.steps import Place, Seen, main

TIMEOUT_S = 10


def ws_url_at(url: str) -> str:
    """The browser's own ws URL, which its discovery page tells."""
    with urlopen(f"{url}/json/version", timeout=TIMEOUT_S) as answer:
        return str(json.load(answer)["webSocketDebuggerUrl"])


class PydollClient:
    def __init__(self, place: Place) -> None:
        self._place = place

    async def connect(self) -> str:
        self._browser = Chrome()
        await self._browser.connect(ws_url_at(self._place.url))
        return str((await self._browser.get_version())["product"])

    async def open(self, url: str) -> Any:
        return await self._browser.new_tab(url)

    async def go(self, page: Any, url: str) -> None:
        await page.go_to(url)

    async def evaluate(self, page: Any, expression: str) -> Any:
        return (await page.execute_script(expression, return_by_value=True))["result"]["result"].get("value")

    async def fill(self, page: Any, field: str, text: str) -> None:
        await (await page.query(field)).insert_text(text)

    async def click(self, page: Any, button: str) -> None:
        await (await page.query(button)).click()

    async def watch(self, page: Any, seen: Seen) -> None:
        def on_response(event: dict[str, Any]) -> None:
            seen(event["params"]["response"]["url"], event["params"]["response"]["status"])

        await page.enable_network_events()
        await page.on("Network.responseReceived", on_response)

    async def screenshot(self, page: Any) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            await page.take_screenshot(str(Path(folder, "page.png")))
            return Path(folder, "page.png").read_bytes()

    async def close_page(self, page: Any) -> None:
        await page.close()

    async def leave(self) -> None:
        await self._browser.close()

    async def find(self, url: str) -> Any:
        for page in await self._browser.get_opened_tabs():
            if await page.current_url() == url:
                return page
        raise LookupError("no such page")

    async def end(self) -> None:
        await self._browser.stop()


if __name__ == "__main__":
    main(PydollClient, "pydoll-python")
