// Runs beside the page, where sound may not wait: microphone to mu-law and back.
import { DECODED, Resampler, encode } from "./g711.js";

const RATE = 8000;
const FRAME = 160;
const BUFFER = 480; // 60 ms, for packets that come unevenly

class Mouth extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.frame = new Uint8Array(FRAME);
    this.filled = 0;
    this.peak = 0;
  }

  process([[channel]]) {
    if (!channel) return true;
    for (const sample of this.resampler.push(channel)) {
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.frame[this.filled] = encode(sample);
      this.filled += 1;
      if (this.filled === FRAME) {
        this.port.postMessage({ frame: this.frame.slice(), peak: this.peak });
        this.filled = 0;
        this.peak = 0;
      }
    }
    return true;
  }
}

class Ear extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE, sampleRate);
    this.waiting = [];
    this.ready = [];
    this.playing = false;
    this.port.onmessage = ({ data }) => {
      for (const code of data) this.waiting.push(DECODED[code]);
    };
  }

  process(_, [[channel]]) {
    if (!this.playing) this.playing = this.waiting.length >= BUFFER;
    if (!this.playing) return true;
    while (this.ready.length < channel.length && this.waiting.length) {
      this.ready.push(...this.resampler.push(Float32Array.from(this.waiting.splice(0, FRAME))));
    }
    if (this.ready.length < channel.length) this.playing = false;
    channel.set(this.ready.splice(0, channel.length));
    return true;
  }
}

registerProcessor("mouth", Mouth);
registerProcessor("ear", Ear);
