// Changes the sampling rate of a stream by a windowed sinc. Whatever the block lengths, the same samples come out.

const CROSSINGS = 32; // of the sinc on each side, counted at the lower of both rates
const PASSED = 0.925; // of the lower rate's half: 6.7 kHz go through whole, 8.1 kHz and up are gone, at 16 kHz

export class Resampler {
  constructor(fromHz, toHz) {
    const common = divisor(fromHz, toHz);
    this.up = toHz / common; // output number n lies at n * down / up of the input
    this.down = fromHz / common;
    const cut = PASSED * Math.min(1, toHz / fromHz);
    this.half = Math.ceil(CROSSINGS / cut);
    this.taps = 2 * this.half;
    this.table = this.up === this.down ? null : kernels(this.up, this.half, cut);
    this.held = new Float32Array(this.half - 1);
    this.at = 0;
    this.phase = 0;
  }

  // Float32Array in, Float32Array out; what cannot be computed yet comes with a later block.
  push(block) {
    if (this.table === null) return block.slice();
    const input = new Float32Array(this.held.length + block.length);
    input.set(this.held);
    input.set(block, this.held.length);
    const found = [];
    while (this.at + this.taps <= input.length) {
      const row = this.phase * this.taps;
      let sum = 0;
      for (let k = 0; k < this.taps; k += 1) sum += input[this.at + k] * this.table[row + k];
      found.push(sum);
      this.phase += this.down;
      this.at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    const past = Math.min(this.at, input.length);
    this.held = input.slice(past);
    this.at -= past;
    return Float32Array.from(found);
  }

  // What the filter still holds, at the end of the stream.
  end() {
    return this.table === null ? new Float32Array(0) : this.push(new Float32Array(this.half));
  }
}

// One row of weights for each position between two input samples, each adding up to 1.
function kernels(phases, half, cut) {
  const taps = 2 * half;
  const table = new Float32Array(phases * taps);
  for (let phase = 0; phase < phases; phase += 1) {
    const row = table.subarray(phase * taps, (phase + 1) * taps);
    let sum = 0;
    for (let k = 0; k < taps; k += 1) {
      const distance = k - (half - 1) - phase / phases;
      row[k] = sinc(cut * distance) * blackman(distance / half);
      sum += row[k];
    }
    for (let k = 0; k < taps; k += 1) row[k] /= sum;
  }
  return table;
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const blackman = (x) => (Math.abs(x) >= 1 ? 0 : 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x));
const divisor = (a, b) => (b === 0 ? a : divisor(b, a % b));
