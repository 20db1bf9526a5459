// The chat: one room over a plain WebSocket.

import { Link, Watch } from "./link.js";
import { friendlyName, myId, parse, render } from "./people.js";

const MESSAGES_MAX = 500;
const NEAR_END_PX = 40;
// Messages that wait for the connection, or for the room to say them.
const WAITING_MAX = 50;
// A room that does not say a message to its sender has had it when the connection lasts so long.
const SETTLED_MS = 10_000;
const SEEN_MAX = 1_000;

const LABELS = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting",
  closed: "Closed",
};

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));

let myName = stored("localStorage", (storage) => storage.getItem("name")) || friendlyName();
let room = "";
let link = null;
let watch = null;
let isAtEnd = true;
// By key: what I have said and the room has not.
const waiting = new Map();
// Keys of what was shown: who comes back says again what may not have arrived.
const seen = new Set();

// A browser that is told to store nothing throws; what is stored is then for this visit only.
function stored(where, act) {
  try {
    return act(window[where]);
  } catch {
    return null;
  }
}

function rename(wanted) {
  myName = wanted.trim() || myName;
  page.name.value = page.me.value = myName;
  stored("localStorage", (storage) => storage.setItem("name", myName));
}

// Messages

function isNew(key) {
  if (!key) {
    return true;
  }
  if (seen.has(key)) {
    return false;
  }
  seen.add(key);
  if (seen.size > SEEN_MAX) {
    seen.delete(seen.values().next().value);
  }
  return true;
}

function receive(data) {
  const message = parse(data);
  const mine = message.id === myId ? waiting.get(message.key) : undefined;
  if (mine) {
    mine.item.remove();
    waiting.delete(message.key);
  }
  if (isNew(message.key)) {
    showMessage(message);
  }
}

// What waits stays below what was said.
function showMessage(message) {
  const below = page.messages.querySelector(".waiting");
  const former = below ? below.previousElementSibling : page.messages.lastElementChild;
  page.messages.insertBefore(render(page.message, former, message), below);
  trimMessages();
  keepEnd();
}

function showWaiting(message) {
  const item = render(page.message, null, message);
  item.classList.add("waiting");
  page.messages.append(item);
  isAtEnd = true;
  keepEnd();
  return item;
}

function trimMessages() {
  if (page.messages.childElementCount - waiting.size > MESSAGES_MAX) {
    page.messages.firstElementChild.remove();
    page.messages.firstElementChild.classList.remove("more");
  }
}

function keepEnd() {
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

// Written only when it changes: it is read out.
function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function showState(state, { words = "", seconds = 0 } = {}) {
  page.state.dataset.state = state;
  write(page.label, LABELS[state]);
  // The countdown is not read out, it would never end.
  page.countdown.textContent = seconds ? ` in ${seconds} s` : "";
  write(page.reason, words);
  page.reason.hidden = !words;
  page.send.disabled = state === "closed";
  page.again.hidden = state !== "closed";
  if (state === "connected") {
    write(page.hint, "");
  }
}

function showCount(event) {
  page.count.hidden = event === null;
  if (event === null) {
    return;
  }
  const people = `${event.members.toLocaleString()} here`;
  const ms = event.last_message?.ms;
  const rounded = ms < 10 ? Math.max(ms, 0.1).toFixed(1) : Math.round(ms);
  const time = ms === undefined ? "" : `, last message to all in ${rounded} ms`;
  page.count.textContent = people + time;
}

function opened() {
  watch?.leave();
  watch = new Watch(pathOf(room), showCount);
  for (const message of waiting.values()) {
    sendNow(message);
  }
}

function sendNow(message) {
  const { id, from, text, key } = message;
  link.send(JSON.stringify({ id, from, text, key }));
  const [over, openedAt] = [link, link.openedAt];
  clearTimeout(message.timer);
  message.timer = setTimeout(() => {
    const hasLasted = over === link && link.isOpen && openedAt === link.openedAt;
    if (hasLasted && waiting.delete(key) && isNew(key)) {
      message.item.remove();
      showMessage(message);
    }
  }, SETTLED_MS);
}

function send() {
  const text = page.draft.value.trim();
  if (!text) {
    return;
  }
  if (page.state.dataset.state === "closed") {
    write(page.hint, "Not sent: the connection is closed. Join again first.");
    return;
  }
  if (waiting.size >= WAITING_MAX) {
    write(page.hint, `Not sent: ${WAITING_MAX} messages wait already.`);
    return;
  }
  const key = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const message = { id: myId, from: myName, text, key };
  message.item = showWaiting(message);
  waiting.set(key, message);
  page.draft.value = "";
  if (link.isOpen) {
    sendNow(message);
  } else {
    write(page.hint, "Not connected: it is sent when you are back.");
  }
}

// Rooms

function pathOf(name) {
  return `room/${encodeURIComponent(name)}`;
}

function roomOfAddress() {
  // The first of a name counts, so the query wins.
  const query = new URLSearchParams(`${location.search}&room=${location.hash.slice(1)}`);
  // By code points: half a surrogate pair cannot be put into an address.
  return [...(query.get("room") || "lobby")].slice(0, page.room.maxLength).join("");
}

// What an operator types to see the room full. The load tester speaks no TLS.
function showCommand(name) {
  const { host, pathname } = new URL(pathOf(name), new URL(".", location.href));
  const address = `ws://${host}${pathname.replaceAll("'", "%27")}`;
  page.command.textContent = `loadtest broadcast -n 1000 --rate 1 --url '${address}'`;
  page.filling.hidden = location.protocol === "https:";
}

function join() {
  rename(page.name.value);
  room = page.room.value.trim();
  history.replaceState(null, "", `?room=${encodeURIComponent(room)}`);
  stored("sessionStorage", (storage) => storage.setItem("joined", room));
  document.title = page.title.textContent = `#${room}`;
  showCommand(room);
  page.messages.replaceChildren();
  waiting.clear();
  isAtEnd = page.newer.hidden = true;
  page.join.hidden = true;
  page.chat.hidden = false;
  showCount(null);
  start();
}

function start() {
  write(page.hint, "");
  page.draft.focus();
  link = new Link(pathOf(room), { state: showState, message: receive, open: opened });
}

function leave() {
  link.leave();
  watch?.leave();
  watch = null;
  stored("sessionStorage", (storage) => storage.removeItem("joined"));
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
window.addEventListener("online", () => link?.retryNow());
// A keyboard that opens, or a draft that grows, must not hide the newest message.
new ResizeObserver(() => isAtEnd && scrollToEnd()).observe(page.log);

rename(myName);
page.room.value = roomOfAddress();
// A page that is loaded again goes on where it was.
if (stored("sessionStorage", (storage) => storage.getItem("joined")) === page.room.value) {
  join();
}
