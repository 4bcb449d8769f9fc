// What the page knows: the latest snapshot of every process, and the news of all of them.
// The console sends what the processes say as it is; it is put together here.

const EVENTS_KEPT = 500;
const SAMPLES_KEPT = 20000;
const NUMBERS_KEPT = 10000;

export const store = {
  can: { phone: null, breaker: null, trace_url: "" },
  edges: new Map(),
  agents: new Map(),
  lost: new Set(),
  events: [],
  samples: [],
  gauges: [],
  heardAt: 0,
};

const numbers = new Map(); // by key and start of the process: the latest news we have

export function follow(onChange) {
  const stream = new EventSource("/api/stream");
  const said = (event) => JSON.parse(event.data);
  stream.addEventListener("hello", (event) => {
    store.can = said(event);
    onChange("hello");
  });
  stream.addEventListener("snapshot", (event) => {
    const { key, said: snapshot } = said(event);
    store.heardAt = performance.now();
    store.lost.delete(key);
    const known = snapshot.kind === "edge" ? store.edges : store.agents;
    known.set(key, { ...snapshot, heardAt: store.heardAt });
    addNews(key, snapshot);
    onChange("snapshot");
  });
  stream.addEventListener("history", (event) => {
    const { key, said: history } = said(event);
    addNews(key, history);
    onChange("snapshot");
  });
  stream.addEventListener("lost", (event) => {
    const { key } = said(event);
    if (!store.lost.has(key) && nameOf(key)) note(key, "process.lost", {});
    store.lost.add(key);
    onChange("snapshot");
  });
  stream.onerror = () => onChange("broken");
}

export const nameOf = (key) => (store.edges.get(key) ?? store.agents.get(key))?.name;

const isHere = ([key]) => !store.lost.has(key);
export const edges = () => [...store.edges].filter(isHere).map(([, one]) => one);
export const agents = () => [...store.agents].filter(isHere).map(([, one]) => one);

function addNews(key, { since_unix_s, news }) {
  const origin = `${key} ${since_unix_s}`;
  const seen = numbers.get(origin) ?? new Set();
  numbers.set(origin, seen);
  const fresh = (row) => !seen.has(row[0]) && seen.add(row[0]);
  for (const [, at, name, facts] of news.events.filter(fresh)) insert(store.events, { at, name, facts, who: nameOf(key) ?? key });
  for (const [, at, series, value, where] of news.samples.filter(fresh)) insert(store.samples, { at, series, value, where });
  for (const number of seen) if (seen.size > NUMBERS_KEPT) seen.delete(number);
  trim(store.events, EVENTS_KEPT);
  trim(store.samples, SAMPLES_KEPT);
}

function note(key, name, facts) {
  insert(store.events, { at: Date.now() / 1000, name, facts, who: nameOf(key) });
}

function insert(rows, row) {
  let place = rows.length;
  while (place > 0 && rows[place - 1].at > row.at) place -= 1;
  rows.splice(place, 0, row);
}

const trim = (rows, kept) => rows.length > kept && rows.splice(0, rows.length - kept);

const GRAVE = ["healthy", "healing", "suspect", "down"];

// Regions as all edges together see them: the worst state that most of them agree on.
export function regions() {
  const found = new Map();
  for (const edge of edges()) {
    for (const region of edge.regions) {
      const one = found.get(region.name) ?? { name: region.name, latitude: region.latitude, longitude: region.longitude, views: [], calls: 0 };
      one.views.push({ edge: edge.name, ...region });
      found.set(region.name, one);
    }
    for (const row of edge.calls.live) {
      const one = found.get(row[3]);
      if (one) one.calls += 1;
    }
  }
  for (const one of found.values()) {
    const states = one.views.map((view) => GRAVE.indexOf(view.state)).sort((a, b) => a - b);
    one.state = GRAVE[states[Math.floor(states.length / 2)]] ?? "unknown";
    one.reason = one.views.find((view) => view.state === one.state)?.reason ?? "";
    one.agents = agents().filter((agent) => agent.region === one.name);
  }
  return [...found.values()];
}

const row = (edge, live) => (cells) => ({ ...Object.fromEntries(edge.calls.columns.map((name, index) => [name, cells[index]])), edge: edge.name, live });

export function calls() {
  const found = new Map();
  for (const edge of edges()) {
    for (const one of edge.calls.ended.map(row(edge, false))) if (!found.get(one.call_sid)?.live) found.set(one.call_sid, one);
    for (const one of edge.calls.live.map(row(edge, true))) found.set(one.call_sid, one);
  }
  return [...found.values()].sort((a, b) => b.live - a.live || b.started_unix_s - a.started_unix_s);
}

export function percentile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

export function recent(series, forS = 300) {
  const since = Date.now() / 1000 - forS;
  return store.samples.filter((one) => one.series === series && one.at >= since);
}

// Figures that are not measured one by one are kept from when the page was opened.
export function noteGauges() {
  const now = Date.now() / 1000;
  const late = edges().flatMap((edge) => edge.regions.flatMap((region) => region.agents.map((agent) => agent.late_p99_ms)));
  store.gauges.push({
    at: now,
    late_ms: late.length ? Math.max(...late) : null,
    calls: edges().reduce((sum, edge) => sum + edge.active_calls, 0),
    busiest: Math.max(0, ...agents().map((agent) => agent.active_calls)),
  });
  if (store.gauges.length > 600) store.gauges.shift();
}
