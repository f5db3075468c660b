// What a visitor takes away: text on the clipboard, or in a file.

import { make } from "./transcript.js";

// Puts `text` on the clipboard and says so on the button. Without HTTPS a page has no clipboard but its own selection.
export async function copy(text, button) {
  const before = button.textContent;
  const done = await navigator.clipboard?.writeText(text).then(() => true, () => false) ?? bySelection(text);
  button.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}

function bySelection(text) {
  const field = make("textarea", "away", text);
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

export function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
