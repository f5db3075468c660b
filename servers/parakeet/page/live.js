// One session: microphone -> WebSocket -> results. Says what happens through the callbacks it is given.

import { Fault, ofClose, sentence } from "./faults.js";
import { Microphone } from "./microphone.js";
import { wordsOf } from "./words.js";

const RATE_HZ = 16000;
const WAITING_FRAMES = 250; // 10 s of sound may wait for the connection
const QUIET_MS = 3000; // after a flush, where a server does not say that it is done

export class Live {
  // `on`: frame(peak), result(chunk), partial(text), failed(message, row), lost() when the microphone is gone,
  // over(fault or null).
  constructor(server, on) {
    this.server = server;
    this.on = on;
    this.waiting = [];
    this.samples = 0;
    this.startedMs = 0; // when the first sample of the stream was spoken
    this.queued = []; // when each unanswered chunk was announced
    this.delaysS = []; // from the end of a chunk's last word to its text
    this.ratios = []; // answer time / audio, for each chunk
    this.said = ""; // the server's last word on the session, if it was a complaint
    this.wasOpen = false;
    this.finishing = false;
    this.isOver = false;
  }

  get audioS() {
    return this.samples / RATE_HZ;
  }

  // Rejects with an Error in words when there is no microphone.
  async start() {
    this.microphone = await Microphone.open({
      onFrame: (pcm, peak) => this.hear(pcm, peak),
      onLost: () => this.on.lost(),
    });
    if (this.isOver) {
      this.microphone.close();
      return;
    }
    this.socket = new WebSocket(this.server.socketUrl);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.wasOpen = true;
      this.waiting.splice(0).forEach((pcm) => this.socket.send(pcm));
    };
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = ({ code, reason }) => this.lost(code, reason);
  }

  hear(pcm, peak) {
    if (this.isOver) return;
    this.samples += pcm.byteLength / 2;
    this.startedMs ||= performance.now() - this.audioS * 1000;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(pcm);
    else if (this.waiting.push(pcm) > WAITING_FRAMES) this.end(new Fault("The server does not answer."));
    this.on.frame(peak);
  }

  take(row) {
    this.said = "";
    if (row.status === "queued") this.queued.push(performance.now());
    else if (row.status === "flushed") this.end(null);
    else if ("partial" in row) this.on.partial(row.partial);
    else if ("error" in row) this.fail(row);
    else if ("text" in row) this.answer(row);
    if (this.finishing) this.waitQuietly();
  }

  answer(row) {
    const nowMs = performance.now();
    const words = wordsOf(row);
    const endS = words.at(-1)?.end ?? row.end;
    if (endS != null) this.delaysS.push((nowMs - this.startedMs) / 1000 - endS);
    const askedMs = this.queued.shift();
    if (askedMs != null && row.end > row.start) this.ratios.push((nowMs - askedMs) / 1000 / (row.end - row.start));
    this.on.result({ text: row.text, start: row.start, end: row.end, words });
  }

  fail(row) {
    if ("start" in row) this.queued.shift();
    else this.said = row.error;
    this.on.failed(`${sentence(row.error)} (${row.code})`, row);
  }

  // Everything said so far is answered before the session ends; asked a second time, it ends at once.
  async stop() {
    if (this.finishing || !this.socket) {
      this.end(null);
      return;
    }
    this.finishing = true;
    await this.microphone.close();
    if (this.socket.readyState === WebSocket.CONNECTING) {
      await new Promise((go) => this.socket.addEventListener("open", go, { once: true }));
    }
    if (this.isOver) return;
    this.socket.send(JSON.stringify({ type: "flush" }));
    this.waitQuietly();
  }

  waitQuietly() {
    clearTimeout(this.patience);
    if (!this.isOver && this.queued.length === 0) this.patience = setTimeout(() => this.end(null), QUIET_MS);
  }

  async lost(code, reason) {
    if (this.isOver) return;
    this.end(this.wasOpen ? ofClose(code, this.said || reason) : await this.server.whyRefused());
  }

  end(fault) {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.patience);
    this.microphone?.close();
    this.socket?.close(1000);
    this.on.over(fault);
  }
}
