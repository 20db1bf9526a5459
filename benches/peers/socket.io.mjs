#!/usr/bin/env node
// The server on Socket.IO, over WebSocket alone.
//
// Its clients have no paths of their own: `{ auth: { room: NAME } }` joins a room, and without it
// messages are echoed. A message is the event "message" with one argument.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { backlog, hostname, port, sayReady } from "./options.mjs";

const server = createServer();
const io = new Server(server, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
});

// The request that opened a connection need not be kept ("Performance tuning" in its manual).
io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.on("connection", (socket) => {
  const room = socket.handshake.auth.room;
  if (room === undefined) {
    socket.on("message", (message) => socket.emit("message", message));
    return;
  }
  socket.join(room);
  socket.on("message", (message) => io.to(room).emit("message", message));
});

server.listen({ host: hostname, port: port(), backlog }, () => sayReady(server.address().port));
