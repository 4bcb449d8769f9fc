// Puts the page together: news come in, and what they change is shown.
import { byId } from "./dom.js";
import { offerBreaking, showBreaking } from "./breakit.js";
import { showCalls, startCalls } from "./calls.js";
import { redraw, showCharts, startCharts } from "./charts.js";
import { showEvents, startEvents } from "./events.js";
import { showMap, startMap } from "./map.js";
import { offerPhone, startPhone } from "./phone.js";
import { showPools } from "./pools.js";
import { agents, edges, follow, noteGauges, store } from "./store.js";
import { showVerdict } from "./verdict.js";

const SHOW_EVERY_MS = 250;
const STALE_MS = 3500;
let changed = false;
let shown = 0;

function onChange(what) {
  if (what === "hello") {
    offerPhone();
    offerBreaking();
  }
  changed = true;
  if (!shown && what === "snapshot") show();
}

function show() {
  if (!changed || document.hidden) return;
  changed = false;
  for (const part of [showVerdict, showMap, showPools, showCalls, showBreaking, showEvents]) part();
  if (!shown) document.documentElement.dataset.interactive = performance.now().toFixed(0);
  shown += 1;
}

function everySecond() {
  if (store.heardAt) noteGauges();
  if (!document.hidden) showCharts();
  const silent = performance.now() - store.heardAt > STALE_MS;
  byId("live").textContent = !store.heardAt ? "connecting" : silent ? "not live: nothing is heard" : `live: ${edges().length} edges, ${agents().length} agents`;
  byId("live").dataset.mood = silent && store.heardAt ? "bad" : "good";
}

function startTheme() {
  const root = document.documentElement;
  const kept = localStorage.getItem("theme");
  if (kept) root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark" || (root.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

// A token in the address has done its work, or somebody was logged in already.
if (location.hash.includes("token=")) history.replaceState(null, "", "/");
byId("logout").addEventListener("click", async () => {
  await fetch("/logout", { method: "POST" });
  location.reload();
});
startTheme();
startMap();
startCalls();
startEvents();
startCharts();
startPhone();
follow(onChange);
setInterval(show, SHOW_EVERY_MS);
setInterval(everySecond, 1000);
