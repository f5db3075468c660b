// The page's one state, and what its buttons do.

import { showCommands, showFacts } from "./facts.js";
import { Fault } from "./faults.js";
import { copy, save } from "./keep.js";
import { Live } from "./live.js";
import { obstacle } from "./microphone.js";
import { askForKey, complain, notify } from "./notice.js";
import { seconds, showFile, showHeard, showLive, showNothing } from "./numbers.js";
import { Recording } from "./recording.js";
import { Server } from "./server.js";
import { asSrt, asText } from "./subtitles.js";
import { TranscriptView } from "./transcript.js";
import { moved } from "./words.js";

const at = (id) => document.getElementById(id);
const server = new Server();
const recording = new Recording(at("player"));
const view = new TranscriptView({
  scroller: at("scroller"),
  log: at("transcript"),
  partial: at("partial"),
  empty: at("empty"),
  about: at("about-word"),
  play: (from) => recording.play(from),
  canPlay: () => recording.loaded,
});
let config = null;
let learned = null; // resolves when the server has been asked for its settings, whatever it said
let live = null; // the session that runs
let heardS = 0; // of the sessions before it, in this transcript
let ofFile = false; // what the transcript is of
let upload = null; // AbortController of the file being transcribed

// idle, opening, listening, finishing, uploading
function setState(name, text) {
  document.body.dataset.state = name;
  at("state").textContent = text;
  at("listen-text").textContent = { listening: "Stop", finishing: "Stop now" }[name] ?? "Start listening";
  at("listen").disabled = name === "opening" || name === "uploading" || obstacle() !== "";
  at("file").disabled = name !== "idle";
  at("cancel").hidden = name !== "uploading";
  for (const id of ["copy", "save-txt", "save-srt"]) at(id).disabled = view.chunks.length === 0;
  at("clear").disabled = name !== "idle" || at("transcript").childElementCount === 0;
}

const rest = () => setState("idle", view.chunks.length > 0 ? "Done" : "");

async function learn() {
  try {
    config = await server.ask("config");
    const status = await server.ask("status").catch(() => null);
    at("served").textContent = showFacts(at("facts"), at("all"), config, status);
    showCommands(at("commands"), server.origin, config.api_key !== null);
    at("access").hidden = config.api_key === null || server.key !== "";
    at("untold").hidden = true;
    at("more").hidden = false;
    at("file-hint").textContent = `Or drop it here: ${config.max_upload_mb} MB and ${config.max_file_s / 60} minutes at most.`;
  } catch (fault) {
    showCommands(at("commands"), server.origin, fault.needsKey);
    if (fault.needsKey && server.key === "") askForKey();
    else complain(fault);
  }
}

async function listen() {
  if (ofFile) clear();
  notify("");
  view.addRule("a new session");
  const base = heardS;
  const session = new Live(server, {
    frame: (peak) => {
      at("level").style.transform = `scaleX(${Math.min(1, Math.sqrt(peak))})`;
      showHeard(base + session.audioS);
    },
    result: (chunk) => {
      view.add(moved(chunk, base));
      showLive(session, base + session.audioS, view.chunks);
      setState(document.body.dataset.state, at("state").textContent);
    },
    partial: (text) => view.showPartial(text),
    failed: (message, { start }) => {
      if (start == null) notify(message);
      else view.addFailure(message, base + start);
    },
    lost: () => stop(),
    over: (fault) => {
      heardS += session.audioS;
      live = null;
      at("level").style.transform = "scaleX(0)";
      view.showPartial("");
      if (session.audioS > 0) showLive(session, heardS, view.chunks);
      rest();
      if (fault) complain(fault, { again: session.wasOpen ? "Reconnect" : "Try again" });
    },
  });
  live = session;
  setState("opening", "Waiting for the microphone …");
  try {
    await session.start();
    if (live === session) setState("listening", "Listening …");
  } catch (error) {
    session.end(error);
  }
}

function stop() {
  setState("finishing", "Waiting for the last words …");
  live.stop();
}

const tick = (begunMs) => setInterval(() => {
  at("state").textContent = `Transcribing … ${seconds((performance.now() - begunMs) / 1000)}`;
}, 200);

async function transcribe(file) {
  clear();
  ofFile = true;
  at("file-name").textContent = file.name;
  recording.load(file);
  upload = new AbortController();
  setState("uploading", "Transcribing …");
  const ticking = tick(performance.now());
  try {
    await learned;
    if (config && file.size > config.max_upload_mb * 1e6) {
      throw new Fault(`This file has ${(file.size / 1e6).toFixed(1)} MB; the server takes ${config.max_upload_mb} MB.`);
    }
    const { chunks, tookS, audioS } = await recording.transcribe(server, upload.signal);
    view.fill(chunks);
    if (chunks.length === 0) notify("No words were found in this recording.", { good: true });
    showFile(audioS, tookS, chunks);
  } catch (fault) {
    if (fault.name === "AbortError") notify("Cancelled.", { good: true });
    else complain(fault);
  } finally {
    clearInterval(ticking);
    rest();
  }
}

function clear() {
  heardS = 0;
  ofFile = false;
  recording.unload();
  at("file-name").textContent = "";
  view.clear();
  showNothing();
  notify("");
  setState("idle", "");
}

const name = (kind) => `${ofFile ? recording.stem : "microphone"}.${kind}`;

at("listen").onclick = () => (live ? stop() : listen());
at("again").onclick = () => listen();
at("cancel").onclick = () => upload.abort();
at("clear").onclick = () => clear();
at("copy").onclick = () => copy(asText(view.chunks), at("copy"));
at("save-txt").onclick = () => save(asText(view.chunks), name("txt"));
at("save-srt").onclick = () => save(asSrt(view.chunks), name("srt"));
at("player").ontimeupdate = () => view.follow(at("player").currentTime);
at("access").onsubmit = (event) => {
  event.preventDefault();
  server.key = at("key").value;
  notify("");
  learned = learn();
};
at("file").onchange = () => {
  const [file] = at("file").files;
  if (file) transcribe(file);
  at("file").value = ""; // so that the same file can be chosen again
};
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (file && document.body.dataset.state === "idle") transcribe(file);
  });
}
addEventListener("pagehide", () => live?.end(null));

clear();
if (obstacle()) at("mic-hint").textContent = obstacle();
learned = learn();
