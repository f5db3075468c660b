// The four numbers under the transcript.

import { mean, median } from "./words.js";

const show = (id, text) => {
  document.getElementById(id).textContent = text;
};

// While the microphone is open.
export function showHeard(audioS) {
  show("clock", `${Math.floor(audioS / 60)}:${String(Math.floor(audioS % 60)).padStart(2, "0")}`);
  show("audio-s", seconds(audioS));
}

// After each result of the session `live`; `audioS` and `chunks` are of the whole transcript.
export function showLive(live, audioS, chunks) {
  show("audio-s", seconds(audioS));
  show("audio-what", `${count(chunks.length, "chunk")} from the microphone`);
  show("delay-label", "Time to result");
  if (live.delaysS.length > 0) {
    show("delay", seconds(live.delaysS.at(-1)));
    show("delay-what", `after the last word, the pause included; median ${seconds(median(live.delaysS))}`);
  }
  if (live.ratios.length > 0) {
    show("factor", ratio(live.ratios.at(-1)));
    show("factor-what", "last chunk: wait and transcription ÷ its audio");
  }
  showConfidence(chunks);
}

// `tookS`: upload and transcription; `audioS`: of the recording, null where neither the browser nor a word says.
export function showFile(audioS, tookS, chunks) {
  show("audio-s", audioS == null ? "–" : seconds(audioS));
  show("audio-what", count(chunks.length, "sentence"));
  show("delay", seconds(tookS));
  show("delay-what", "from the choice of the file to its text, the upload included");
  show("factor", audioS ? ratio(tookS / audioS) : "–");
  show("factor-what", audioS && tookS > 0 ? `${times(audioS / tookS)} as fast as it was spoken, upload included` : "");
  showConfidence(chunks);
}

export function showNothing() {
  for (const id of ["audio-s", "delay", "factor", "confidence"]) show(id, "–");
  show("clock", "");
  show("audio-what", "nothing heard yet");
  show("delay-what", "from the last word to its text");
  show("factor-what", "time to transcribe ÷ audio");
  show("confidence-what", "mean over the words");
}

function showConfidence(chunks) {
  const all = chunks.flatMap(({ words }) => words).map(({ confidence }) => confidence).filter((one) => one != null);
  show("confidence", all.length > 0 ? mean(all).toFixed(2) : "–");
  show("confidence-what", all.length > 0 ? `mean over ${count(all.length, "word")}` : "mean over the words");
}

export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const ratio = (value) => (value < 0.1 ? value.toFixed(3) : value.toFixed(2));
const times = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} times`;

export function seconds(value) {
  if (value < 10) return `${value.toFixed(2)} s`;
  return value < 60 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
}
