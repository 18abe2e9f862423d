// The least a relay can do: what a device says goes to its clients, what a client says goes to its device. A bound.
// node pass_through.cjs PORT
const { WebSocketServer } = require('ws');

const devices = new Map(); // id -> { socket, clients }
const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), maxPayload: 2 ** 28 });

function joinDevice(id, socket) {
  const device = { socket, clients: new Set() };
  devices.set(id, device);
  socket.on('message', (data) => device.clients.forEach((client) => client.send(data, { binary: false })));
  socket.on('close', () => devices.delete(id));
}

function joinClient(id, socket) {
  const device = devices.get(id);
  if (device === undefined) return socket.close();
  device.clients.add(socket);
  socket.on('message', (data) => device.socket.send(data, { binary: false }));
  socket.on('close', () => device.clients.delete(socket));
}

server.on('connection', (socket, request) => {
  const [, , part, id] = request.url.split('/');
  (part === 'device' ? joinDevice : joinClient)(id, socket);
});
