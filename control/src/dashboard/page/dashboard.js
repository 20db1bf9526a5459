// From moments, which are counts since the start, to what is shown: differences and shares.

import { follow, key } from "./feed.js";
import { Plot, Strip } from "./plot.js";

const id = (name) => document.getElementById(name);
const say = (name, text) => {
  if (id(name).textContent !== text) id(name).textContent = text;
};

/** Three digits, with a letter for thousands and more. */
function number(value) {
  const steps = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const [size, letter] = steps.find(([size]) => value >= size * 0.9995) ?? [1, ""];
  const scaled = value / size;
  const digits = letter === "" ? (scaled < 10 && scaled % 1 ? 1 : 0) : scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
  return Number(scaled.toFixed(digits)) + letter;
}

const rate = (value) => `${number(value)}/s`;

function bytes(value) {
  const steps = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
  const [size, unit] = steps.find(([size]) => value >= size) ?? [1, "B"];
  const scaled = value / size;
  return `${scaled.toFixed(unit === "B" || scaled >= 100 ? 0 : 1)} ${unit}`;
}

function time(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  if (seconds >= 1e-3) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  return `${(seconds * 1e6).toFixed(0)} µs`;
}

function age(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at === -1) return "0 s";
  const [size, unit] = parts[at];
  const next = parts[at + 1];
  const rest = next ? ` ${Math.floor((seconds % size) / next[0])} ${next[1]}` : "";
  return `${Math.floor(seconds / size)} ${unit}${rest}`;
}

/** The value below which a share of them lies, evenly spread within its bucket; null without any. */
function percentile(bounds, counts, share) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = total * share;
  for (const [nth, count] of counts.entries()) {
    if (count > 0 && left <= count) {
      const low = nth ? bounds[nth - 1] : 0;
      const high = bounds[nth] ?? bounds.at(-1);
      return low + (high - low) * (left / count);
    }
    left -= count;
  }
  return bounds.at(-1);
}

const plots = {
  connections: new Plot(id("plot-connections"), "Connections", [{ name: "open", colour: "a" }], number, { floor: 10 }),
  messages: new Plot(
    id("plot-messages"),
    "Messages",
    [{ name: "delivered", colour: "b" }, { name: "received", colour: "a" }],
    rate,
    { floor: 10 },
  ),
  fanout: new Plot(
    id("plot-fanout"),
    "Fan-out: publish until all have it",
    [{ name: "99 %", colour: "d" }, { name: "median", colour: "b" }],
    time,
    { floor: 1e-4 },
  ),
  memory: new Plot(
    id("plot-memory"),
    "Memory",
    [{ name: "resident", colour: "a" }, { name: "allocated", colour: "b" }, { name: "kernel, TCP", colour: "c" }],
    bytes,
    { base: 2, floor: 2 ** 20 },
  ),
};

let before = null;
let cores = [];

function difference(moment) {
  const span = moment.at - before.at;
  const per = (name) => (moment[name] - before[name]) / span;
  const counts = moment.fanout.counts.map((count, nth) => count - before.fanout.counts[nth]);
  const busy = moment.workers.map(({ cpu }, nth) => {
    const was = before.workers[nth]?.cpu;
    return cpu === null || was == null ? null : Math.min(1, Math.max(0, (cpu - was) / span));
  });
  const spread = (share) => percentile(moment.fanout.bounds, counts, share);
  return { per, busy, p50: spread(0.5), p99: spread(0.99) };
}

