// One call as a waterfall: what took how long, and what the router thought.
import { element, ms, shortSid, svg } from "./dom.js";
import { store } from "./store.js";

const NARROWEST = 480;
const WIDEST = 1300;
const NAMES = 215;
const ROW = 20;
const KINDS = { "stream start": "carrier", route: "route", "first audio": "sound", turn: "turn", "turn first audio": "sound", tool: "route" };

// Returns what edges and agents tell of a call: {edges: [...], agents: [...]}.
export async function askCall(sid) {
  const answer = await fetch(`/api/calls/${encodeURIComponent(sid)}`).catch(() => null);
  if (!answer?.ok) return null;
  const told = await answer.json();
  return { edges: told.filter((one) => one.timeline), agents: told.filter((one) => one.conversations) };
}

export function fallOf({ edges, agents }, { title = "", untilMs = Infinity, room = WIDEST, open = true } = {}) {
  const main = edges.find((edge) => edge.live) ?? edges[edges.length - 1];
  if (!main) return element("p", { class: "quiet" }, "No edge remembers this call.");
  const zero = Math.min(...edges.map((edge) => edge.started_unix_s));
  const steps = [...edges.flatMap((edge) => stepsOfEdge(edge, zero)), ...agents.flatMap((agent) => stepsOfAgent(agent, zero))]
    .filter((step) => step.start <= untilMs).sort((a, b) => a.start - b.start || a.depth - b.depth);
  const box = element("div", { class: "fall" });
  box.append(headOf(main, title), draw(steps, untilMs, Math.max(NARROWEST, Math.min(WIDEST, room))), routesOf(main, open));
  return box;
}

function headOf(call, title) {
  const trace = call.trace_id && store.can.trace_url ? element("a", { href: store.can.trace_url.replace("{trace_id}", call.trace_id), target: "_blank", rel: "noreferrer" }, `trace ${call.trace_id}`) : call.trace_id ? `trace ${call.trace_id}` : "";
  const moved = call.moves ? `, moved ${call.moves} ${call.moves > 1 ? "times" : "time"}` : "";
  const lost = call.caller_bytes_lost ? `, ${(call.caller_bytes_lost / 8000).toFixed(1)} s of the caller lost` : "";
  return element("p", {}, title ? element("strong", {}, `${title}: `) : "", `${shortSid(call.call_sid)}, ${call.profile}, ${call.edge} to ${call.region ?? "nowhere"}, ${call.live ? call.state : (call.end_reason ?? "").replaceAll("_", " ")}${moved}${lost}. `, trace);
}

function stepsOfEdge(edge, zero) {
  const offset = (edge.started_unix_s - zero) * 1000;
  return edge.timeline.map((step) => ({
    name: step.name,
    note: noteOf(step),
    depth: step.name === "route" || step.name === "lease" ? 1 : step.leg > 1 && step.name !== "failover" ? 1 : 0,
    start: step.start_ms + offset,
    end: step.end_ms + offset,
    bad: step.error,
  }));
}

function noteOf(step) {
  if (step.name === "lease") return `${step.region} ${step.outcome}`;
  if (step.name === "attach") return `${step.agent} ${step.transport ?? ""}`;
  if (step.name === "first audio") return step.source;
  if (step.name === "failover") return step.reason;
  return "";
}

function stepsOfAgent({ agent, conversations }, zero) {
  return conversations.flatMap((one) => {
    const offset = (one.began_unix_s - zero) * 1000;
    const conversation = { name: "conversation", note: agent, depth: 0, start: offset + Math.min(0, ...one.turns.map((turn) => turn.start_ms)), end: offset + one.end_ms, bad: "" };
    const turns = one.turns.flatMap((turn) => {
      const start = offset + turn.start_ms;
      const first = turn.first_audio_ms === null ? [] : [{ name: "turn first audio", note: ms(turn.first_audio_ms), depth: 2, start, end: start + turn.first_audio_ms, bad: "" }];
      return [{ name: "turn", note: turn.number ? `${turn.number} ${turn.outcome}` : "opening", depth: 1, start, end: offset + turn.end_ms, bad: turn.number && turn.outcome === "unanswered" ? turn.outcome : "" }, ...first];
    });
    const tools = one.tools.map((tool) => ({ name: "tool", note: `${tool.name} ${tool.outcome}`, depth: 2, start: offset + tool.start_ms, end: offset + tool.end_ms, bad: tool.outcome === "ok" ? "" : tool.outcome }));
    return [conversation, ...turns, ...tools];
  });
}

function draw(steps, untilMs, width) {
  const whole = Math.max(1, Math.min(untilMs, Math.max(...steps.map((step) => step.end))));
  const length = width - NAMES - 10;
  const at = (value) => NAMES + (Math.min(value, whole) / whole) * length;
  const height = (steps.length + 1) * ROW + 6;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": steps.map((step) => `${step.name} ${step.note} ${ms(step.end - step.start)}`).join("; ") });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const x = at(whole * share);
    picture.append(svg("line", { class: "grid", x1: x, x2: x, y1: ROW, y2: height }), svg("text", { class: "figure", x, y: 12, "text-anchor": share === 1 ? "end" : "middle" }, ms(whole * share)));
  }
  steps.forEach((step, index) => {
    const y = (index + 1) * ROW;
    const x = at(Math.max(step.start, 0));
    const long = Math.max(at(step.end) - x, 2);
    const words = `${step.name} ${step.note}`.trim();
    const figure = ms(Math.max(step.end - step.start, 0));
    const inside = x + long + 60 > width;
    picture.append(
      svg("text", { x: 4 + step.depth * 12, y: y + 14 }, words.length > 34 ? words.slice(0, 33) + "…" : words),
      svg("rect", { class: `bar ${step.bad ? "bad" : KINDS[step.name] ?? ""}`, x, y: y + 4, width: long, height: ROW - 8, rx: 2 }, svg("title", {}, `${words}: ${figure}${step.bad ? `, ${step.bad}` : ""}`)),
      svg("text", { class: "figure", x: inside ? x - 4 : x + long + 4, y: y + 14, "text-anchor": inside ? "end" : "start" }, figure),
    );
  });
  return picture;
}

function routesOf(call, open) {
  const rows = call.routes.flatMap((route) => route.candidates.map((one) => element("tr", {},
    element("td", {}, route.leg > 1 ? `leg ${route.leg}` : "first"),
    element("td", {}, one.region),
    element("td", { class: `state ${one.reason === "chosen" ? "good" : ""}` }, one.reason.replaceAll("_", " ")),
    ...["predicted_ms", "rtt_ms", "open_ms", "model_ms", "load_ms"].map((name) => element("td", { class: "n" }, one.predicted_ms === null ? "" : ms(one[name]))),
    element("td", { class: "n" }, String(one.free)),
  )));
  if (!rows.length) return "";
  const heads = ["decision", "region", "why", "predicted", "rtt", "open", "model", "load", "free"];
  return element("details", { open }, element("summary", {}, "What the router thought"), element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head, index) => element("th", { class: index > 2 ? "n" : null }, head)))), element("tbody", {}, ...rows))));
}
