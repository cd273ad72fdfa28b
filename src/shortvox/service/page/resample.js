// Samples of any rate -> 16 kHz, block by block: a windowed sinc, the same for any cut into blocks.

export const RATE = 16000;
const CROSSINGS = 24; // of the sinc to each side
const PASSED = 0.94; // of the narrower band; the rest is where the filter falls

export class Resampler {
  constructor(rate) {
    const common = gcd(rate, RATE);
    this.up = RATE / common;
    this.down = rate / common;
    this.cutoff = PASSED * Math.min(1, RATE / rate);
    this.reach = Math.ceil(CROSSINGS / this.cutoff);
    this.kernels = new Map();
    this.kept = new Float32Array(this.reach); // silence before the first sample
    this.first = -this.reach; // position of kept[0] in the input
    this.made = 0;
  }

  push(block) {
    const heard = new Float32Array(this.kept.length + block.length);
    heard.set(this.kept);
    heard.set(block, this.kept.length);
    const end = this.first + heard.length;
    const found = [];
    for (;;) {
      const step = this.made * this.down;
      const whole = Math.floor(step / this.up);
      if (whole + this.reach + 1 > end) break;
      const kernel = this.kernel(step % this.up);
      const from = whole - this.reach + 1 - this.first;
      let sum = 0;
      for (let tap = 0; tap < kernel.length; tap++) sum += kernel[tap] * heard[from + tap];
      found.push(sum);
      this.made++;
    }
    const next = Math.floor((this.made * this.down) / this.up) - this.reach + 1;
    const keep = Math.max(next - this.first, 0);
    this.kept = heard.slice(keep);
    this.first += keep;
    return Float32Array.from(found);
  }

  finish() {
    return this.push(new Float32Array(this.reach + 1));
  }

  // Taps for an output that lies `phase` / up after an input sample.
  kernel(phase) {
    if (!this.kernels.has(phase)) {
      const taps = new Float32Array(2 * this.reach);
      for (let tap = 0; tap < taps.length; tap++) {
        const x = tap - this.reach + 1 - phase / this.up;
        const window = Math.abs(x) < this.reach ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.reach) : 0;
        const angle = Math.PI * this.cutoff * x;
        taps[tap] = window * this.cutoff * (angle === 0 ? 1 : Math.sin(angle) / angle);
      }
      this.kernels.set(phase, taps);
    }
    return this.kernels.get(phase);
  }
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}
