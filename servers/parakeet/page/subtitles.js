// Chunks as plain text and as SubRip subtitles. Pure.

const LINE = 42;
const LONGEST_S = 7;
const PAUSE_S = 1;

export const asText = (chunks) => chunks.filter(({ text }) => text).map(({ text }) => `${text}\n`).join("");

export function asSrt(chunks) {
  const cues = chunks.flatMap(({ words }) => cut(words.filter(({ start, end }) => start != null && end != null)));
  return cues.map((cue, k) => `${k + 1}\n${stamp(cue[0].start)} --> ${stamp(cue.at(-1).end)}\n${fold(cue)}\n`).join("\n");
}

// Into cues of two lines and seven seconds at most, and none across a pause.
function cut(words) {
  const cues = [];
  for (const word of words) {
    const cue = cues.at(-1);
    const joins = cue
      && lines([...cue, word]).length <= 2
      && word.end - cue[0].start <= LONGEST_S
      && word.start - cue.at(-1).end <= PAUSE_S;
    if (joins) cue.push(word);
    else cues.push([word]);
  }
  return cues;
}

const fold = (cue) => lines(cue).join("\n");

function lines(words) {
  const found = [];
  for (const { text } of words) {
    const last = found.length - 1;
    if (found.length > 0 && found[last].length + 1 + text.length <= LINE) found[last] += ` ${text}`;
    else found.push(text);
  }
  return found;
}

function stamp(seconds) {
  const ms = Math.round(seconds * 1000);
  const part = (value, digits) => String(Math.floor(value)).padStart(digits, "0");
  return `${part(ms / 3600000, 2)}:${part((ms / 60000) % 60, 2)}:${part((ms / 1000) % 60, 2)},${part(ms % 1000, 3)}`;
}
