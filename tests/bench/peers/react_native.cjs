// React Native's dev-middleware, mounted as its documentation says: HTTP, and its WebSocket endpoints at the upgrade.
// node react_native.cjs PORT
const http = require('http');
const { createDevMiddleware } = require('@react-native/dev-middleware');

const port = Number(process.argv[2]);
const { middleware, websocketEndpoints } = createDevMiddleware({ serverBaseUrl: `http://127.0.0.1:${port}` });
const server = http.createServer(middleware);

server.on('upgrade', (request, socket, head) => {
  const endpoint = websocketEndpoints[new URL(request.url, 'http://localhost').pathname];
  if (endpoint === undefined) return socket.destroy();
  endpoint.handleUpgrade(request, socket, head, (open) => endpoint.emit('connection', open, request));
});
server.listen(port, '127.0.0.1');
