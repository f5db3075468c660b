// The transcript on the page: chunks as paragraphs, words shaded by confidence, reachable by arrow keys.

import { shade } from "./words.js";

export class TranscriptView {
  // `scroller` is the box that `log` and `partial` lie in; `play(seconds)` is called for a word or a time that is chosen; `canPlay()` says whether there is a recording.
  constructor({ scroller, log, partial, empty, about, play, canPlay }) {
    Object.assign(this, { scroller, log, partial, empty, about, play, canPlay });
    this.advice = about.textContent;
    this.played = null; // the word that is marked
    this.chunks = [];
    this.words = []; // { element, word }
    log.addEventListener("click", ({ target }) => this.choose(target));
    log.addEventListener("keydown", (event) => this.press(event));
    for (const kind of ["focusin", "pointerover"]) log.addEventListener(kind, ({ target }) => this.tell(target));
  }

  clear() {
    this.chunks = [];
    this.words = [];
    this.log.replaceChildren();
    this.played = null;
    this.about.textContent = this.advice;
    this.showPartial("");
  }

  add(chunk) {
    this.chunks.push(chunk);
    const line = make("p", "chunk");
    if (chunk.start != null) line.append(this.timeOf(chunk));
    const said = make("span", "words");
    for (const word of chunk.words) said.append(this.wordOf(word), " ");
    if (chunk.words.length === 0) said.append(make("span", "none", chunk.text || "(no words in this)"));
    line.append(said);
    this.append(line);
  }

  // All of a recording, to be read from its beginning.
  fill(chunks) {
    chunks.forEach((chunk) => this.add(chunk));
    this.scroller.scrollTop = 0;
  }

  // A chunk whose text will not come, where it would have stood.
  addFailure(message, start) {
    const line = make("p", "chunk");
    if (start != null) line.append(make("span", "time", clock(start)));
    line.append(make("span", "words failed", message));
    this.append(line);
  }

  addRule(text) {
    const last = this.log.lastElementChild;
    if (last && !last.classList.contains("rule")) this.log.append(make("p", "rule", text));
  }

  append(line) {
    this.stay(() => this.log.append(line));
    this.showPartial("");
  }

  showPartial(text) {
    this.stay(() => {
      this.partial.textContent = text;
      this.partial.hidden = !text;
    });
    this.empty.hidden = Boolean(text) || this.log.childElementCount > 0;
  }

  // What is new comes into sight, unless the reader has scrolled back.
  stay(change) {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    const atEnd = scrollTop + clientHeight >= scrollHeight - 8;
    change();
    if (atEnd && this.log.childElementCount > 0) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  // Mark the word that is being played.
  follow(seconds) {
    const found = this.words.find(({ word }) => seconds >= word.start && seconds < word.end) ?? null;
    if (found === this.played) return;
    this.played?.element.classList.remove("now");
    found?.element.classList.add("now");
    this.played = found;
  }

  timeOf(chunk) {
    if (!this.canPlay()) return make("span", "time", clock(chunk.start));
    const button = make("button", "time", clock(chunk.start));
    button.type = "button";
    button.setAttribute("aria-label", `Play from ${clock(chunk.start)}`);
    button.dataset.start = chunk.start;
    return button;
  }

  wordOf(word) {
    const element = make("span", `word ${shade(word.confidence)}`, word.text);
    element.title = about(word);
    element.dataset.index = this.words.length;
    element.tabIndex = this.words.length === 0 ? 0 : -1;
    if (this.canPlay() && word.start != null) {
      element.classList.add("leads");
      element.setAttribute("role", "button");
    }
    this.words.push({ element, word });
    return element;
  }

  choose(target) {
    const start = target.dataset.start ?? this.words[target.dataset.index]?.word.start;
    if (start != null && this.canPlay()) this.play(Number(start));
  }

  press(event) {
    const at = Number(event.target.dataset.index ?? NaN);
    if (Number.isNaN(at)) return;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.words.length - 1 }[event.key];
    if (to in this.words) {
      this.words[at].element.tabIndex = -1;
      this.words[to].element.tabIndex = 0;
      this.words[to].element.focus();
    } else if (event.key === "Enter" || event.key === " ") this.choose(event.target);
    else return;
    event.preventDefault();
  }

  tell(target) {
    const found = this.words[target.dataset.index];
    if (found) this.about.textContent = about(found.word);
  }
}

export const make = (tag, className, text = "") => {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
};

// 0:03.2
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest < 10 ? "0" : ""}${rest.toFixed(1)}`;
}

function about({ text, start, end, confidence }) {
  const sure = confidence == null ? "confidence unknown" : `confidence ${confidence.toFixed(2)}`;
  return `“${text}”: ${sure}${start == null ? "" : `, ${start.toFixed(2)} – ${end.toFixed(2)} s`}`;
}
