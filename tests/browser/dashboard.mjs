// The dashboard in a real browser, while clients talk:
// node dashboard.mjs SERVER_BINARY BACKEND PICTURE [SECONDS]
//
// Figures move as clients come, talk and go; plots are drawn; a key is asked for where there is
// one; no request leaves this host. PICTURE is where the screenshot goes, after SECONDS of talk (5
// if unset). Prints a line for each check; exit status 0 when all hold.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const STEP_MS = 40_000;
const CLIENTS = 60;
const ROOMS = ["lobby", "news", "match-4711", "weather", "orders"];
const KEY = "open-sesame";
const BROWSER_ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const [binary, backend, picture, seconds = "5"] = process.argv.slice(2);
assert(binary && backend && picture, "usage: node dashboard.mjs SERVER_BINARY BACKEND PICTURE");

const ok = (what) => console.log(`ok: ${what}`);
const servers = [];

/** A server with an operator's port, both at ports of the kernel's choice. */
async function startServer(variables = {}) {
  const addresses = ["--listen", "127.0.0.1:0", "--operator", "127.0.0.1:0"];
  const args = ["serve", ...addresses, "--backend", backend, "--workers", "2"];
  const env = { ...process.env, ...variables };
  const server = spawn(binary, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  servers.push(server);
  let log = "";
  server.stderr.on("data", (bytes) => (log += bytes));
  const until = Date.now() + STEP_MS;
  while (!log.includes(", room for ")) {
    assert(server.exitCode === null && Date.now() < until, `the server does not start:\n${log}`);
    await sleep(20);
  }
  const of = (pattern) => log.match(pattern)[1];
  const clients = of(/listening on (\S+)/);
  return { server, clients, operator: of(/operator port on (http:\S+)/) };
}

/** Clients in several rooms, which talk until they are stopped: sockets of another page. */
async function startTalk(browser, address) {
  const page = await browser.newPage();
  await page.goto(`http://${address}/`);
  await page.evaluate(
    async ([clients, rooms]) => {
      const open = (room) =>
        new Promise((resolve, reject) => {
          const socket = new WebSocket(`ws://${location.host}/room/${room}`);
          socket.onopen = () => resolve(socket);
          socket.onerror = reject;
        });
      const names = Array.from({ length: clients }, (_, nth) => rooms[(nth % 7) % rooms.length]);
      const sockets = await Promise.all(names.map(open));
      let round = 0;
      setInterval(() => {
        round += 1;
        const loud = 4 + Math.round(3 * Math.sin(round / 40));
        sockets.slice(0, loud).forEach((socket) => socket.send("x".repeat(100)));
      }, 25);
    },
    [CLIENTS, ROOMS],
  );
  return () => page.close();
}

async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (line) => {
    // The browser tells every 401 as an error of its own.
    if (line.type() === "error" && !line.text().includes("401")) faults.push(line.text());
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && origin !== url) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return { page, faults };
}

/** Waits until a figure begins with what it has to be. */
function shows(page, name, expected) {
  const holds = ([name, expected]) => document.getElementById(name).textContent.startsWith(expected);
  return page.waitForFunction(holds, [name, expected], { timeout: STEP_MS });
}

/** Waits until a figure is above zero. */
function moves(page, name) {
  const holds = (name) => parseFloat(document.getElementById(name).textContent) > 0;
  return page.waitForFunction(holds, name, { timeout: STEP_MS });
}

/** Pixels of a canvas that are painted. */
function painted(page, selector) {
  return page.locator(selector).evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
    return count;
  });
}

async function figuresMove(browser) {
  const { server, clients, operator } = await startServer();
  const { page, faults } = await openPage(browser, operator);
  await page.waitForSelector('#state[data-state="ready"]');
  await shows(page, "connections-of", "0 WebSockets");
  const empty = await painted(page, "#plot-messages canvas");
  ok("an idle server is ready and has no connections");

  const stop = await startTalk(browser, clients);
  await shows(page, "connections-of", `${CLIENTS} WebSockets`);
  await moves(page, "connections");
  for (const name of ["delivered", "received", "p99", "memory"]) await moves(page, name);
  await page.waitForSelector("#rooms tr");
  assert.equal(await page.locator("#cores .core").count(), 2);
  ok("figures, cores and rooms move as clients talk");
  await sleep(Number(seconds) * 1000);
  assert((await painted(page, "#plot-messages canvas")) > empty + 500, "lines are drawn");
  await takePictures(page);
  ok("plots are drawn");

  await stop();
  await shows(page, "connections-of", "0 WebSockets");
  ok("clients that go are not counted any more");
  server.kill("SIGKILL");
  await page.waitForSelector('#state[data-state="bad"]');
  ok("a server that has gone is shown as gone");
  // The failed requests of the page that lost its server are what was wanted.
  const others = faults.filter((fault) => !fault.includes("ERR_"));
  assert.deepEqual(others, []);
  ok("nothing was asked of others, and nothing failed");
}

/** Light for the document, dark and on a phone for who looks at what a test has left. */
async function takePictures(page) {
  await mkdir(dirname(picture), { recursive: true });
  await page.screenshot({ path: picture, fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await sleep(200);
  await page.screenshot({ path: picture.replace(".png", "-dark.png"), fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  await sleep(500);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert(width <= 390, `a phone need not scroll sideways: ${width}`);
  await page.screenshot({ path: picture.replace(".png", "-phone.png"), fullPage: true });
}

async function aKeyIsAskedFor(browser) {
  const { operator } = await startServer({ THRONG_OPERATOR_KEY: KEY });
  const { page, faults } = await openPage(browser, operator);
  await page.fill("#key", "wrong");
  await page.press("#key", "Enter");
  await shows(page, "key-says", "That is not the key.");
  await page.fill("#key", KEY);
  await page.press("#key", "Enter");
  await page.waitForSelector('#state[data-state="ready"]');
  assert.deepEqual(faults, []);
  ok("a key is asked for, and opens");
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: BROWSER_ARGS,
});
try {
  await figuresMove(browser);
  await aKeyIsAskedFor(browser);
} finally {
  await browser.close();
  servers.forEach((server) => server.kill("SIGKILL"));
}
process.exit(0);
