// Settings in force, and lines for a terminal that speak to this very server.

import { copy } from "./keep.js";
import { make } from "./transcript.js";

const MAIN = [
  ["batch_size", "Batch", (value) => `${value} chunks at most`],
  ["window_ms", "Batch window", (value, all) => `${value} ms, ${all.idle_gap_ms} ms without an arrival`],
  ["vad_threshold", "Speech begins at", (value) => `probability ${value}`],
  ["silence_ms", "A pause is", (value) => `${value} ms`],
  ["max_audio_s", "Cut for the model at", (value) => `${value} s`],
  ["partials_ms", "Partials", (value) => (value > 0 ? `every ${value} ms` : "off")],
  ["max_upload_mb", "Upload", (value, all) => `${value} MB, ${all.max_file_s} s of audio at most`],
];

// `status` is null where the server keeps it to its operator: then what was asked for is shown, and said to be so.
export function showFacts(list, everything, config, status) {
  const asked = status ? "" : " (as asked for)";
  const model = status?.model?.model_id || config.model;
  const rows = [
    ["Model", model],
    ["Revision", status?.model?.revision || config.model_revision || ""],
    ["Device", `${status?.device ?? config.device}${asked}`],
    ["Precision", status ? `${status.dtype}, asked for: ${config.precision}` : `${config.precision}${asked}`],
    ...MAIN.filter(([name]) => name in config).map(([name, label, say]) => [label, say(config[name], config)]),
  ];
  fill(list, rows.filter(([, value]) => value !== ""));
  fill(everything, Object.entries(config).map(([name, value]) => [name, value === null ? "not set" : String(value)]));
  return model;
}

function fill(list, rows) {
  list.replaceChildren(...rows.flatMap(([label, value]) => [make("dt", "", label), make("dd", "", value)]));
}

export function showCommands(place, origin, needsKey) {
  const key = needsKey ? ' -H "X-API-Key: $KEY"' : "";
  const lines = [
    ["Text with times", `curl${key} -F file=@speech.wav -F include_timestamps=true ${origin}/transcribe`],
    ["Subtitles, by OpenAI's route", `curl${key} -F file=@speech.wav -F response_format=srt ${origin}/v1/audio/transcriptions`],
    ["What the server is doing", `curl${key} ${origin}/status`],
  ];
  place.replaceChildren(...lines.map(([label, line]) => command(label, line)));
}

function command(label, line) {
  const block = make("div", "command");
  const head = make("div", "command-head");
  const button = make("button", "small", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy: ${label}`);
  button.onclick = () => copy(line, button);
  head.append(make("span", "", label), button);
  block.append(head, make("pre", "", line));
  return block;
}
