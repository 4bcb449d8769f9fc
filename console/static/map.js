// The world: edges, regions and the links between them; a click tells more.
import { HEIGHT, WIDTH, curve, landPath, project } from "./geo.js";
import { byId, element, ms, seconds, showRows, svg } from "./dom.js";
import { edges, regions, store } from "./store.js";

let chosen = null;
let links;
let labels;
let places;

export async function startMap() {
  links = svg("g");
  labels = svg("g");
  places = svg("g");
  const land = svg("path", { class: "land" });
  byId("map").append(svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": "Map of edges and regions" }, land, links, labels, places));
  const answer = await fetch("/static/vendor/land-110m.json");
  land.setAttribute("d", landPath(await answer.json()));
}

export function showMap() {
  const all = regions();
  const known = edges().filter((edge) => edge.latitude !== null);
  const lines = known.flatMap((edge) => edge.regions.filter((region) => region.latitude !== null).map((region) => lineOf(edge, region)));
  showRows(links, lines, (line) => line.key, (line) => svg("path", { d: line.path, class: `link ${line.busy ? "busy" : ""} ${line.down ? "down" : ""}` }));
  showRows(labels, lines.filter((line) => line.rtt !== null && line.away > 60), (line) => line.key, (line) => svg("text", { class: "rtt", x: line.label[0], y: line.label[1] }, `${line.rtt.toFixed(0)} ms ${line.transport}`));
  const marks = [...all.filter((region) => region.latitude !== null).map(regionMark), ...known.map(edgeMark)];
  showRows(places, marks, (mark) => mark.key, buildMark);
  showPlace(all, known);
}

function lineOf(edge, region) {
  const calls = edge.calls.live.filter((cells) => cells[3] === region.name).length;
  const ready = region.agents.filter((agent) => agent.link === "ready");
  const rtts = ready.map((agent) => agent.rtt_ms).filter((rtt) => rtt !== null);
  const { path, label, away } = curve([edge.longitude, edge.latitude], [region.longitude, region.latitude]);
  return {
    key: `${edge.name}>${region.name}`, path, label, away,
    busy: calls > 0,
    down: ready.length === 0,
    rtt: rtts.length ? Math.round(Math.min(...rtts)) : null,
    transport: ready[0]?.transport ?? "",
  };
}

function regionMark(region) {
  const [x, y] = project([region.longitude, region.latitude]);
  return { key: `region ${region.name}`, kind: "region", name: region.name, state: region.state, calls: region.calls, x, y, chosen: chosen === `region ${region.name}` };
}

function edgeMark(edge) {
  const [x, y] = project([edge.longitude, edge.latitude]);
  return { key: `edge ${edge.name}`, kind: "edge", name: edge.name, state: edge.draining ? "draining" : "up", calls: edge.active_calls, x: x - 16, y: y + 14, chosen: chosen === `edge ${edge.name}` };
}

function buildMark(mark) {
  const choose = () => {
    chosen = chosen === mark.key ? null : mark.key;
    showMap();
  };
  const onkeydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
    [...places.children].find((node) => node.dataset.key === mark.key)?.focus();
  };
  const words = `${mark.kind} ${mark.name}: ${mark.state}, ${mark.calls} calls`;
  const group = svg("g", { class: "place", role: "button", tabindex: 0, "aria-label": words, "aria-pressed": String(mark.chosen), "data-state": mark.state, transform: `translate(${mark.x.toFixed(1)},${mark.y.toFixed(1)})`, onclick: choose, onkeydown }, svg("title", {}, words));
  if (mark.kind === "edge") group.append(svg("rect", { x: -6, y: -6, width: 12, height: 12, rx: 3, class: `edge-mark ${mark.state}` }), svg("text", { x: 10, y: 12 }, mark.name));
  else group.append(svg("circle", { r: 11, class: mark.state }), svg("text", { class: "count", y: 4 }, String(mark.calls)), svg("text", { x: 14, y: -6 }, mark.name));
  return group;
}

function showPlace(all, known) {
  const [kind, name] = (chosen ?? " ").split(" ");
  const region = kind === "region" && all.find((one) => one.name === name);
  const edge = kind === "edge" && known.find((one) => one.name === name);
  const rows = region ? aboutRegion(region) : edge ? aboutEdge(edge) : [["p", "Choose a region or an edge."]];
  showRows(byId("place"), rows.map(([tag, ...words], index) => ({ index, tag, words })), (row) => row.index, buildFact);
}

const buildFact = ({ tag, words }) => (tag === "h3" ? element("h3", {}, words[0]) : element("p", { class: words[1] ?? "quiet" }, words[0]));

function aboutRegion(region) {
  const facts = [["h3", region.name], ["p", `${region.state}${region.reason ? ` (${region.reason})` : ""}, ${region.calls} calls`, `state ${region.state}`]];
  for (const view of region.views) facts.push(["p", `${view.edge} sees it ${view.state} for ${seconds(view.since_s)}, gives it ${(view.share * 100).toFixed(0)} % of its calls${view.signs.length ? `; against it: ${view.signs.join(", ")}` : ""}`]);
  for (const agent of region.agents) facts.push(["p", `${agent.name}: ${agent.active_calls} of ${agent.capacity.target} calls${agent.draining ? ", draining" : ""}`]);
  const surging = region.agents.filter((agent) => agent.surge_factor > 1);
  if (surging.length) facts.push(["p", `over-provisions ${surging[0].surge_factor} times`]);
  for (const key of store.lost) if (store.agents.get(key)?.region === region.name) facts.push(["p", `${store.agents.get(key).name}: gone`, "state bad"]);
  return facts;
}

function aboutEdge(edge) {
  const facts = [["h3", edge.name], ["p", `${edge.active_calls} of ${edge.max_calls ?? "?"} calls${edge.draining ? ", draining" : ""}`]];
  for (const region of edge.regions) {
    for (const agent of region.agents) facts.push(["p", `${agent.id || agent.address}: ${agent.link === "ready" ? `${ms(agent.rtt_ms)} over ${agent.transport}, late ${ms(agent.late_p99_ms)}, lost ${agent.loss_percent} %, ${agent.channels} calls` : "no link"}`, agent.link === "ready" ? "quiet" : "state bad"]);
  }
  return facts;
}
