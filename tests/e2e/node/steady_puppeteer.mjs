// Clicks, typing and evaluates with unmodified Puppeteer: `node steady_puppeteer.mjs WS_URL SITE_URL ROUNDS ACTS`.
// ACTS are some of `click,type,evaluate`. Prints `round N` before each round, then what the page counted as JSON; or the error that ended it, and what came of using the
// browser after it.
import puppeteer from 'puppeteer-core';

async function runRounds(page, rounds, acts) {
  for (let number = 0; number < rounds; number++) {
    console.log(`round ${number}`);
    if (acts.includes('click')) await page.click('#greet');
    if (acts.includes('type')) await page.type('#name', `${number},`);
    if (acts.includes('evaluate')) await page.evaluate((n) => { evaluated.push(n); }, number);
  }
}

async function run(url, site, rounds, acts) {
  const browser = await puppeteer.connect({ browserWSEndpoint: url });
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.goto(`${site}/form`);
  await page.evaluate(() => {
    window.evaluated = [];
    window.typed = '';
    document.getElementById('name').addEventListener('input', (event) => { typed += event.data; });
  });
  try {
    await runRounds(page, rounds, acts);
    const counted = await page.evaluate(() => [Number(clicks.textContent), typed, evaluated]);
    await context.close();
    await browser.disconnect();
    return { counted };
  } catch (error) {
    const next = await browser.newPage().then(() => '', (refusal) => refusal.message);
    return { error: error.message, next, connected: browser.connected };
  }
}

const [url, site, rounds, acts] = process.argv.slice(2);
console.log(JSON.stringify(await run(url, site, Number(rounds), acts.split(','))));
