"""One person's work with the DevTools front end in a browser: `devtools_scenario.py FRONTEND_URL` prints what they saw.

The front end inspects the page `/steps` of the tests' site. RELAY_NAME resolves to loopback in this browser.
"""

import json
import re
import sys
from typing import Any

from playwright.sync_api import Page, Response, expect, sync_playwright

from tests.e2e.chrome import FLAGS, chrome_path

RELAY_NAME = "relay.test"
TIMEOUT_MS = 20_000


def enter(page: Page, expression: str) -> None:
    """Type an expression into the console."""
    page.locator("#console-prompt .cm-content").focus()
    page.keyboard.insert_text(expression)
    page.keyboard.press("Enter")


def evaluate(page: Page, expression: str) -> str:
    """The value of an expression, as text, read from the console."""
    enter(page, f"'{expression} is ' + ({expression})")
    result = page.locator(".console-user-command-result", has_text=f"{expression} is ")
    expect(result).to_be_visible()
    return result.inner_text().strip().strip("'").removeprefix(f"{expression} is ")


def line(page: Page, other_than: int = 0) -> int:
    """The line of `/steps` on which the debugger stands, once it is another one."""
    frame = page.get_by_role("listbox").get_by_role("option").filter(has_text="walk")
    expect(frame).to_contain_text(re.compile(rf"steps:(?!{other_than}\b)\d"))
    return int(frame.inner_text().rpartition("steps:")[2])


def step(page: Page) -> list[int]:
    """Run into a debugger statement, step twice, go on: the lines, counted from the first one."""
    enter(page, "setTimeout(walk)")  # the front end turns to its sources when it happens
    expect(page.get_by_text("Debugger paused")).to_be_visible()
    lines = [line(page)]
    for _ in range(2):
        page.keyboard.press("F10")
        lines.append(line(page, lines[-1]))
    page.keyboard.press("F8")
    expect(page.get_by_text("Debugger paused")).not_to_be_visible()
    return [number - lines[0] for number in lines]


def show(page: Page) -> str:
    """Click, in the picture of the page that the front end shows, where the page has its button: what it then says."""
    width_px = int(evaluate(page, "innerWidth"))
    canvas = page.locator(".screencast-canvas-container canvas")
    box = canvas.bounding_box()
    assert box is not None
    scale = box["width"] / width_px
    canvas.click(position={"x": 140 * scale, "y": 80 * scale})
    return evaluate(page, "greet.textContent")


def run(url: str) -> dict[str, Any]:
    """Everything, in one browser that has never seen the relay."""
    with sync_playwright() as playwright:
        flags = [*FLAGS[1:-1], f"--host-resolver-rules=MAP {RELAY_NAME} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=chrome_path(), args=flags, chromium_sandbox=False)
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        failures: list[str] = []

        def on_response(response: Response) -> None:
            if response.status != 200:
                failures.append(f"{response.status} {response.url.partition('/devtools/')[2]}")

        page.on("response", on_response)
        page.on("requestfailed", lambda request: failures.append(request.url.partition("/devtools/")[2]))
        page.goto(f"{url}&panel=console")
        expect(page.get_by_role("button", name="JavaScript context: top")).to_be_visible()
        seen = {"title": evaluate(page, "document.title"), "button": show(page), "stepped": step(page)}
        browser.close()
        return seen | {"failures": failures}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1])))
