// Reads /events with fetch, as an EventSource cannot show a key, and again when it ends.

const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 5000;
const PLACE = "throng-operator-key";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Keeps the key for as long as the tab is open. */
export const key = {
  get: () => sessionStorage.getItem(PLACE),
  set: (text) => sessionStorage.setItem(PLACE, text),
};

async function read(response, tell) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) tell(JSON.parse(event.slice(6)));
    }
  }
}

/** Calls `on.moment` with each event, `on.refused` where a key is needed, which gives a promise of
 *  when to try again, and `on.lost` with the reason when there is no answer. */
export async function follow(on) {
  let wait = FIRST_PAUSE_MS;
  for (;;) {
    let reason = "connection lost";
    try {
      const shown = key.get();
      const headers = shown ? { Authorization: `Bearer ${shown}` } : {};
      const response = await fetch("events", { headers, cache: "no-store" });
      if (response.status === 401) {
        await on.refused(shown !== null);
        continue;
      }
      if (response.ok) {
        await read(response, (moment) => {
          wait = FIRST_PAUSE_MS;
          on.moment(moment);
        });
      } else {
        reason = (await response.text()).trim();
      }
    } catch {
      // No server, or one that has gone: the reason says it.
    }
    on.lost(reason);
    await pause(wait);
    wait = Math.min(wait * 2, LAST_PAUSE_MS);
  }
}
