// Puppeteer, by ws URL or, for an http URL, by `browserURL`: `node puppeteer_program.mjs PACKAGE`.
import { main } from './steps.mjs';

const [packageName] = process.argv.slice(2);
const { default: library } = await import(packageName);

function puppeteer({ url, headers }) {
  const where = url.startsWith('http') ? { browserURL: url } : { browserWSEndpoint: url };
  let browser;
  return {
    async connect() {
      browser = await library.connect({ ...where, headers });
      return browser.version();
    },
    async open(at) {
      const page = await browser.newPage();
      await page.goto(at);
      return page;
    },
    go: (page, at) => page.goto(at),
    evaluate: (page, expression) => page.evaluate(expression),
    fill: (page, field, text) => page.type(field, text),
    click: (page, button) => page.click(button),
    watch: async (page, seen) => page.on('response', (response) => seen(response.url(), response.status())),
    screenshot: (page) => page.screenshot(),
    closePage: (page) => page.close(),
    leave: () => browser.disconnect(),
    find: async (at) => (await browser.pages()).find((page) => page.url() === at),
    end: () => browser.close(),
  };
}

await main(puppeteer, packageName);
