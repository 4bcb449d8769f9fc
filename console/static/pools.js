// Warm sessions by region and profile, as the agents there add up.
import { byId, element, seconds, showRows, svg } from "./dom.js";
import { agents, regions } from "./store.js";

const OF_STOCK = [["in_call", "var(--good)"], ["leased", "var(--warn)"], ["warm", "var(--bar)"], ["connecting", "var(--quiet)"]];

export function showPools() {
  const found = new Map();
  for (const agent of agents()) {
    for (const [profile, one] of Object.entries(agent.profiles)) {
      const key = `${agent.region} ${profile}`;
      const sum = found.get(key) ?? { key, region: agent.region, profile, warm: 0, target: 0, connecting: 0, leased: 0, in_call: 0, exhausted: 0, oldest_s: null, last_proof_s: null };
      for (const name of ["warm", "target", "connecting", "leased", "in_call", "exhausted"]) sum[name] += one[name];
      for (const name of ["oldest_s", "last_proof_s"]) sum[name] = one[name] === null ? sum[name] : Math.max(sum[name] ?? 0, Math.round(one[name]));
      found.set(key, sum);
    }
  }
  const rows = [...found.values()].sort((a, b) => a.key.localeCompare(b.key));
  showRows(byId("pools").tBodies[0], rows, (row) => row.key, build);
  showSurge();
}

function build(row) {
  const state = row.target && !row.warm ? "bad" : row.warm < row.target ? "warn" : "good";
  return element("tr", {},
    element("td", {}, row.region),
    element("td", {}, row.profile),
    element("td", {}, stockBar(row), element("span", { class: `state ${state}` }, ` ${row.warm} of ${row.target}`)),
    ...["leased", "in_call"].map((name) => element("td", { class: "n" }, String(row[name]))),
    element("td", { class: "n" }, seconds(row.oldest_s)),
    element("td", { class: "n" }, row.last_proof_s === null ? "" : `${seconds(row.last_proof_s)} ago`),
    element("td", { class: "n" }, String(row.exhausted)),
  );
}

function stockBar(row) {
  const whole = Math.max(1, row.target, OF_STOCK.reduce((sum, [name]) => sum + row[name], 0));
  const bar = svg("svg", { class: "stock", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: 100, height: 8, fill: "var(--land)" }));
  let x = 0;
  for (const [name, fill] of OF_STOCK) {
    const width = (row[name] / whole) * 100;
    bar.append(svg("rect", { x: x.toFixed(1), width: width.toFixed(1), height: 8, fill }));
    x += width;
  }
  return bar;
}

function showSurge() {
  const surging = agents().filter((agent) => agent.surge_factor > 1);
  const healing = regions().filter((region) => region.state === "healing").map((region) => region.name);
  const left = Math.max(0, ...surging.flatMap((agent) => Object.values(agent.profiles).map((one) => one.surge_left_s)));
  const words = surging.length ? `Over-provisioning ${surging[0].surge_factor} times in ${[...new Set(surging.map((agent) => agent.region))].join(", ")}: ${left.toFixed(0)} s left.` : "";
  byId("surge").textContent = [words, healing.length ? `Healing: ${healing.join(", ")}.` : ""].filter(Boolean).join(" ") || "Stock is as measured demand wants it: no over-provisioning.";
}
