// This server, as the page asks it. Keeps the key, in memory only.

import { Fault, ofAnswer } from "./faults.js";

const BASE = new URL(".", location.href);

// A header holds bytes: each letter of the text stands for one of UTF-8.
const bytesOf = (text) => String.fromCharCode(...new TextEncoder().encode(text));

export class Server {
  constructor() {
    this.key = "";
  }

  // Its address, as a terminal needs it.
  get origin() {
    return BASE.href.replace(/\/$/, "");
  }

  // A WebSocket cannot carry a header of the page's own: the key goes into the address, which the server never logs.
  get socketUrl() {
    const url = new URL("ws", BASE);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.key) url.searchParams.set("api_key", this.key);
    return url.href;
  }

  // The answer's JSON; throws a Fault in words.
  async ask(path, options = {}) {
    const headers = this.key ? { "X-API-Key": bytesOf(this.key) } : {};
    let answer;
    try {
      answer = await fetch(new URL(path, BASE), { ...options, headers, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Fault("The server does not answer, or hung up while it was being sent to.");
    }
    if (!answer.ok) throw await ofAnswer(answer);
    return answer.json();
  }

  // What is said in `file`, with times.
  transcribe(file, signal) {
    const body = new FormData();
    body.set("include_timestamps", "true");
    body.set("file", file);
    return this.ask("transcribe", { method: "POST", body, signal });
  }

  // Why a session was not let in: a browser hides the answer to a refused WebSocket, so it is asked for again.
  async whyRefused() {
    try {
      await this.ask("config");
      const { seats } = await this.ask("health");
      if (seats?.free === 0) return new Fault(`All ${seats.total} seats are taken. Try again in a moment.`);
      await this.ask("ready");
    } catch (error) {
      return error;
    }
    return new Fault("The server did not take the session, or a proxy before it lets no WebSocket through.");
  }
}
