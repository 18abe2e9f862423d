"""Clicks, typing and evaluates with unmodified Playwright: `steady_playwright.py WS_URL SITE_URL ROUNDS ACTS`.

ACTS are some of `click,type,evaluate,command`. Prints `round N` before each round, then what the page counted as JSON;
or the error that ended it, and what came of using the browser after it. It knows nothing of relays and catches nothing
but at its end, as scripts do.
"""

import json
import sys

from playwright.sync_api import Browser, Error, Page, sync_playwright

START = """() => {
  window.evaluated = [];
  window.typed = '';
  document.getElementById('name').addEventListener('input', (event) => { typed += event.data; });
}"""


def run_rounds(page: Page, rounds: int, acts: list[str]) -> None:
    """Click once, type the number, append it to a list in the page, by a bare command too: in every round."""
    session = page.context.new_cdp_session(page)
    for number in range(rounds):
        print(f"round {number}", flush=True)
        if "click" in acts:
            page.click("#greet")
        if "type" in acts:
            page.locator("#name").press_sequentially(f"{number},")
        if "evaluate" in acts:
            page.evaluate("n => { evaluated.push(n); }", number)
        if "command" in acts:
            session.send("Runtime.evaluate", {"expression": f"evaluated.push({number})"})


def next_word(browser: Browser) -> str:
    """What a script hears that goes on to use the browser."""
    try:
        browser.new_context()
    except Error as error:
        return error.message
    return ""


def run(ws_url: str, site: str, rounds: int, acts: list[str]) -> dict[str, object]:
    """The whole script over one connection."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(ws_url)
        page = browser.new_context().new_page()
        page.goto(f"{site}/form")
        page.evaluate(START)
        try:
            run_rounds(page, rounds, acts)
            counted = page.evaluate("() => [Number(clicks.textContent), typed, evaluated]")
        except Error as error:
            return {"error": error.message, "next": next_word(browser), "connected": browser.is_connected()}
        page.context.close()
        browser.close()
        return {"counted": counted}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split(","))))
