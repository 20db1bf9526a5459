// Two people in the chat page, in a real browser: node chat.mjs SERVER_BINARY BACKEND
//
// They talk, markup stays text, the server goes away and comes back, and so do they. Prints a line
// for each check; exit status 0 when all hold. CHROMIUM is the browser, /usr/bin/chromium if unset.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, request as httpRequest } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const STEP_MS = 20_000;
// The pages pause for up to 20 s between attempts, and the browser adds some of its own.
const RETURN_MS = 45_000;
const TOTAL_MS = 150_000;

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
const MARKUP = '<img src=x onerror="window.hasRun = true"><script>window.hasRun = true</script>';

const [binary, backend] = process.argv.slice(2);
assert(binary && backend, "usage: node chat.mjs SERVER_BINARY BACKEND");

let server = null;
let serverLog = "";

function ok(what) {
  console.log(`ok: ${what}`);
}

// The server

async function isFree(port) {
  const probe = createServer().listen(port, "127.0.0.1");
  try {
    await once(probe, "listening");
    return true;
  } catch {
    return false;
  } finally {
    probe.close();
  }
}

// Below the ports that the kernel gives to outgoing connections: one of those might be taken
// while the server is down.
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await isFree(port)) {
      return port;
    }
  }
}

async function startServer(port) {
  const listen = ["--listen", `127.0.0.1:${port}`, "--backend", backend, "--workers", "2", "--operator", "off"];
  server = spawn(binary, ["serve", "--drain", "100ms", ...listen], { stdio: ["ignore", "ignore", "pipe"] });
  server.on("error", (error) => (serverLog += `${error}\n`));
  server.stderr.on("data", (bytes) => (serverLog += bytes));
  const until = Date.now() + STEP_MS;
  while (!(await answers(port))) {
    assert(isRunning() && Date.now() < until, "the server does not answer");
    await sleep(50);
  }
}

async function answers(port) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) });
    await response.text();
    return response.ok;
  } catch {
    return false;
  }
}

function isRunning() {
  return server?.pid !== undefined && server.exitCode === null && server.signalCode === null;
}

async function stopServer() {
  const exit = once(server, "exit", { signal: AbortSignal.timeout(STEP_MS) });
  server.kill("SIGTERM");
  assert.deepEqual(await exit, [0, null], "exit code and signal of the server");
}

function killServer() {
  if (isRunning()) {
    server.kill("SIGKILL");
  }
}

// The pages

async function openPage(browser, url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.exposeFunction("noteViolation", (what) => faults.push(what));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.noteViolation(`${event.violatedDirective} forbids ${event.blockedURI}`);
    });
  });
  await page.goto(url);
  return { page, faults };
}

async function enter(browser, url, name) {
  const { page, faults } = await openPage(browser, url);
  await page.fill("#name", name);
  await page.click("#enter");
  await isConnected(page);
  return { page, faults, name };
}

function isConnected(page, timeout = STEP_MS) {
  return page.waitForSelector('#state[data-state="connected"]', { timeout });
}

async function say({ page }, text) {
  await page.fill("#draft", text);
  await page.press("#draft", "Enter");
}

async function hears({ page }, text, author) {
  const message = page.locator("#messages li").filter({ hasText: text });
  await message.waitFor();
  assert.equal(await message.locator(".text").textContent(), text);
  assert.equal(await message.locator(".from").textContent(), author);
}

function texts({ page }) {
  return page.locator("#messages .text").allTextContents();
}

// The story

async function talk(people, words) {
  for (const speaker of people) {
    const text = `${words} from ${speaker.name}`;
    await say(speaker, text);
    for (const listener of people) {
      await hears(listener, text, speaker.name);
      const isOwn = await listener.page
        .locator("#messages li.own")
        .filter({ hasText: text })
        .count();
      assert.equal(isOwn, speaker === listener ? 1 : 0);
      ok(`${listener.name} hears "${text}"`);
    }
  }
}

async function markupStaysText(people) {
  await say(people[0], MARKUP);
  for (const listener of people) {
    await hears(listener, MARKUP, people[0].name);
    assert.equal(await listener.page.locator("img, #messages script").count(), 0);
    assert.equal(await listener.page.evaluate(() => window.hasRun), undefined);
    ok(`markup stays text in the page of ${listener.name}`);
  }
}

async function orderIsKept(people) {
  const said = Array.from({ length: 20 }, (_, number) => `number ${number}.`);
  for (const text of said) {
    await say(people[1], text);
  }
  for (const listener of people) {
    await hears(listener, said.at(-1), people[1].name);
    const heard = await texts(listener);
    assert.deepEqual(heard.slice(-said.length), said);
    ok(`${listener.name} hears ${said.length} messages in order`);
  }
}

