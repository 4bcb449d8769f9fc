// Everything that changed state, in words.
import { byId, element, shortSid, showRows } from "./dom.js";
import { store } from "./store.js";

const SHOWN = 120;
let kind = "all";

const WORDS = {
  "region.state_changed": (f) => `${f.region} went from ${f.old} to ${f.new}: ${plain(f.reason)}${f.calls ? `; ${f.calls} calls are there` : ""}`,
  "call.state_changed": (f) => `${sid(f)} went from ${f.old} to ${f.new}${f.reason ? `: ${plain(f.reason)}` : ""}`,
  "call.ended": (f) => `${sid(f)} ended: ${plain(f.end_reason)}${f.moves ? `, after ${f.moves} moves` : ""}`,
  "call.arrived": (f) => `${sid(f)} arrived from another edge`,
  "call.unroutable": (f) => `${sid(f)} has no region that can take it`,
  "lease.refused": (f) => `${f.region} refused ${sid(f)}: ${plain(f.reason)}`,
  "agent.added": (f) => `agent at ${f.address} in ${f.region} is known now`,
  "agent.removed": (f) => `agent at ${f.address} in ${f.region} is not known any more`,
  "agent.given_up": (f) => `agent at ${f.address} is silent on every link: its calls go elsewhere`,
  "agent.transport_changed": (f) => `calls to ${f.address} use another transport: from ${plain(f.old)} to ${plain(f.new)}, ${plain(f.reason)}`,
  "agent.started": (f) => `${f.agent} started in ${f.region}`,
  "agent.drained": () => "drained: its calls are over or elsewhere",
  "edge.started": () => "started",
  "edge.drained": (f) => `drained, ${f.calls_left} calls left`,
  "surge.ordered": (f) => `keeps ${f.factor} times as many sessions for ${Math.round(f.length_s)} s`,
  "surge.recalled": (f) => `goes on keeping ${f.factor} times as many sessions for ${Math.round(f.length_s)} s`,
  "link.state_changed": (f) => `link to ${f.peer} is ${f.new}: ${plain(f.reason)}`,
  "link.connect_failed": (f) => `no ${f.transport} link to ${f.address}: ${plain(f.reason)}`,
  "link.stalled": (f) => `${f.transport} link to ${f.address} is silent`,
  "link.answered": (f) => `${f.transport} link to ${f.address} answers again`,
  "membership.changed": (f) => (f.pushing ? "tells the edges who else is in its region" : `knows no more who else is in its region: ${plain(f.reason)}`),
  "registration.changed": (f) => (f.registered ? "is in its region's registry" : `cannot reach its region's registry: ${plain(f.reason)}`),
  "call.edge_chosen": (f) => `${sid(f)} goes to ${f.edge}`,
  "call.attached": (f) => `${sid(f)} talks to ${f.agent}, ${f.epoch > 1 ? `its ${f.epoch}. session` : "its first session"}`,
  "process.lost": () => "cannot be heard any more",
  "media_stream.failed": (f) => `the Media Stream of ${sid(f)} failed: ${plain(f.reason)}`,
  "media_stream.refused": (f) => `a Media Stream was refused: ${plain(f.outcome)}`,
  "webhook.refused": (f) => `a webhook was refused: ${plain(f.outcome)}`,
  "session.open_failed": (f) => `a session could not be opened: ${facts(f)}`,
  "tool.failed": (f) => `a tool failed: ${facts(f)}`,
  "phrase.rendered": (f) => `has the phrases of ${f.profile} ready`,
};

const plain = (label) => String(label ?? "").replaceAll("_", " ");
const sid = (facts) => `call ${shortSid(String(facts.call_sid ?? ""))}`;
const facts = (all) => Object.entries(all).filter(([, value]) => value !== "").map(([key, value]) => `${plain(key)} ${plain(value)}`).join(", ");
const BAD = /lost|failed|refused|down|unroutable|disabled/;

// Returns an event in words; what is not known is told with its facts.
export function wordsOf({ name, facts: told }) {
  return WORDS[name]?.(told) ?? `${plain(name).replace(".", " ")}: ${facts(told)}`;
}

// Both ends tell of a link; the edge's word is enough.
const isTwin = (event) => event.name === "link.state_changed" && !event.facts.region;
const isOfCall = (event) => "call_sid" in event.facts;

export function startEvents() {
  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      kind = chip.dataset.kind;
      for (const one of document.querySelectorAll(".chip")) one.setAttribute("aria-pressed", String(one === chip));
      showEvents();
    });
  }
}

export function showEvents() {
  const wanted = store.events.filter((event) => !isTwin(event)).filter((event) => kind === "all" || (kind === "calls") === isOfCall(event));
  const rows = wanted.slice(-SHOWN).reverse().map((event, index) => ({ ...event, index: wanted.length - index }));
  showRows(byId("events"), rows, (row) => `${row.at} ${row.who} ${row.name} ${row.index}`, build);
}

function build(event) {
  const words = wordsOf(event);
  const bad = BAD.test(event.name) || event.facts.new === "down";
  const time = new Date(event.at * 1000);
  return element("li", { class: bad ? "bad" : null },
    element("time", { datetime: time.toISOString() }, time.toLocaleTimeString([], { hour12: false })),
    element("span", { class: "who" }, event.who),
    element("span", { class: "words" }, words),
  );
}
