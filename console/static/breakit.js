// Buttons that break a local fabric, and mend it.
import { byId, element, showRows } from "./dom.js";
import { regions, store } from "./store.js";

const CALLERS = [0, 5, 20];
const busy = new Set(); // regions that something is being done to

export function offerBreaking() {
  byId("break-card").hidden = !store.can.breaker;
  if (byId("callers").children.length || !store.can.breaker) return;
  byId("callers").append("Callers who talk all the time: ", ...CALLERS.map((count) => element("button", { type: "button", onclick: () => perform("callers", String(count)) }, String(count))));
}

export function showBreaking() {
  if (!store.can.breaker) return;
  const known = new Map(regions().map((region) => [region.name, region]));
  const rows = store.can.breaker.map((one) => ({ ...one, callers: undefined, busy: busy.has(one.target), calls: known.get(one.target)?.calls ?? 0, state: known.get(one.target)?.state ?? "unknown" }));
  showRows(byId("break").tBodies[0], rows, (row) => row.target, build);
}

function build(row) {
  const button = (words, action, disabled, mood = "") => element("button", { type: "button", class: mood, disabled: disabled || row.busy, "aria-label": `${words} ${row.target}`, onclick: () => perform(action, row.target) }, words);
  const whole = !row.broken;
  return element("tr", {},
    element("td", {}, element("span", { class: `state ${row.state}` }, row.target), ` ${row.state}`),
    element("td", { class: "n" }, String(row.calls)),
    element("td", {}, button("Kill", "kill", !whole, "danger"), " ", button("Drain", "drain", !whole), " ", button("Block UDP", "block_udp", row.udp_blocked), " ", button("Heal", "heal", whole && !row.udp_blocked)),
  );
}

async function perform(action, target) {
  busy.add(target);
  showBreaking();
  byId("break-state").textContent = `${action.replace("_", " ")} ${target} …`;
  const answer = await fetch("/api/break", { method: "POST", body: JSON.stringify({ action, target }) }).catch(() => null);
  busy.delete(target);
  if (answer?.ok) {
    const { done, can } = await answer.json();
    store.can.breaker = can;
    byId("break-state").textContent = done;
  } else byId("break-state").textContent = `${action} ${target}: the console could not do it`;
  showBreaking();
}