// What no chat page says: other clients speak in rooms too.
async function rawMessagesAreShown(people, room) {
  await people[0].page.evaluate(async (name) => {
    const socket = new WebSocket(`ws://${location.host}/room/${name}`);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    socket.send("no JSON");
    socket.send(new Uint8Array(5));
    socket.close();
  }, room);
  for (const listener of people) {
    await hears(listener, "no JSON", "anonymous");
    await hears(listener, "(binary, 5 bytes)", "anonymous");
    ok(`${listener.name} sees what a raw client sends`);
  }
}

// What the server tells few clients, who are all gone within a second.
const SLOT_MS = 1_000;

async function outageIsSurvived(people, port) {
  const leftAt = performance.now();
  await stopServer();
  ok("SIGTERM ends the server with exit code 0");
  for (const { page, name } of people) {
    await page.waitForSelector('#state[data-state="reconnecting"]');
    assert.match(await page.textContent("#state"), /^Reconnecting/);
    ok(`the page of ${name} is reconnecting`);
  }
  for (const text of ["while away 1", "while away 2"]) {
    await say(people[0], text);
  }
  await people[0].page.waitForSelector("#messages .waiting");
  assert.match(await people[0].page.textContent("#hint"), /^Not connected/);
  ok("what is said meanwhile waits, and the page says so");

  await startServer(port);
  for (const { page, name } of people) {
    await isConnected(page, RETURN_MS);
    assert(performance.now() - leftAt >= SLOT_MS, "no page comes back before its time");
    ok(`the page of ${name} is back by itself, and not before it is told to be`);
  }
  // Who comes back later than the other hears nothing that was said before.
  const [speaker] = people;
  await speaker.page.waitForSelector("#messages .waiting", { state: "detached" });
  await hears(speaker, "while away 2", speaker.name);
  assert.deepEqual((await texts(speaker)).slice(-2), ["while away 1", "while away 2"]);
  ok(`what ${speaker.name} said meanwhile is said once, in order`);
}

async function othersAreCounted(people) {
  for (const { page, name } of people) {
    await page.waitForFunction(() => {
      const { textContent } = document.querySelector("#count");
      return /^2 here, last message to all in [\d.]+ ms$/.test(textContent);
    });
    ok(`the page of ${name} counts two people`);
  }
}

async function coloursDiffer(people) {
  const { page } = people[0];
  const hues = await page
    .locator("#messages .avatar.known")
    .evaluateAll((avatars) => avatars.map((avatar) => avatar.style.getPropertyValue("--hue")));
  assert.equal(new Set(hues).size, 2, `${hues}`);
  ok("two people have two colours");
}

async function linksAreLinks(people) {
  const text = "see http://a.example/x?y=1, javascript:alert(1) or (https://b.example/z).";
  await say(people[0], text);
  await hears(people[1], text, people[0].name);
  const links = people[1].page.locator("#messages a");
  const found = await links.evaluateAll((all) => all.map(({ href, rel }) => [href, rel]));
  const rel = "noopener noreferrer nofollow";
  assert.deepEqual(found, [["http://a.example/x?y=1", rel], ["https://b.example/z", rel]]);
  ok("addresses are links, and nothing else is");
}

async function reloadStays(people) {
  for (const { page, name } of people) {
    await page.reload();
    await isConnected(page);
    assert.equal(await page.isVisible("#chat"), true);
    assert.equal(await page.inputValue("#me"), name);
  }
  ok("who loads the page again is in the room again");
}

// As it stands in the README; with what it hears, or the code that it is closed with.
function trySnippet(page, address) {
  return page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const room = new WebSocket(url);
        room.onmessage = (event) => resolve(event.data);
        room.onopen = () => room.send("hello");
        room.onclose = ({ code }) => resolve(code);
      }),
    address,
  );
}

async function snippetWorks(browser, port) {
  const html = "<!doctype html><title>mine</title>";
  const other = createHttpServer((_, response) => response.end(html)).listen(0, "127.0.0.1");
  other.unref();
  await once(other, "listening");
  const { page } = await openPage(browser, `http://localhost:${other.address().port}/`);
  for (const path of ["/room/lobby", ""]) {
    assert.equal(await trySnippet(page, `ws://127.0.0.1:${port}${path}`), "hello", path);
  }
  ok("the snippet of the README works from another server's page of this machine");

  // Such a page has the origin that any website can have too.
  const folder = mkdtempSync(join(tmpdir(), "throng-page-"));
  writeFileSync(join(folder, "mine.html"), html);
  const opened = await openPage(browser, `file://${folder}/mine.html`);
  assert.equal(await trySnippet(opened.page, `ws://127.0.0.1:${port}`), 1006);
  // A thread of its own writes the log, and a line of it may be on its way.
  for (let tries = 0; tries < 600 && !serverLog.includes("--allowed-origins null"); tries += 1) {
    await sleep(50);
  }
  assert.match(serverLog, /open the page by http:.*--allowed-origins null/);
  rmSync(folder, { recursive: true });
  ok("from a file it is refused, and the log says what to do");
}

