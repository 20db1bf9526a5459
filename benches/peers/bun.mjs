#!/usr/bin/env bun
// The server on Bun's own WebSockets and topics.

import { hostname, port, roomOf, sayReady } from "./options.mjs";

const server = Bun.serve({
  hostname,
  port: port(),
  fetch(request, server) {
    const room = roomOf(new URL(request.url).pathname);
    if (room === null || !server.upgrade(request, { data: room })) {
      return new Response("no such path", { status: 404 });
    }
  },
  websocket: {
    perMessageDeflate: false,
    // No timers and no limit of what waits for a slow reader, as the others.
    idleTimeout: 0,
    sendPings: false,
    backpressureLimit: 0,
    open(socket) {
      if (socket.data !== undefined) {
        socket.subscribe(socket.data);
      }
    },
    message(socket, message) {
      if (socket.data === undefined) {
        socket.send(message);
      } else {
        // The server's publish goes to all, the socket's own would leave the sender out.
        server.publish(socket.data, message);
      }
    },
  },
});
sayReady(server.port);
