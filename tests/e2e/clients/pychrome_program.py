"""pychrome, by http address."""

import base64
from typing import Any

import pychrome

from tests.e2e.clients.steps import Place, Seen, main

TIMEOUT_S = 10


class PychromeClient:
    """pychrome blocks; its own threads read. It knows pages only, each by a socket of its own."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pages: list[Any] = []

    async def connect(self) -> str:
        self._browser = pychrome.Browser(url=self._place.url)
        return str(self._browser.version(timeout=TIMEOUT_S)["Browser"])

    async def open(self, url: str) -> Any:
        return self._started(self._browser.new_tab(url, timeout=TIMEOUT_S))

    async def go(self, page: Any, url: str) -> None:
        page.Page.navigate(url=url, _timeout=TIMEOUT_S)

    async def evaluate(self, page: Any, expression: str) -> Any:
        return page.Runtime.evaluate(expression=expression, _timeout=TIMEOUT_S)["result"].get("value")

    async def fill(self, page: Any, field: str, text: str) -> None:
        await self.evaluate(page, f"document.querySelector('{field}').focus()")
        page.Input.insertText(text=text, _timeout=TIMEOUT_S)

    async def click(self, page: Any, button: str) -> None:
        document = page.DOM.getDocument(_timeout=TIMEOUT_S)["root"]["nodeId"]
        node = page.DOM.querySelector(nodeId=document, selector=button, _timeout=TIMEOUT_S)["nodeId"]
        corners = page.DOM.getBoxModel(nodeId=node, _timeout=TIMEOUT_S)["model"]["content"]
        at = {"x": (corners[0] + corners[4]) / 2, "y": (corners[1] + corners[5]) / 2}
        for kind in ("mousePressed", "mouseReleased"):
            page.Input.dispatchMouseEvent(type=kind, button="left", clickCount=1, **at, _timeout=TIMEOUT_S)

    async def watch(self, page: Any, seen: Seen) -> None:
        def on_response(response: dict[str, Any], **_: object) -> None:
            seen(response["url"], response["status"])

        page.Network.responseReceived = on_response
        page.Network.enable(_timeout=TIMEOUT_S)

    async def screenshot(self, page: Any) -> bytes:
        return base64.b64decode(page.Page.captureScreenshot(format="png", _timeout=TIMEOUT_S)["data"])

    async def close_page(self, page: Any) -> None:
        self._browser.close_tab(page, timeout=TIMEOUT_S)

    async def leave(self) -> None:
        for page in self._pages:
            page.stop()
        self._pages.clear()

    async def find(self, url: str) -> Any:
        for page in self._browser.list_tab(timeout=TIMEOUT_S):
            if page._kwargs["url"] == url:
                return self._started(page)
        raise LookupError("no such page")

    async def end(self) -> None:
        for page in self._pages:
            self._browser.close_tab(page, timeout=TIMEOUT_S)

    def _started(self, page: Any) -> Any:
        page.start()
        self._pages.append(page)
        return page


if __name__ == "__main__":
    main(PychromeClient, "pychrome")
