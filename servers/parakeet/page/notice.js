// What the page says of what went wrong, and the field for a key.

const at = (id) => document.getElementById(id);

// `good`: no fault; `again`: what the button beside it says, which listens once more.
export function notify(message, { good = false, again = "" } = {}) {
  at("notice").hidden = message === "";
  at("notice").classList.toggle("bad", !good);
  at("notice-text").textContent = message;
  at("again").hidden = again === "";
  at("again").textContent = again;
}

export function complain(fault, options) {
  notify(fault.message, options);
  if (fault.needsKey) askForKey();
}

export function askForKey() {
  at("access").hidden = false;
  at("key").focus();
}