// A proxy under a sub-path, which leaves Host as it is or puts another one in its place.
async function startProxy(port, host) {
  const prefix = "/some/where";
  const proxy = createHttpServer().listen(0, "127.0.0.1");
  proxy.unref();
  const forward = (request) => {
    const headers = { ...request.headers, host: host ?? request.headers.host };
    const path = request.url.slice(prefix.length);
    return httpRequest({ host: "127.0.0.1", port, path, method: request.method, headers });
  };
  proxy.on("request", (request, response) => {
    if (!request.url.startsWith(`${prefix}/`)) {
      response.writeHead(404).end();
      return;
    }
    const inner = forward(request);
    inner.on("response", (answer) => {
      answer.pipe(response.writeHead(answer.statusCode, answer.headers));
    });
    inner.on("error", () => response.destroy());
    inner.end();
  });
  proxy.on("upgrade", (request, socket) => {
    socket.on("error", () => {});
    const inner = forward(request);
    inner.on("upgrade", (answer, other) => {
      other.on("error", () => {});
      const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`);
      other.pipe(socket).pipe(other);
    });
    inner.on("response", (answer) => socket.end(`HTTP/1.1 ${answer.statusCode} No\r\n\r\n`));
    inner.on("error", () => socket.destroy());
    inner.end();
  });
  await once(proxy, "listening");
  return { proxy, url: `http://127.0.0.1:${proxy.address().port}${prefix}/?room=tea` };
}

async function subPathWorks(browser, port) {
  const { proxy, url } = await startProxy(port);
  const person = await enter(browser, url, "Joan");
  await say(person, "from below");
  await hears(person, "from below", "Joan");
  await person.page.waitForSelector("#count:not([hidden])");
  assert.deepEqual(person.faults, []);
  await person.page.context().close();
  proxy.closeAllConnections();
  proxy.close();
  ok("the page works under a sub-path of a proxy");
}

async function refusalIsExplained(browser, port) {
  const { proxy, url } = await startProxy(port, "upstream.example");
  const { page } = await openPage(browser, url);
  await page.click("#enter");
  await page.waitForSelector('#state[data-state="closed"]');
  const reason = await page.textContent("#reason");
  assert.match(reason, /--allowed-origins http:\/\/127\.0\.0\.1:\d+/);
  assert.match(reason, /proxy_set_header Host/);
  await say({ page }, "kept");
  assert.equal(await page.inputValue("#draft"), "kept");
  assert.match(await page.textContent("#hint"), /^Not sent/);
  await page.context().close();
  proxy.closeAllConnections();
  proxy.close();
  ok("who is refused is told why, and what to do");
}

async function run(browser) {
  const port = await freePort();
  await startServer(port);
  ok(`the server answers on port ${port} with ${backend}`);
  const room = "tea";
  const url = `http://127.0.0.1:${port}/?room=${room}`;
  const people = [await enter(browser, url, "Ada"), await enter(browser, url, "Grace")];
  await talk(people, "hello");
  await othersAreCounted(people);
  await coloursDiffer(people);
  await linksAreLinks(people);
  await markupStaysText(people);
  await orderIsKept(people);
  await rawMessagesAreShown(people, room);
  await outageIsSurvived(people, port);
  await talk(people, "again");
  await reloadStays(people);
  await talk(people, "and again");
  await snippetWorks(browser, port);
  await subPathWorks(browser, port);
  await refusalIsExplained(browser, port);
  for (const { faults, name } of people) {
    assert.deepEqual(faults, []);
    ok(`no error and no breach of the policy in the page of ${name}`);
  }
  await stopServer();
  ok("the server stops with exit code 0 once more");
}

// Whatever ends this process, the server goes with it, as the browser does.
process.on("exit", killServer);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => process.exit(1));
}
setTimeout(() => {
  console.error(`FAILED: not finished after ${TOTAL_MS / 1000} s\n${serverLog}`);
  process.exit(1);
}, TOTAL_MS).unref();

let browser = null;
try {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: BROWSER_ARGS,
    timeout: STEP_MS,
  });
  await run(browser);
} catch (error) {
  console.error(`FAILED: ${error.stack}\nthe log of the server:\n${serverLog}`);
  process.exitCode = 1;
} finally {
  await browser?.close();
  killServer();
}
