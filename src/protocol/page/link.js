// Connections to a room: one that carries its messages and comes back by itself, and one that
// tells how many are there.

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 20_000;
// Behind the moment that a server that stops has told.
const JITTER_MS = 1_000;
const CONNECT_TIMEOUT_MS = 15_000;
// A server that accepts and closes at once must not be asked again without growing pauses.
const STABLE_MS = 5_000;
// What is asked of the server by an ordinary request must not hold up the next attempt for long.
const REASON_TIMEOUT_MS = 3_000;

// Relative to the page, which may stand under any path of a proxy.
function addressOf(path) {
  return new URL(path, new URL(".", location.href));
}

function socketAt(path, ...protocols) {
  const address = addressOf(path);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address, ...protocols);
  socket.binaryType = "arraybuffer";
  return socket;
}

// Browsers do not tell a page why it was refused. An ordinary request for the same is told; the
// origin stands in it, since browsers leave that out where they ask the page's own server.
async function reasonOf(path) {
  const address = addressOf(path);
  address.searchParams.set("origin", location.origin);
  try {
    const signal = AbortSignal.timeout(REASON_TIMEOUT_MS);
    const response = await fetch(address, { signal, cache: "no-store" });
    const words = (await response.text()).trim();
    const isText = response.headers.get("Content-Type")?.startsWith("text/plain") ?? false;
    if (response.status === 426) {
      return { words: "" };
    }
    const isFinal = [403, 404, 421].includes(response.status);
    return { isFinal, words: isText && words ? words : `status ${response.status}` };
  } catch {
    return { words: "" };
  }
}

// Ends by which a server says that coming back is of no use. Of 1008 it is the reason that says so:
// who was only silent for too long is welcome again.
function isFinal({ code, reason }) {
  const mustNotSpeak = code === 1008 && reason.startsWith("clients do not publish");
  return mustNotSpeak || (code >= 4500 && code <= 4999);
}

// What a server that stops asks its clients to wait, in milliseconds.
function retryAfterOf({ reason }) {
  const seconds = /(?:^|\s)retry-after=(\d+)s$/.exec(reason)?.[1];
  return seconds === undefined ? null : seconds * 1000;
}

// `on` has: state(name, details), message(data), open().
export class Link {
  #path;
  #on;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #openedAt = Infinity;
  #words = "";

  constructor(path, on) {
    this.#path = path;
    this.#on = on;
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // Names the present connection among those that follow each other.
  get openedAt() {
    return this.#openedAt;
  }

  send(data) {
    this.#socket.send(data);
  }

  // What is still on its way belongs to the room that is left.
  leave() {
    clearTimeout(this.#timer);
    this.#on = { state() {}, message() {}, open() {} };
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  retryNow() {
    if (this.#timer && this.#socket.readyState === WebSocket.CLOSED) {
      this.#connect();
    }
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const state = this.#failures === 0 ? "connecting" : "reconnecting";
    this.#on.state(state, { words: this.#words });
    const attempt = socketAt(this.#path);
    attempt.onopen = () => this.#opened();
    attempt.onmessage = ({ data }) => this.#on.message(data);
    attempt.onclose = (event) => this.#closed(event);
    this.#openedAt = Infinity;
    this.#timer = setTimeout(() => attempt.close(), CONNECT_TIMEOUT_MS);
    this.#socket = attempt;
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#openedAt = performance.now();
    this.#on.state("connected");
    this.#on.open();
  }

  async #closed(event) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (isFinal(event)) {
      this.#on.state("closed", { words: event.reason || `code ${event.code}` });
      return;
    }
    this.#words = "";
    if (this.#openedAt === Infinity) {
      const socket = this.#socket;
      const why = await reasonOf(this.#path);
      if (socket !== this.#socket || socket.onclose === null) {
        return;
      }
      if (why.isFinal) {
        this.#on.state("closed", { words: why.words });
        return;
      }
      this.#words = why.words;
    } else if (performance.now() - this.#openedAt >= STABLE_MS) {
      this.#failures = 0;
    }
    this.#retryAt(performance.now() + this.#delayBehind(event));
  }

  // Who is told when to come back is spread by that. Else full jitter, so that those whom one outage
  // cut off do not come back at one moment.
  #delayBehind(event) {
    const bound = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** this.#failures);
    this.#failures += 1;
    const told = retryAfterOf(event);
    return told === null ? Math.random() * bound : told + Math.random() * JITTER_MS;
  }

  #retryAt(moment) {
    const left = moment - performance.now();
    if (left <= 0) {
      this.#connect();
      return;
    }
    const seconds = Math.ceil(left / 1000);
    this.#on.state("reconnecting", { words: this.#words, seconds });
    this.#timer = setTimeout(() => this.#retryAt(moment), Math.min(left, 1000));
  }
}

// Tells what the server says of a room, for as long as that connection lasts. A server that tells
// nothing refuses it, and nothing is shown.
export class Watch {
  #socket;

  constructor(path, onEvent) {
    this.#socket = socketAt(path, "throng.events");
    this.#socket.onmessage = ({ data }) => onEvent(JSON.parse(data));
    this.#socket.onclose = () => onEvent(null);
  }

  leave() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }
}
