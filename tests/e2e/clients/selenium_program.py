"""Selenium with ChromeDriver, by `debuggerAddress`; with the word `bidi` its events come over WebDriver BiDi."""

import json
import shutil
import sys
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.e2e.clients.steps import Place, Seen, main


class SeleniumClient:
    """Selenium blocks, and knows a page as a window handle that it switches to."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._driver: Any = None
        self._pages: list[str] = []
        self._seen: Seen | None = None

    def options(self) -> Any:
        options = webdriver.ChromeOptions()
        options.debugger_address = f"{self._place.host}:{self._place.port}"
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        return options

    async def connect(self) -> str:
        # The path is given, so that Selenium looks for no driver elsewhere.
        service = Service(executable_path=shutil.which("chromedriver"))
        self._driver = webdriver.Chrome(options=self.options(), service=service)
        return str(self._driver.capabilities["browserVersion"])

    async def open(self, url: str) -> str:
        self._driver.switch_to.new_window("tab")
        self._driver.get(url)
        self._pages.append(self._driver.current_window_handle)
        return self._pages[-1]

    async def go(self, page: str, url: str) -> None:
        self._switched_to(page).get(url)

    async def evaluate(self, page: str, expression: str) -> Any:
        value = self._switched_to(page).execute_script(f"return {expression}")
        self._read_log()
        return value

    async def fill(self, page: str, field: str, text: str) -> None:
        self._switched_to(page).find_element(By.CSS_SELECTOR, field).send_keys(text)

    async def click(self, page: str, button: str) -> None:
        self._switched_to(page).find_element(By.CSS_SELECTOR, button).click()

    async def watch(self, page: str, seen: Seen) -> None:
        self._seen = seen

    async def screenshot(self, page: str) -> bytes:
        return bytes(self._switched_to(page).get_screenshot_as_png())

    async def close_page(self, page: str) -> None:
        self._switched_to(page).close()
        self._pages.remove(page)
        # Nothing more can be asked of a driver whose window is closed, not even for another window.
        self._switched_to(self._pages[0])

    async def leave(self) -> None:
        self._driver.quit()

    async def find(self, url: str) -> str:
        for page in self._driver.window_handles:
            if self._switched_to(page).current_url == url:
                return str(page)
        raise LookupError("no such page")

    async def end(self) -> None:
        self._driver.quit()

    def _switched_to(self, page: str) -> Any:
        self._driver.switch_to.window(page)
        return self._driver

    def _read_log(self) -> None:
        """Hand on what the performance log holds since it was last read."""
        if self._seen is None:
            return
        for entry in self._driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.responseReceived":
                self._seen(event["params"]["response"]["url"], event["params"]["response"]["status"])


class SeleniumBidiClient(SeleniumClient):
    def options(self) -> Any:
        options = super().options()
        options.web_socket_url = True
        return options

    async def watch(self, page: str, seen: Seen) -> None:
        def on_response(event: Any) -> None:
            response = event["response"] if isinstance(event, dict) else event.response
            seen(response["url"], response["status"])

        self._driver.network.add_event_handler("response_completed", on_response)


if __name__ == "__main__":
    main(SeleniumBidiClient if "bidi" in sys.argv else SeleniumClient, "selenium")
