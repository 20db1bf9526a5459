// How messages look, and who said them. Whatever they say is shown as text, never as markup.

const PEOPLE_MAX = 1_000;
// Each hue is as far as can be from those before it, so that few people never look alike.
const GOLDEN_ANGLE = 137.508;
const LINK = /\bhttps?:\/\/[^\s<>"]+/g;

const colours = new Map();
let people = 0;

// A name, and a mark by which those who have the same name are told apart.
export const myId = crypto.getRandomValues(new Uint32Array(2)).join("-");

export function friendlyName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["Brave", "Calm", "Cheerful", "Clever", "Gentle", "Jolly", "Swift"]);
  return `${manner} ${pick(["Badger", "Falcon", "Fox", "Hare", "Lynx", "Otter", "Robin"])}`;
}

// Anything may arrive in a room: raw tools speak there too.
export function parse(data) {
  if (typeof data !== "string") {
    return { text: `(binary, ${data.byteLength} bytes)` };
  }
  try {
    const { id, from, text, key } = JSON.parse(data);
    if ([id, from, text].every((part) => typeof part === "string") && from.trim()) {
      return { id, from, text, key: typeof key === "string" ? key : "" };
    }
  } catch {
    // Not JSON, or null: text like any other.
  }
  return { text: data };
}

function hueOf(id) {
  if (!colours.has(id)) {
    if (colours.size === PEOPLE_MAX) {
      colours.delete(colours.keys().next().value);
    }
    colours.set(id, Math.round(people * GOLDEN_ANGLE) % 360);
    people += 1;
  }
  return colours.get(id);
}

function linkTo(address) {
  const link = document.createElement("a");
  link.href = link.textContent = address;
  link.rel = "noopener noreferrer nofollow";
  link.target = "_blank";
  return link;
}

// Text nodes and links. What ends a sentence is no part of an address.
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const address = match[0].replace(/[.,:;!?'*_)\]}]+$/, "");
    if (URL.canParse(address)) {
      parts.push(text.slice(end, match.index), linkTo(address));
      end = match.index + address.length;
    }
  }
  return [...parts, text.slice(end)];
}

// `former` is what stands above it.
export function render(template, former, { id = "", from = "anonymous", text }) {
  const item = template.content.firstElementChild.cloneNode(true);
  const now = new Date();
  const time = now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const part = (selector) => item.querySelector(selector);
  item.dataset.byline = JSON.stringify([id, from, time]);
  item.classList.toggle("own", id === myId);
  item.classList.toggle("more", item.dataset.byline === former?.dataset.byline);
  part(".avatar").textContent = [...from.trim()][0];
  if (id) {
    part(".avatar").classList.add("known");
    part(".avatar").style.setProperty("--hue", hueOf(id));
  }
  part(".from").textContent = from;
  part("time").textContent = time;
  part("time").dateTime = now.toISOString();
  part(".text").replaceChildren(...withLinks(text));
  return item;
}
