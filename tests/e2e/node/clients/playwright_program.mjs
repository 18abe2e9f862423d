// Playwright for Node, by ws or http URL.
import { chromium } from 'playwright-core';
import { main } from './steps.mjs';

function playwright({ url, headers }) {
  let browser;
  return {
    async connect() {
      browser = await chromium.connectOverCDP(url, { headers });
      return browser.version();
    },
    async open(at) {
      const page = await browser.contexts()[0].newPage();
      await page.goto(at);
      return page;
    },
    go: (page, at) => page.goto(at),
    evaluate: (page, expression) => page.evaluate(expression),
    fill: (page, field, text) => page.fill(field, text),
    click: (page, button) => page.click(button),
    watch: async (page, seen) => page.on('response', (response) => seen(response.url(), response.status())),
    screenshot: (page) => page.screenshot(),
    closePage: (page) => page.close(),
    leave: () => browser.close(),
    find: async (at) => browser.contexts()[0].pages().find((page) => page.url() === at),
    end: () => browser.close(),
  };
}

await main(playwright, 'playwright-core');
