// What went wrong, in words.

// `Fault.needsKey` says that the server asks for a key.
export class Fault extends Error {
  constructor(message, { needsKey = false } = {}) {
    super(message);
    this.needsKey = needsKey;
  }
}

// Of an HTTP answer that is no success: the server's own words, with the field and the limit that it names.
export async function ofAnswer(answer) {
  const body = await answer.json().catch(() => ({}));
  const { code, message, field, limit } = body.error ?? {};
  const facts = [field && `field ${field}`, limit != null && `limit ${limit}`, code, `HTTP ${answer.status}`];
  const said = message ? sentence(message) : "The server refused.";
  return new Fault(`${said} (${facts.filter(Boolean).join(", ")})`, { needsKey: answer.status === 401 });
}

export const sentence = (text) => {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
};

const CLOSED = {
  1001: "The server went away.",
  1006: "The connection was lost.",
  1009: "The server was sent more than it takes.",
  1011: "The server failed.",
  1012: "The server is shutting down.",
  1013: "The server has no room now.",
  4000: "The server ended the session because nothing was said for a while.",
  4001: "The key is missing or wrong.",
};

// Of a session that ended without being asked to.
export function ofClose(code, reason) {
  const said = CLOSED[code] ?? "The server ended the session.";
  return new Fault(`${said}${reason ? ` ${sentence(reason)}` : ""} (close code ${code})`, { needsKey: code === 4001 });
}
