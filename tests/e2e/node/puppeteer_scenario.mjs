// One user's work with unmodified Puppeteer: `node puppeteer_scenario.mjs URL SITE_URL` prints its results as JSON.
// An http URL is given as `browserURL`, of which Puppeteer 24 keeps host and port only.
// Results hold nothing that may differ between two runs of the same browser (no times, no ids).
import { createHash } from 'node:crypto';
import puppeteer from 'puppeteer-core';

const EVALUATES = 200;

async function fillForm(page, site) {
  await page.goto(`${site}/form`);
  const text = (selector) => page.$eval(selector, (element) => element.textContent);
  const before = await text('#greeting');
  await page.type('#name', 'Ada Lovelace');
  await page.click('#greet');
  return { title: await page.title(), before, after: await text('#greeting'), clicks: await text('#clicks') };
}

async function evaluateOften(page) {
  const values = [];
  for (let number = 0; number < EVALUATES; number++) {
    values.push(await page.evaluate((n) => ({ n, square: n * n, text: 'ü'.repeat(n % 7) }), number));
  }
  return values;
}

async function screenshot(page, site) {
  await page.goto(`${site}/tall`);
  await page.waitForFunction("document.title === 'Tall drawn'");
  const png = Buffer.from(await page.screenshot({ fullPage: true }));
  return {
    bytes: png.length,
    px: [png.readUInt32BE(16), png.readUInt32BE(20)],
    valid: png.subarray(1, 4).toString() === 'PNG' && png.subarray(-8, -4).toString() === 'IEND',
    sha256: createHash('sha256').update(png).digest('hex'),
  };
}

async function pdf(page, site) {
  await page.goto(`${site}/form`);
  const document = Buffer.from(await page.pdf({ format: 'A4' })).toString('latin1');
  return {
    whole: document.startsWith('%PDF-') && document.trimEnd().endsWith('%%EOF'),
    pages: document.split('/Type /Page\n').length - 1,
    some: document.length > 5000,
  };
}

async function network(page, site) {
  const seen = [];
  const onResponse = (response) =>
    seen.push([new URL(response.url()).pathname, response.status(), response.request().resourceType()]);
  page.on('response', onResponse);
  await page.goto(`${site}/resources`, { waitUntil: 'networkidle0' });
  await page.waitForFunction("document.title === 'Resources loaded'");
  page.off('response', onResponse);
  return { seen: seen.map(String).sort(), items: await page.$eval('#items', (element) => element.textContent) };
}

async function tabs(context, site) {
  const pages = await Promise.all([0, 1, 2].map(() => context.newPage()));
  for (const [number, page] of pages.entries()) {
    await page.goto(`${site}/page/tab${number}`);
    await page.evaluate((n) => { window.mine = n; }, number);
  }
  const titles = await Promise.all(pages.map((page) => page.title()));
  const kept = await Promise.all(pages.map((page) => page.evaluate(() => window.mine)));
  const open = (await context.pages()).length;
  for (const page of pages) await page.close();
  return { titles, kept, counts: [open, (await context.pages()).length] };
}

const [url, site] = process.argv.slice(2);
const where = url.startsWith('http') ? { browserURL: url } : { browserWSEndpoint: url };
const browser = await puppeteer.connect({ ...where, defaultViewport: { width: 800, height: 600 } });
const context = await browser.createBrowserContext();
const page = await context.newPage();
const results = {
  version: await browser.version(),
  form: await fillForm(page, site),
  evaluates: await evaluateOften(page),
  screenshot: await screenshot(page, site),
  pdf: await pdf(page, site),
  network: await network(page, site),
  tabs: await tabs(context, site),
};
await context.close();
await browser.disconnect();
console.log(JSON.stringify({ ...results, connectedAfterClose: browser.connected }));
