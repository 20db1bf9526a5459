// Two people in the chat page, in a real browser: node chat.mjs SERVER_BINARY BACKEND
//
// They talk, markup stays text, the server goes away and comes back, and so do they. Prints a line
// for each check; exit status 0 when all hold. CHROMIUM is the browser, /usr/bin/chromium if unset.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
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
  server = spawn(binary, ["serve", ...listen], { stdio: ["ignore", "ignore", "pipe"] });
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

async function join(browser, url, name) {
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

async function outageIsSurvived(people, port) {
  await stopServer();
  ok("SIGTERM ends the server with exit code 0");
  for (const { page, name } of people) {
    await page.waitForSelector('#state[data-state="reconnecting"]');
    assert.match(await page.textContent("#state"), /^Reconnecting/);
    ok(`the page of ${name} is reconnecting`);
  }
  await say(people[0], "unsent");
  assert.equal(await people[0].page.inputValue("#draft"), "unsent");
  ok("what cannot be sent stays in the input");

  await startServer(port);
  for (const { page, name } of people) {
    await isConnected(page, RETURN_MS);
    ok(`the page of ${name} is back by itself`);
  }
}

async function run(browser) {
  const port = await freePort();
  await startServer(port);
  ok(`the server answers on port ${port} with ${backend}`);
  const room = "tea";
  const url = `http://127.0.0.1:${port}/?room=${room}`;
  const people = [await join(browser, url, "Ada"), await join(browser, url, "Grace")];
  await talk(people, "hello");
  await markupStaysText(people);
  await orderIsKept(people);
  await rawMessagesAreShown(people, room);
  await outageIsSurvived(people, port);
  await talk(people, "again");
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
