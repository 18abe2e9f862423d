// The steps of the scenario for clients written in JavaScript: the twin of tests/e2e/clients/steps.py, which says what
// is read and printed. A client is an object whose methods say how each thing is done with its library:
// connect() (the browser's version), open(url), go(page, url), evaluate(page, expression), fill(page, field, text),
// click(page, button), watch(page, seen), screenshot(page), closePage(page), leave(), find(url), end().
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const STEP_TIMEOUT_MS = 15_000;
const POLL_MS = 20;
const REASON_CHARS = 100;

// Ask until it is so; the step's timeout ends it. A page that is just going elsewhere may not be able to answer.
async function until(condition, signal) {
  while (!signal.aborted) {
    if (await condition().catch(() => false)) return;
    await sleep(POLL_MS);
  }
}

const untilValue = (client, page, expression, value, signal) =>
  until(async () => (await client.evaluate(page, expression)) === value, signal);

async function titleAt(client, page, path, signal) {
  await untilValue(client, page, "location.pathname + ' ' + document.readyState", `${path} complete`, signal);
  return client.evaluate(page, 'document.title');
}

function performing(client, site) {
  let page;
  return {
    async connect() {
      return { version: (await client.connect()).split('/').at(-1) };
    },
    async navigate({ path }, signal) {
      page = await client.open(site + path);
      return { title: await titleAt(client, page, path, signal) };
    },
    async evaluate({ expression }) {
      return { value: await client.evaluate(page, expression) };
    },
    async click({ field, text, button }) {
      await client.fill(page, field, text);
      await client.click(page, button);
      const greeting = await client.evaluate(page, 'greeting.textContent');
      return { greeting, clicks: await client.evaluate(page, 'clicks.textContent') };
    },
    async events({ path, watched }, signal) {
      const responses = {};
      await client.watch(page, (url, status) => {
        const at = new URL(url).pathname;
        if (watched.includes(at)) responses[at] = status;
      });
      await client.go(page, site + path);
      await until(async () => Object.keys(responses).length === watched.length, signal);
      return { responses };
    },
    async screenshot({ path, title }, signal) {
      await client.go(page, site + path);
      await untilValue(client, page, 'document.title', title, signal);
      const png = Buffer.from(await client.screenshot(page));
      return {
        png: png.subarray(1, 4).toString() === 'PNG' && png.subarray(-8, -4).toString() === 'IEND',
        px: [png.readUInt32BE(16), png.readUInt32BE(20)],
        sha256: createHash('sha256').update(png).digest('hex'),
      };
    },
    async tabs({ paths }, signal) {
      const pages = [];
      for (const path of paths) pages.push(await client.open(site + path));
      const titles = [], kept = [];
      for (const [n, tab] of pages.entries()) titles.push(await titleAt(client, tab, paths[n], signal));
      for (const [n, tab] of pages.entries()) await client.evaluate(tab, `void (window.mine = ${n})`);
      for (const tab of pages) kept.push(await client.evaluate(tab, 'window.mine'));
      for (const tab of pages) await client.closePage(tab);
      return { titles, kept };
    },
    async detach({ path }, signal) {
      await titleAt(client, await client.open(site + path), path, signal);
      await client.leave();
      await client.connect();
      return { title: await titleAt(client, await client.find(site + path), path, signal) };
    },
    async close() {
      await client.end();
      return {};
    },
  };
}

// Why a step failed, in a line that is the same in every run: without ports, ids and addresses.
function reason(error) {
  const words = `${error?.name ?? 'Error'}: ${String(error?.message ?? error).trim().split('\n')[0] || 'no words'}`;
  return words.replace(/\b[0-9A-Fa-f-]{5,}\b/g, '…').slice(0, REASON_CHARS);
}

async function outcome(perform, given) {
  const signal = AbortSignal.timeout(STEP_TIMEOUT_MS);
  const late = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  try {
    return { gives: await Promise.race([perform(given, signal), late]) };
  } catch (error) {
    return { cannot: reason(error) };
  }
}

// Run the scenario that stdin holds with the client that `make` makes of {url, headers}, and print what it gave.
export async function main(make, packageFolder) {
  const { url, headers, site, steps } = JSON.parse(readFileSync(0, 'utf8'));
  const perform = performing(make({ url, headers }), site);
  const outcomes = {};
  for (const { name, given } of steps) {
    outcomes[name] = await outcome(perform[name], given);
    if (name === 'connect' && outcomes[name].cannot) break;
  }
  const manifest = new URL(`../node_modules/${packageFolder}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  process.stdout.write(JSON.stringify({ version, steps: outcomes }), () => process.exit(0));
}
