// G.711 mu-law, and changing the rate of speech. Source: ITU-T G.711; windowed sinc.

const BIAS = 0x84;
const CLIP = 32635;

export function encode(sample) {
  let value = Math.max(-1, Math.min(1, sample)) * 32767;
  const sign = value < 0 ? 0x80 : 0;
  value = Math.min(Math.abs(value), CLIP) + BIAS;
  const exponent = Math.max(0, Math.floor(Math.log2(value)) - 7);
  const mantissa = (value >> (exponent + 3)) & 0x0f;
  return ~(sign | (exponent << 4) | mantissa) & 0xff;
}

export const DECODED = Float32Array.from({ length: 256 }, (_, code) => {
  const bits = ~code & 0xff;
  const exponent = (bits >> 4) & 7;
  const size = (((bits & 0x0f) << 3) + BIAS) << exponent;
  return (((bits & 0x80) ? BIAS - size : size - BIAS) / 32768);
});

const CROSSINGS = 12;
const STEPS = 512;
const KERNEL = Float32Array.from({ length: (CROSSINGS + 1) * STEPS + 2 }, (_, index) => {
  const u = index / STEPS;
  if (u >= CROSSINGS) return 0;
  const window = 0.5 + 0.5 * Math.cos((Math.PI * u) / CROSSINGS);
  return (u === 0 ? 1 : Math.sin(Math.PI * u) / (Math.PI * u)) * window;
});

// Changes the rate of a stream of samples, block by block.
export class Resampler {
  constructor(from, to) {
    this.step = from / to;
    this.cutoff = Math.min(1, to / from) * 0.92;
    this.reach = Math.ceil(CROSSINGS / this.cutoff);
    this.held = new Float32Array(2 * this.reach);
    this.at = this.reach; // of the next sample, in what is held
  }

  push(block) {
    const samples = new Float32Array(this.held.length + block.length);
    samples.set(this.held);
    samples.set(block, this.held.length);
    const made = [];
    while (this.at + this.reach < samples.length) {
      made.push(this.value(samples));
      this.at += this.step;
    }
    const done = Math.max(0, Math.min(Math.floor(this.at) - this.reach, samples.length));
    this.held = samples.slice(done);
    this.at -= done;
    return made;
  }

  value(samples) {
    const first = Math.ceil(this.at - this.reach);
    const last = Math.floor(this.at + this.reach);
    let sum = 0;
    for (let index = Math.max(first, 0); index <= last; index += 1) {
      sum += samples[index] * KERNEL[Math.round(Math.abs(this.at - index) * this.cutoff * STEPS)];
    }
    return sum * this.cutoff;
  }
}
