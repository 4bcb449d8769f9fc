// Percentiles of what was measured one by one, and what was seen since the page opened.
import { byId, element } from "./dom.js";
import { percentile, recent, store } from "./store.js";

const SHOWN_S = 300;
const BIN_S = 5;
const RED_LINE = "--bad";

const CHARTS = [
  { id: "first", title: "First audio", unit: "ms", about: "p50 p95 p99 of 15 s", values: () => shares("first_audio"), names: ["p50", "p95", "p99"] },
  { id: "turn", title: "Reply after the caller", unit: "ms", about: "p50 p95 p99 of 15 s", values: () => shares("turn", (one) => one.where === "reply"), names: ["p50", "p95", "p99"] },
  { id: "acquire", title: "Acquiring a warm session", unit: "ms", about: "p95 of 15 s; the line is 5 ms", values: () => [...shares("acquire").slice(1, 2), flat(5)], names: ["p95", "5 ms"], dashed: 1 },
  { id: "late", title: "Frame lateness", unit: "ms", about: "p99 of the worst link", values: () => [gauge("late_ms")], names: ["p99"] },
  { id: "calls", title: "Calls", unit: "", about: "all, and at the busiest agent", values: () => [gauge("calls"), gauge("busiest")], names: ["all", "busiest agent"] },
  { id: "gap", title: "Failover gaps", unit: "ms", about: "from loss to the next word, each", values: () => [worst("gap")], names: ["longest"], points: true },
];
const COLOURS = ["--bar", "--accent", "--bad"];
const plots = new Map();

const times = () => {
  const last = Math.ceil(Date.now() / 1000 / BIN_S) * BIN_S;
  return Array.from({ length: SHOWN_S / BIN_S + 1 }, (_, index) => last - SHOWN_S + index * BIN_S);
};

function binned(series, chosen) {
  const samples = recent(series, SHOWN_S + 20).filter(chosen);
  return times().map((end) => samples.filter((one) => one.at > end - 3 * BIN_S && one.at <= end).map((one) => one.value * 1000));
}

const shares = (series, chosen = () => true) => {
  const bins = binned(series, chosen);
  return [0.5, 0.95, 0.99].map((share) => bins.map((values) => percentile(values, share)));
};
const worst = (series) => times().map((end) => {
  const values = recent(series, SHOWN_S + 20).filter((one) => one.at > end - BIN_S && one.at <= end).map((one) => one.value * 1000);
  return values.length ? Math.max(...values) : null;
});
const flat = (value) => times().map(() => value);
const gauge = (name) => times().map((end) => {
  const values = store.gauges.filter((one) => one.at > end - BIN_S && one.at <= end).map((one) => one[name]).filter((value) => value !== null);
  return values.length ? Math.max(...values) : null;
});

const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
// light-dark() is worked out only where it is used.
function resolved(name) {
  const probe = element("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found || colour(name);
}

export function startCharts() {
  for (const chart of CHARTS) byId("charts").append(element("div", { class: "chart", id: `chart-${chart.id}` }, element("h3", {}, `${chart.title} `, element("small", {}, chart.about))));
  new ResizeObserver(() => redraw()).observe(byId("charts"));
}

// Colours and width are drawn in: another theme or size means another plot.
export function redraw() {
  for (const { plot } of plots.values()) plot.destroy();
  plots.clear();
  showCharts();
}

export function showCharts() {
  for (const chart of CHARTS) {
    const data = [times(), ...chart.values()];
    const known = plots.get(chart.id);
    if (known) known.plot.setData(data);
    else plots.set(chart.id, { plot: plotOf(chart, data) });
  }
}

function plotOf(chart, data) {
  const box = byId(`chart-${chart.id}`);
  const ink = resolved("--quiet");
  const grid = { stroke: resolved("--line"), width: 1 };
  const series = chart.names.map((label, index) => {
    const stroke = resolved(chart.dashed === index ? RED_LINE : COLOURS[index % COLOURS.length]);
    return { label, stroke, width: 2, spanGaps: false, dash: chart.dashed === index ? [6, 4] : undefined, paths: chart.points ? () => null : undefined, points: { show: chart.points || undefined, size: 7 }, value: (_, value) => (value === null || value === undefined ? "–" : `${value.toFixed(value < 10 ? 2 : 0)} ${chart.unit}`) };
  });
  const axis = { stroke: ink, grid, ticks: grid, font: "11px system-ui" };
  const options = {
    width: Math.max(box.clientWidth, 200), height: 160,
    series: [{ label: "at", value: (_, at) => (at ? clock(at) : "–") }, ...series],
    axes: [{ ...axis, values: (_, splits) => splits.map(clock) }, { ...axis, size: 50 }],
    scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 1, 1) * 1.1] } },
    legend: { live: true }, cursor: { drag: { x: false, y: false } },
  };
  return new uPlot(options, data, box);
}
