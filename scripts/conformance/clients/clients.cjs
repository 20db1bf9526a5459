// The JavaScript clients against an echo server: node clients.cjs ws://127.0.0.1:PORT/PATH
//
// One PASS or FAIL line a client, 'N passed, N failed' last; exit status 0 when none failed.
// The packages are found by NODE_PATH.
'use strict';
const assert = require('node:assert');
const { Client: FayeClient } = require('faye-websocket');
const { WebSocket: UndiciWebSocket } = require('undici');
const { client: WebsocketClient } = require('websocket');
const WebSocket = require('ws');

const url = process.argv[2];
const TIME_LIMIT_MS = 30000;
const SIZES = [0, 1, 125, 126, 65535, 65536, 1000000];
const BURST = 200;
const LARGEST = 16 << 20;

// Never ends inside a surrogate pair: a client would have to replace the lone half.
const textOf = (length) => 'h\u00e9 \u{1F600} '.repeat(Math.ceil(length / 6)).slice(0, length)
  .replace(/[\ud800-\udbff]$/, '.');
const bytesOf = (length) => Buffer.alloc(length).map((_, i) => (i * 31 + length) & 255);

// What a client has received, in order; a failure ends the waiting for more.
class Inbox {
  messages = [];
  waiting = null;
  failure = null;

  deliver(message) {
    this.messages.push(message);
    this.wake();
  }

  fail(error) {
    this.failure ??= error;
    this.wake();
  }

  wake() {
    this.waiting?.();
    this.waiting = null;
  }

  async next() {
    while (this.messages.length === 0) {
      if (this.failure) throw this.failure;
      await new Promise((resolve) => { this.waiting = resolve; });
    }
    return this.messages.shift();
  }
}

const closedEarly = (code) => new Error(`the connection closed with code ${code}`);

// Each opener resolves to { send, close, ping?, extensions? } once its client is connected and
// hands all it receives to the inbox; `close` resolves to the close code.

const openWs = (perMessageDeflate) => (inbox) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url, { perMessageDeflate });
  socket.on('message', (data, isBinary) => inbox.deliver(isBinary ? data : data.toString()));
  socket.on('error', (error) => { inbox.fail(error); reject(error); });
  socket.on('close', (code) => inbox.fail(closedEarly(code)));
  socket.on('open', () => resolve({
    extensions: socket.extensions,
    send: (data) => socket.send(data),
    ping: (data) => new Promise((done) => {
      socket.once('pong', (answer) => done(answer.toString()));
      socket.ping(data);
    }),
    close: () => new Promise((done) => { socket.once('close', done); socket.close(1000); }),
  }));
});

const openUndici = (inbox) => new Promise((resolve, reject) => {
  const socket = new UndiciWebSocket(url);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) =>
    inbox.deliver(typeof data === 'string' ? data : Buffer.from(data));
  socket.onerror = (event) => { inbox.fail(event); reject(event); };
  socket.onclose = ({ code }) => inbox.fail(closedEarly(code));
  socket.onopen = () => resolve({
    extensions: socket.extensions,
    send: (data) => socket.send(data),
    close: () => new Promise((done) => {
      socket.onclose = ({ code, wasClean }) => done(wasClean ? code : `${code}, not clean`);
      socket.close(1000);
    }),
  });
});

const openFaye = (inbox) => new Promise((resolve, reject) => {
  const socket = new FayeClient(url);
  socket.on('message', ({ data }) => inbox.deliver(data));
  socket.on('error', (error) => { inbox.fail(error); reject(error); });
  socket.on('close', ({ code }) => inbox.fail(closedEarly(code)));
  socket.on('open', () => resolve({
    send: (data) => socket.send(data),
    ping: (data) => new Promise((done) => { socket.ping(data, () => done(data)); }),
    close: () => new Promise((done) => {
      socket.on('close', ({ code }) => done(code));
      socket.close(1000);
    }),
  }));
});

const openWebsocket = (inbox) => new Promise((resolve, reject) => {
  const limits = { maxReceivedMessageSize: LARGEST, maxReceivedFrameSize: LARGEST };
  const client = new WebsocketClient(limits);
  client.on('connectFailed', reject);
  client.on('connect', (socket) => {
    socket.on('message', ({ type, utf8Data, binaryData }) =>
      inbox.deliver(type === 'utf8' ? utf8Data : binaryData));
    socket.on('error', (error) => inbox.fail(error));
    socket.on('close', (code) => inbox.fail(closedEarly(code)));
    resolve({
      send: (data) => (typeof data === 'string' ? socket.sendUTF(data) : socket.sendBytes(data)),
      ping: (data) => new Promise((done) => {
        socket.once('pong', (answer) => done(answer.toString()));
        socket.ping(data);
      }),
      close: () => new Promise((done) => { socket.once('close', done); socket.close(1000); }),
    });
  });
  client.connect(url);
});

// Texts and binaries of every size of the length field, a burst, a ping, and a clean close.
async function exercise(open, extension) {
  const inbox = new Inbox();
  const client = await open(inbox);
  if (extension !== undefined) {
    const [negotiated] = client.extensions.split(';');
    assert.strictEqual(negotiated, extension, `extensions: ${client.extensions}`);
  }
  for (const size of SIZES) {
    const text = textOf(size);
    client.send(text);
    assert.ok(await inbox.next() === text, `text of ${size} characters came back changed`);
    const bytes = bytesOf(size);
    client.send(bytes);
    assert.ok(bytes.equals(await inbox.next()), `binary of ${size} bytes came back changed`);
  }
  for (let i = 0; i < BURST; i++) client.send(`message ${i}`);
  for (let i = 0; i < BURST; i++) assert.strictEqual(await inbox.next(), `message ${i}`);
  if (client.ping) assert.strictEqual(await client.ping('payload'), 'payload', 'pong payload');
  assert.strictEqual(await client.close(), 1000, 'close code');
}

function withinTimeLimit(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${TIME_LIMIT_MS} ms`)), TIME_LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function main() {
  let failed = 0;
  const runs = [
    ['npm ws, with compression', openWs(true), 'permessage-deflate'],
    ['npm ws, without compression', openWs(false), ''],
    ['npm undici', openUndici, 'permessage-deflate'],
    ['npm faye-websocket', openFaye],
    ['npm websocket', openWebsocket],
  ];
  for (const [name, open, extension] of runs) {
    try {
      await withinTimeLimit(exercise(open, extension));
      console.log(`PASS ${name}`);
    } catch (error) {
      failed += 1;
      const message = String(error?.message ?? error).replace(/\s+/g, ' ');
      console.log(`FAIL ${name}: ${message.slice(0, 200)}`);
    }
  }
  console.log(`${runs.length - failed} passed, ${failed} failed`);
  // A client that failed may have left its connection open, which would keep node running.
  process.exit(failed ? 1 : 0);
}

main();
