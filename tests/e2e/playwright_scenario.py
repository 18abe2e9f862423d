"""One user's work with unmodified Playwright: `playwright_scenario.py WS_URL SITE_URL` prints its results as JSON.

A program of its own, so that Playwright's event loop never meets the tests'. Results hold nothing that may differ
between two runs of the same browser (no times, no ids).
"""

import hashlib
import json
import struct
import sys
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Response, sync_playwright

EVALUATES = 200


def fill_form(page: Page, site: str) -> dict[str, Any]:
    """Type, click, read what the page made of it."""
    page.goto(f"{site}/form")
    before = page.text_content("#greeting")
    page.fill("#name", "Ada Lovelace ✓")
    page.click("#greet")
    return {
        "title": page.title(),
        "before": before,
        "after": page.text_content("#greeting"),
        "clicks": page.text_content("#clicks"),
    }


def evaluate_often(page: Page) -> list[Any]:
    """Two hundred evaluates, one after another."""
    return [page.evaluate("n => ({n, square: n * n, text: 'ü'.repeat(n % 7)})", number) for number in range(EVALUATES)]


def screenshot(page: Page, site: str) -> dict[str, Any]:
    """A full-page screenshot: its size in bytes and pixels and a digest of it."""
    page.goto(f"{site}/tall")
    page.wait_for_function("document.title === 'Tall drawn'")
    png = page.screenshot(full_page=True)
    width, height = struct.unpack(">II", png[16:24])
    signature = png[:8] == b"\x89PNG\r\n\x1a\n" and png[-8:-4] == b"IEND"
    return {"bytes": len(png), "px": [width, height], "valid": signature, "sha256": hashlib.sha256(png).hexdigest()}


def pdf(page: Page, site: str) -> dict[str, Any]:
    """The page as PDF: whole, and of how many pages. (Its bytes carry the time.)"""
    page.goto(f"{site}/form")
    document = page.pdf(format="A4")
    whole = document.startswith(b"%PDF-") and document.rstrip().endswith(b"%%EOF")
    return {"whole": whole, "pages": document.count(b"/Type /Page\n"), "some": len(document) > 5000}


def network(page: Page, site: str) -> dict[str, Any]:
    """Every response and failure the page caused, sorted, since parallel fetches may end in any order."""
    seen: list[tuple[str, int, str]] = []

    def on_response(response: Response) -> None:
        seen.append((urlsplit(response.url).path, response.status, response.request.resource_type))

    page.on("response", on_response)
    page.goto(f"{site}/resources", wait_until="networkidle")
    page.wait_for_function("document.title === 'Resources loaded'")
    page.remove_listener("response", on_response)
    return {"seen": sorted(seen), "items": page.text_content("#items")}


def tabs(context: BrowserContext, site: str) -> dict[str, Any]:
    """Several tabs at once, one of them opened by a page; each keeps its own state."""
    pages = [context.new_page() for _ in range(3)]
    for number, page in enumerate(pages):
        page.goto(f"{site}/page/tab{number}")
        page.evaluate("n => { window.mine = n; }", number)
    linking = context.new_page()
    linking.goto(f"{site}/")
    with context.expect_page() as opened:
        linking.click("#two")
    opened.value.wait_for_load_state()
    titles = [page.title() for page in pages]
    kept = [page.evaluate("window.mine") for page in pages]
    counts = [len(context.pages)]
    for page in [*pages, opened.value]:
        page.close()
    return {
        "titles": titles,
        "kept": kept,
        "opened": opened.value.url.removeprefix(site),
        "counts": [*counts, len(context.pages)],
    }


def run(ws_url: str, site: str) -> dict[str, Any]:
    """The whole scenario over one connection."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(ws_url)
        context = browser.new_context(viewport={"width": 800, "height": 600}, device_scale_factor=1)
        page = context.new_page()
        results = {
            "version": browser.version,
            "form": fill_form(page, site),
            "evaluates": evaluate_often(page),
            "screenshot": screenshot(page, site),
            "pdf": pdf(page, site),
            "network": network(page, site),
            "tabs": tabs(context, site),
        }
        context.close()
        browser.close()
        return results | {"connected_after_close": browser.is_connected()}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2])))