function showTiles(moment, since) {
  say("connections", number(moment.connections));
  say("connections-of", `${number(moment.websockets)} WebSockets, room for ${number(moment.connections_max)}`);
  say("memory", moment.memory.resident === null ? "–" : bytes(moment.memory.resident));
  const { allocated, budget } = moment.memory;
  say("memory-of", budget === null ? `${bytes(allocated)} allocated` : `${bytes(allocated)} of ${bytes(budget)} allocated`);
  say("refused", number(moment.refused));
  say("slow", `${number(moment.slow)} closed as too slow`);
  if (!since) return;
  say("delivered", rate(since.per("delivered")));
  say("bytes-sent", `${bytes(since.per("bytes_sent"))}/s out`);
  say("received", rate(since.per("received")));
  say("bytes-received", `${bytes(since.per("bytes_received"))}/s in`);
  say("p99", since.p99 === null ? "–" : time(since.p99));
  say("p50", since.p50 === null ? "nobody has published" : `half within ${time(since.p50)}`);
}

function makeCores(workers) {
  cores.forEach(({ strip }) => strip.remove());
  id("cores").replaceChildren();
  cores = workers.map((_, nth) => {
    const row = Object.assign(document.createElement("div"), { className: "core" });
    const name = Object.assign(document.createElement("div"), { textContent: `core ${nth}` });
    const small = document.createElement("small");
    name.append(small);
    const canvas = document.createElement("canvas");
    const value = document.createElement("b");
    row.append(name, canvas, value);
    id("cores").append(row);
    return { strip: new Strip(canvas), value, small };
  });
}

function showCores(now, workers, busy) {
  if (cores.length !== workers.length) makeCores(workers);
  cores.forEach(({ strip, value, small }, nth) => {
    const share = busy[nth];
    strip.push(now, share);
    value.textContent = share === null ? "–" : `${(share * 100).toFixed(0)} %`;
    small.textContent = `${number(workers[nth].connections)} conn.`;
  });
}

function showRooms(rooms) {
  const slowest = Math.max(...rooms.map(({ seconds }) => seconds), 1e-9);
  const cell = (...children) => {
    const cell = document.createElement("td");
    cell.append(...children);
    return cell;
  };
  const row = ({ room, members, seconds }) => {
    const meter = document.createElement("meter");
    meter.value = seconds / slowest;
    const row = document.createElement("tr");
    const name = cell(room);
    name.title = room;
    row.append(name, cell(number(members)), cell(meter, time(seconds)));
    return row;
  };
  id("rooms").replaceChildren(...rooms.map(row));
  id("no-rooms").hidden = rooms.length > 0;
}

function showPlots(now, moment, since) {
  const { resident, allocated, kernel } = moment.memory;
  plots.connections.push(now, [moment.connections]);
  plots.memory.push(now, [resident, allocated, kernel]);
  if (!since) return;
  plots.messages.push(now, [since.per("delivered"), since.per("received")]);
  plots.fanout.push(now, [since.p99, since.p50]);
}

function setState(state, text) {
  id("state").dataset.state = state;
  say("state", text);
}

function moment(moment) {
  const now = performance.now() / 1000;
  // Another process counts from the beginning.
  if (before && moment.at <= before.at) before = null;
  const since = before && difference(moment);
  id("figures").classList.remove("stale");
  setState(moment.draining ? "bad" : "ready", moment.draining ? "draining" : "ready");
  const { version, backend, addresses } = moment;
  say("about", `${addresses.join(", ")} · ${backend} · ${version} · up ${age(moment.at)}`);
  showTiles(moment, since);
  showPlots(now, moment, since);
  if (since) showCores(now, moment.workers, since.busy);
  showRooms(moment.rooms);
  before = moment;
}

function lost(reason) {
  setState("bad", reason);
  id("figures").classList.add("stale");
  before = null;
  Object.values(plots).forEach((plot) => plot.interrupt());
}

function refused(wasShown) {
  setState("waiting", "locked");
  say("key-says", wasShown ? "That is not the key." : "");
  id("key-form").hidden = false;
  id("key").focus();
  return new Promise((resolve) => {
    id("key-form").onsubmit = (event) => {
      event.preventDefault();
      key.set(id("key").value);
      id("key").value = "";
      id("key-form").hidden = true;
      resolve();
    };
  });
}

follow({ moment, lost, refused });
