// Words with their confidences and times, from both shapes that the server speaks. Pure.

// Of a result of the WebSocket: `words` are confidences, `timestamps` the words they belong to.
export function wordsOf(row) {
  const confidences = row.words ?? [];
  const spans = row.timestamps ?? row.text.split(/\s+/).filter(Boolean).map((text) => ({ text }));
  return spans.map((span, k) => ({ ...span, confidence: confidences[k] }));
}

// Of a file's answer: its words, gathered into one chunk for each sentence.
export function chunksOf({ text, timestamps }) {
  const { words = [], segments = [] } = timestamps ?? {};
  if (words.length === 0) return text ? [{ text, words: wordsOf({ text }) }] : [];
  const ends = segments.map((segment) => segment.end);
  const chunks = [];
  let segment = -1;
  for (const word of words) {
    const middle = (word.start + word.end) / 2;
    const own = ends.findIndex((end) => middle <= end);
    if (chunks.length === 0 || own !== segment) chunks.push({ words: [] });
    segment = own;
    chunks.at(-1).words.push(word);
  }
  return chunks.map(({ words: own }) => ({
    text: own.map((word) => word.text).join(" "),
    start: own[0].start,
    end: own.at(-1).end,
    words: own,
  }));
}

// The same chunk, heard `byS` seconds later.
export function moved(chunk, byS) {
  const later = (span) => (span.start == null ? span : { ...span, start: span.start + byS, end: span.end + byS });
  return { ...later(chunk), words: chunk.words.map(later) };
}

// The class of a confidence, as the legend shows it.
export function shade(confidence) {
  if (confidence == null) return "unknown";
  if (confidence >= 0.95) return "sure";
  if (confidence >= 0.8) return "fair";
  return confidence >= 0.5 ? "weak" : "poor";
}

export const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
