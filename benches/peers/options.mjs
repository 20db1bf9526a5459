// What the JavaScript servers share: the command line, the address and the routes.

import { parseArgs } from "node:util";

export const hostname = "127.0.0.1";

// Connections that wait to be accepted; more are refused by the kernel.
export const backlog = 65535;

// The TCP port; 0 lets the kernel choose.
export function port() {
  const { values } = parseArgs({ options: { port: { type: "string" } } });
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port ?? "") || port > 65535) {
    console.error("--port P is needed, from 0 to 65535");
    process.exit(2);
  }
  return port;
}

// What a path is about: `undefined` is echo, a name is a room, `null` is neither.
export function roomOf(path) {
  const [name] = path.split("?");
  if (name === "/echo") {
    return undefined;
  }
  return name.startsWith("/room/") && name.length > "/room/".length ? name.slice(6) : null;
}

export function sayReady(port) {
  console.log(`listening on ${hostname}:${port}`);
}
