#!/usr/bin/env node
// The server on ws. It takes the bufferutil add-on by itself if that is installed.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { backlog, hostname, port, roomOf, sayReady } from "./options.mjs";

const rooms = new Map();
const sockets = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
});

function join(socket, name) {
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room.add(socket));
  socket.on("message", (data, isBinary) => {
    for (const member of room) {
      member.send(data, { binary: isBinary });
    }
  });
  socket.on("close", () => {
    room.delete(socket);
    if (room.size === 0 && rooms.get(name) === room) {
      rooms.delete(name);
    }
  });
}

function echo(socket) {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
}

const server = createServer((_, response) => response.writeHead(404).end());
server.on("upgrade", (request, connection, head) => {
  const room = roomOf(request.url);
  if (room === null) {
    connection.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  sockets.handleUpgrade(request, connection, head, (socket) => {
    // A connection that breaks is the client's business.
    socket.on("error", () => {});
    room === undefined ? echo(socket) : join(socket, room);
  });
});
server.listen({ host: hostname, port: port(), backlog }, () => sayReady(server.address().port));
