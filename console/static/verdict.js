// Whether callers are well, in one line.
import { byId, element, ms, showRows } from "./dom.js";
import { agents, calls, edges, percentile, recent, regions, store } from "./store.js";

export function showVerdict() {
  const { mood, words } = verdict();
  byId("verdict").dataset.mood = mood;
  byId("verdict-words").textContent = words;
  showRows(byId("verdict-facts"), facts(), (fact) => fact[0], ([, words]) => element("li", {}, words));
}

const SEARCHING = new Set(["searching", "holding", "moving"]);

function verdict() {
  const here = edges();
  if (!here.length) return { mood: store.edges.size ? "bad" : "unknown", words: store.edges.size ? "No edge can be heard" : "Waiting for the fabric" };
  const all = regions();
  const live = here.flatMap((edge) => edge.calls.live);
  const waiting = live.filter((cells) => SEARCHING.has(cells[2]) && cells[8] > 1).length;
  const unserved = live.filter((cells) => cells[2] === "fallback").length;
  const bad = all.filter((region) => region.state === "down").map((region) => region.name);
  const doubtful = all.filter((region) => region.state === "suspect" || region.state === "healing");
  if (all.length && bad.length === all.length) return { mood: "bad", words: "No region answers: callers hear the fallback script" };
  if (unserved) return { mood: "bad", words: `${unserved} of ${live.length} callers hear the fallback script` };
  if (waiting) return { mood: "warn", words: `${waiting} of ${live.length} callers are moving to another session` };
  if (bad.length) return { mood: "warn", words: `Callers are well; ${bad.join(" and ")} ${bad.length > 1 ? "are" : "is"} down` };
  if (doubtful.length) return { mood: "warn", words: `Callers are well; ${doubtful.map((region) => `${region.name} is ${region.state}`).join(", ")}` };
  if (store.lost.size) return { mood: "warn", words: `Callers are well; ${store.lost.size} ${store.lost.size > 1 ? "processes are" : "process is"} gone` };
  return { mood: "good", words: live.length ? `All ${live.length} callers are well` : "Ready: nobody is calling" };
}

function facts() {
  const warm = agents().reduce((sum, agent) => sum + Object.values(agent.profiles).reduce((all, one) => all + one.warm, 0), 0);
  const first = percentile(recent("first_audio", 60).map((one) => one.value * 1000), 0.95);
  const turn = percentile(recent("turn", 60).filter((one) => one.where === "reply").map((one) => one.value * 1000), 0.95);
  const all = regions();
  const lost = calls().filter((call) => ["session_lost", "link_lost", "media_stream_lost"].includes(call.end_reason)).length;
  return [
    ["regions", `${all.filter((region) => region.state === "healthy").length} of ${all.length} regions healthy`],
    ["warm", `${warm} warm sessions`],
    ["first", `first audio p95 ${first === null ? "–" : ms(first)}`],
    ["turn", `reply p95 ${turn === null ? "–" : ms(turn)}`],
    ["lost", `${lost} calls lost`],
  ];
}
