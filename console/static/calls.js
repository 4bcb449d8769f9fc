// The calls that are live and those that ended last; each opens its waterfall.
import { byId, element, ms, shortSid, showRows } from "./dom.js";
import { calls } from "./store.js";
import { askCall, fallOf } from "./waterfall.js";

const SHOWN = 150;
let open = null;
let asking = false;

export function startCalls() {
  byId("fall-close").addEventListener("click", () => {
    const button = [...byId("calls").querySelectorAll("button")].find((one) => one.title === open);
    open = null;
    byId("fall-card").hidden = true;
    button?.focus();
  });
}

export function showCalls() {
  const rows = calls().slice(0, SHOWN).map((call) => ({ ...call, started_unix_s: undefined }));
  showRows(byId("calls").tBodies[0], rows, (row) => row.call_sid, build);
  if (open) showFall();
}

function build(row) {
  const state = row.live ? row.state : row.end_reason;
  const mood = /lost|unavailable|error|fallback/.test(state ?? "") ? "bad" : row.live ? "good" : "quiet";
  return element("tr", {},
    element("td", {}, element("button", { type: "button", class: "call-id", title: row.call_sid, "aria-label": `Waterfall of call ${row.call_sid}`, onclick: () => choose(row.call_sid) }, shortSid(row.call_sid))),
    element("td", {}, row.profile),
    element("td", {}, row.edge),
    element("td", {}, row.region ?? ""),
    element("td", { class: `state ${mood}` }, (state ?? "").replaceAll("_", " ")),
    element("td", { class: "n" }, ms(row.first_audio_ms)),
    element("td", { class: "n" }, String(row.legs)),
  );
}

async function choose(sid) {
  open = sid;
  byId("fall-card").hidden = false;
  await showFall();
  byId("fall-card").scrollIntoView({ block: "nearest" });
  byId("fall-close").focus();
}

async function showFall() {
  if (asking) return;
  asking = true;
  const sid = open;
  const told = await askCall(sid);
  asking = false;
  if (told && open === sid) byId("fall").replaceChildren(fallOf(told, { room: byId("fall-card").clientWidth - 40 }));
}
