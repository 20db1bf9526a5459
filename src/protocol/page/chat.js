// One room over a plain WebSocket. Whatever it says is shown as text, never as markup.

const MESSAGES_MAX = 500;
const NEAR_END_PX = 40;
const HUES = 6;

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 20_000;
const CONNECT_TIMEOUT_MS = 15_000;
// A server that accepts and closes at once must not be asked again without growing pauses.
const STABLE_MS = 5_000;

const LABELS = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting",
  closed: "Closed",
};

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));
// Not crypto.randomUUID, which plain http has only on localhost.
const myId = crypto.getRandomValues(new Uint32Array(2)).join("-");

let myName = stored((storage) => storage.getItem("name")) || friendlyName();
let room = "";
let socket = null;
let timer = 0;
let failures = 0;
let openedAt = Infinity;
let isAtEnd = true;

// Who I am

function friendlyName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["Brave", "Calm", "Cheerful", "Clever", "Gentle", "Jolly", "Swift"]);
  return `${manner} ${pick(["Badger", "Falcon", "Fox", "Hare", "Lynx", "Otter", "Robin"])}`;
}

// A browser that is told to store nothing throws; the name is then for this visit only.
function stored(act) {
  try {
    return act(localStorage);
  } catch {
    return null;
  }
}

function rename(wanted) {
  myName = wanted.trim() || myName;
  page.name.value = page.me.value = myName;
  stored((storage) => storage.setItem("name", myName));
}

// Messages

// Anything may arrive in a room: raw tools speak there too.
function parse(data) {
  if (typeof data !== "string") {
    return { text: `(binary, ${data.byteLength} bytes)` };
  }
  try {
    const { id, from, text } = JSON.parse(data);
    if ([id, from, text].every((part) => typeof part === "string") && from.trim()) {
      return { id, from, text };
    }
  } catch {
    // Not JSON, or null: text like any other.
  }
  return { text: data };
}

function hueOf(id) {
  return [...id].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % HUES;
}

function render({ id = "", from = "anonymous", text }) {
  const item = page.message.content.firstElementChild.cloneNode(true);
  const now = new Date();
  const time = now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const part = (selector) => item.querySelector(selector);
  const former = page.messages.lastElementChild;
  item.dataset.byline = JSON.stringify([id, from, time]);
  item.classList.toggle("own", id === myId);
  item.classList.toggle("more", item.dataset.byline === former?.dataset.byline);
  part(".avatar").textContent = [...from.trim()][0];
  if (id) {
    part(".avatar").dataset.hue = hueOf(id);
  }
  part(".from").textContent = from;
  part("time").textContent = time;
  part("time").dateTime = now.toISOString();
  part(".text").textContent = text;
  return item;
}

function showMessage(message) {
  page.messages.append(render(message));
  if (page.messages.childElementCount > MESSAGES_MAX) {
    page.messages.firstElementChild.remove();
    page.messages.firstElementChild.classList.remove("more");
  }
  if (isAtEnd) {
    scrollToEnd();
  } else {
    page.newer.hidden = false;
  }
}

function scrollToEnd() {
  page.log.scrollTop = page.log.scrollHeight;
}

function noteScroll() {
  const { scrollHeight, scrollTop, clientHeight } = page.log;
  isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  if (isAtEnd) {
    page.newer.hidden = true;
  }
}

// The connection

function showState(state, { label = LABELS[state], countdown = "" } = {}) {
  page.state.dataset.state = state;
  // Written only when it changes: it is read out. The countdown is not, it would never end.
  if (page.label.textContent !== label) {
    page.label.textContent = label;
  }
  page.countdown.textContent = countdown;
  page.send.disabled = state !== "connected";
  page.again.hidden = state !== "closed";
}

function connect() {
  clearTimeout(timer);
  showState(failures > 0 ? "reconnecting" : "connecting");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const attempt = new WebSocket(`${scheme}//${location.host}/room/${encodeURIComponent(room)}`);
  attempt.binaryType = "arraybuffer";
  attempt.onopen = onOpen;
  attempt.onmessage = ({ data }) => showMessage(parse(data));
  attempt.onclose = onClose;
  openedAt = Infinity;
  timer = setTimeout(() => attempt.close(), CONNECT_TIMEOUT_MS);
  socket = attempt;
}

function onOpen() {
  clearTimeout(timer);
  openedAt = performance.now();
  showState("connected");
}

function onClose({ code, reason }) {
  clearTimeout(timer);
  if (isFinal(code)) {
    showState("closed", { label: `Closed: ${reason || `code ${code}`}` });
    return;
  }
  if (performance.now() - openedAt >= STABLE_MS) {
    failures = 0;
  }
  // Full jitter, so that those whom one outage cut off do not come back at one moment.
  const delay = Math.random() * Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** failures);
  failures += 1;
  retryAt(performance.now() + delay);
}

// Codes by which a server says that coming back is of no use.
function isFinal(code) {
  return code >= 4500 && code <= 4999;
}

function retryAt(moment) {
  const left = moment - performance.now();
  if (left <= 0) {
    connect();
    return;
  }
  showState("reconnecting", { countdown: ` in ${Math.ceil(left / 1000)} s` });
  timer = setTimeout(retryAt, Math.min(left, 1000), moment);
}

function retryNow() {
  if (page.state.dataset.state === "reconnecting" && socket.readyState === WebSocket.CLOSED) {
    connect();
  }
}

function send() {
  const text = page.draft.value.trim();
  if (text && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ id: myId, from: myName, text }));
    page.draft.value = "";
  }
}

// Rooms

function roomOfAddress() {
  // The first of a name counts, so the query wins.
  const query = new URLSearchParams(`${location.search}&room=${location.hash.slice(1)}`);
  // By code points: half a surrogate pair cannot be put into an address.
  return [...(query.get("room") || "lobby")].slice(0, page.room.maxLength).join("");
}

function join() {
  rename(page.name.value);
  room = page.room.value.trim();
  history.replaceState(null, "", `?room=${encodeURIComponent(room)}`);
  document.title = page.title.textContent = `#${room}`;
  page.messages.replaceChildren();
  isAtEnd = page.newer.hidden = true;
  page.join.hidden = true;
  page.chat.hidden = false;
  start();
}

function start() {
  failures = 0;
  page.draft.focus();
  connect();
}

function leave() {
  clearTimeout(timer);
  // What is still on its way belongs to the room that is left.
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
  showState("closed");
  page.chat.hidden = true;
  page.join.hidden = false;
  page.room.focus();
}

function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

function onKey(event) {
  // While an input method composes, Enter picks a word.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
}

onSubmit(page.join, join);
onSubmit(page.composer, send);
onSubmit(page.identity, () => page.draft.focus());
page.me.addEventListener("change", () => rename(page.me.value));
page.draft.addEventListener("keydown", onKey);
page.leave.addEventListener("click", leave);
page.again.addEventListener("click", start);
page.newer.addEventListener("click", scrollToEnd);
page.log.addEventListener("scroll", noteScroll);
window.addEventListener("online", retryNow);
// A keyboard that opens, or a draft that grows, must not hide the newest message.
new ResizeObserver(() => isAtEnd && scrollToEnd()).observe(page.log);

rename(myName);
page.room.value = roomOfAddress();
