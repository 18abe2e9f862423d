// chrome-remote-interface: by ws URL it speaks to the browser and to pages as flat sessions of that one socket; by http
// address it is given host and port, asks for the protocol and opens a socket for each page.
import CDP from 'chrome-remote-interface';
import { main } from './steps.mjs';

// What both ways share: a page is whatever `send` and `on` take.
function pageMethods(send, on) {
  const evaluate = async (page, expression) =>
    (await send(page, 'Runtime.evaluate', { expression, returnByValue: true })).result.value;
  return {
    go: (page, url) => send(page, 'Page.navigate', { url }),
    evaluate,
    async fill(page, field, text) {
      await evaluate(page, `document.querySelector('${field}').focus()`);
      await send(page, 'Input.insertText', { text });
    },
    async click(page, button) {
      const { root } = await send(page, 'DOM.getDocument', {});
      const { nodeId } = await send(page, 'DOM.querySelector', { nodeId: root.nodeId, selector: button });
      const { model } = await send(page, 'DOM.getBoxModel', { nodeId });
      const [left, top, , , right, bottom] = model.content;
      const at = { x: (left + right) / 2, y: (top + bottom) / 2, button: 'left', clickCount: 1 };
      await send(page, 'Input.dispatchMouseEvent', { type: 'mousePressed', ...at });
      await send(page, 'Input.dispatchMouseEvent', { type: 'mouseReleased', ...at });
    },
    async watch(page, seen) {
      on(page, 'Network.responseReceived', ({ response }) => seen(response.url, response.status));
      await send(page, 'Network.enable', {});
    },
    screenshot: async (page) =>
      Buffer.from((await send(page, 'Page.captureScreenshot', { format: 'png' })).data, 'base64'),
  };
}

function byWsUrl({ url }) {
  let client;
  const attached = async (targetId) => {
    const { sessionId } = await client.Target.attachToTarget({ targetId, flatten: true });
    return { targetId, sessionId };
  };
  return {
    ...pageMethods(
      (page, method, params) => client.send(method, params, page.sessionId),
      (page, event, heard) => client.on(`${event}.${page.sessionId}`, heard),
    ),
    async connect() {
      client = await CDP({ target: url, local: true });
      return (await client.Browser.getVersion()).product;
    },
    open: async (at) => attached((await client.Target.createTarget({ url: at })).targetId),
    closePage: ({ targetId }) => client.Target.closeTarget({ targetId }),
    leave: () => client.close(),
    async find(at) {
      const { targetInfos } = await client.Target.getTargets();
      return attached(targetInfos.find((target) => target.url === at).targetId);
    },
    async end() {
      await client.Browser.close();
      await client.close();
    },
  };
}

function byHostAndPort({ url }) {
  const { hostname: host, port } = new URL(url);
  const where = { host, port: Number(port) };
  let pages = [];
  const driven = async (target) => {
    const client = await CDP({ ...where, target: target.id });
    const page = { id: target.id, client };
    pages.push(page);
    return page;
  };
  return {
    ...pageMethods(
      (page, method, params) => page.client.send(method, params),
      (page, event, heard) => page.client.on(event, heard),
    ),
    connect: async () => (await CDP.Version(where)).Browser,
    open: async (at) => driven(await CDP.New({ ...where, url: at })),
    async closePage(page) {
      await CDP.Close({ ...where, id: page.id });
      pages = pages.filter((other) => other !== page);
    },
    async leave() {
      for (const page of pages) await page.client.close();
      pages = [];
    },
    find: async (at) => driven((await CDP.List(where)).find((target) => target.url === at)),
    async end() {
      await pages[0].client.Browser.close();
      for (const page of pages) await page.client.close();
    },
  };
}

await main((place) => (place.url.startsWith('http') ? byHostAndPort(place) : byWsUrl(place)), 'chrome-remote-interface');
