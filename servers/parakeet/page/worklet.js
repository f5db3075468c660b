// On the audio thread: the microphone at whatever rate it has becomes frames of 40 ms, 16 kHz PCM16, mono.

import { Resampler } from "./resampler.js";

const RATE_HZ = 16000;
const FRAME = 640;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE_HZ);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.peak = 0;
    this.ended = false;
    this.port.onmessage = () => this.finish();
  }

  process([channels]) {
    if (!this.ended && channels.length > 0) this.take(this.resampler.push(channels[0]));
    return !this.ended;
  }

  take(samples) {
    for (const sample of samples) {
      const kept = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(kept));
      this.frame[this.filled] = Math.round(kept * 32767);
      this.filled += 1;
      if (this.filled === FRAME) this.post();
    }
  }

  post() {
    const pcm = this.frame.slice(0, this.filled).buffer;
    this.port.postMessage({ pcm, peak: this.peak }, [pcm]);
    this.filled = 0;
    this.peak = 0;
  }

  // The last samples, and then nothing more.
  finish() {
    if (this.ended) return;
    this.ended = true;
    this.take(this.resampler.end());
    if (this.filled > 0) this.post();
    this.port.postMessage({ ended: true });
  }
}

registerProcessor("capture", Capture);
