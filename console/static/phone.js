// The softphone: a call over the path that telephone calls take, and its waterfall.
import { byId, element, ms } from "./dom.js";
import { DECODED } from "./g711.js";
import { store } from "./store.js";
import { askCall, fallOf } from "./waterfall.js";

const COLD = "cold-line";
const SETUP_MS = 4000;
let line = null; // the call that goes on
let falls = []; // of the last calls, the latest first

export function startPhone() {
  byId("phone").addEventListener("submit", (event) => {
    event.preventDefault();
    call({ number: byId("phone-number").value, recorded: byId("phone-recorded").checked });
  });
  byId("phone-hang-up").addEventListener("click", () => say({ hang_up: true }));
  byId("phone-compare").addEventListener("click", compare);
  for (const key of "123456789*0#") byId("keypad").append(element("button", { type: "button", disabled: true, "aria-label": `Key ${key}`, onclick: () => say({ digit: key }) }, key));
}

export function offerPhone() {
  const phone = store.can.phone;
  byId("phone-card").hidden = byId("phone-link").hidden = !phone;
  if (!phone || byId("phone-number").options.length) return;
  byId("phone-number").append(...phone.numbers.map((one) => element("option", { value: one.number }, `${one.profile}${one.profile === COLD ? " (no warm session)" : ""}`)));
  byId("phone-edge").append(...phone.edges.map((name) => element("option", { value: name }, name)));
  byId("phone-compare").hidden = !phone.numbers.some((one) => one.profile === COLD);
}

// The same model speaks first in both, so that warmth is the only difference.
async function compare() {
  const numbers = store.can.phone.numbers;
  const cold = numbers.findIndex((one) => one.profile === COLD);
  falls = [];
  await call({ number: numbers[cold].number, recorded: true, title: "cold" });
  await call({ number: numbers[cold - 1].number, recorded: true, title: "warm" });
}

async function call({ number, recorded, title = "" }) {
  if (line) return;
  line = { sid: "", heardMs: null, began: 0 };
  offer(true);
  try {
    const sound = await openSound(recorded);
    await converse(sound, { edge: byId("phone-edge").value, number, recorded }, title);
    sound.close();
  } catch (problem) {
    state(problem.name === "NotAllowedError" ? "The browser does not allow the microphone; a recorded caller can speak instead." : `The call failed: ${problem.message}`);
  } finally {
    line = null;
    offer(false);
  }
}

function offer(busy) {
  byId("phone-call").disabled = byId("phone-compare").disabled = busy;
  byId("phone-hang-up").disabled = !busy;
  for (const key of byId("keypad").children) key.disabled = !busy;
}

const state = (words) => {
  byId("phone-state").textContent = words;
};
const say = (order) => line?.socket?.readyState === WebSocket.OPEN && line.socket.send(JSON.stringify(order));

async function openSound(recorded) {
  const context = new AudioContext({ latencyHint: "interactive" });
  await context.resume();
  await context.audioWorklet.addModule("/static/phone-worklet.js");
  const ear = new AudioWorkletNode(context, "ear", { numberOfInputs: 0, outputChannelCount: [1] });
  ear.connect(context.destination);
  let microphone = null;
  let mouth = null;
  if (!recorded) {
    microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, channelCount: 1 } });
    mouth = new AudioWorkletNode(context, "mouth", { numberOfOutputs: 0 });
    context.createMediaStreamSource(microphone).connect(mouth);
  }
  const close = () => {
    microphone?.getTracks().forEach((track) => track.stop());
    context.close();
  };
  return { ear, mouth, close };
}

function converse(sound, order, title) {
  return new Promise((resolve) => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/phone`);
    const mine = line;
    mine.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      mine.began = performance.now();
      socket.send(JSON.stringify(order));
      state("Ringing …");
      if (sound.mouth) {
        sound.mouth.port.onmessage = ({ data }) => {
          byId("meter-out").value = Math.min(1, data.peak * 2);
          if (socket.readyState === WebSocket.OPEN) socket.send(data.frame);
        };
      }
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") hear(mine, JSON.parse(data), title);
      else play(mine, sound, new Uint8Array(data));
    };
    const watch = setInterval(() => showFall(mine, title), 700);
    socket.onclose = async () => {
      clearInterval(watch);
      byId("meter-in").value = byId("meter-out").value = 0;
      await showFall(mine, title);
      resolve();
    };
  });
}

function play(mine, sound, codes) {
  sound.ear.port.postMessage(codes);
  const peak = codes.reduce((most, code) => Math.max(most, Math.abs(DECODED[code])), 0);
  byId("meter-in").value = Math.min(1, peak * 1.5);
  if (peak > 0.02 && mine.heardMs === null) {
    mine.heardMs = performance.now() - mine.began;
    state(`You hear it ${ms(mine.heardMs)} after you called.`);
  }
}

function hear(mine, told, title) {
  if (told.call_sid) {
    mine.sid = told.call_sid;
    falls.unshift({ sid: mine.sid, title });
    falls = falls.slice(0, 2);
  }
  if (told.problem) state(told.problem);
  if (told.ended) state(`${title ? `${title}: ` : ""}the call is over (ended by ${told.ended.ended_by}); first audio ${ms(told.ended.first_audio_ms)} after the stream began.`);
  if (told.over) mine.socket.close();
}

// Calls stand side by side on one scale, with the setup of each in full.
async function showFall(mine, title) {
  if (!mine.sid) return;
  const told = await askCall(mine.sid);
  const fall = falls.find((one) => one.sid === mine.sid);
  if (!told || !fall || !told.edges.length) return;
  const room = byId("phone-falls").clientWidth / (title ? 2 : 1) - 20;
  const shown = title ? { title, untilMs: SETUP_MS, room, open: false } : { room, open: false };
  const box = fallOf(told, shown);
  const first = told.edges[told.edges.length - 1].timeline.find((step) => step.name === "first audio");
  if (title && first) box.prepend(element("p", { class: "big" }, `${title}: ${ms(first.end_ms)}`, element("small", {}, " until the first word")));
  fall.box = box;
  byId("phone-falls").replaceChildren(...falls.filter((one) => one.box).map((one) => one.box).reverse());
}
