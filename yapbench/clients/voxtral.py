"""The wire of the Voxtral gateway: JSON text, each message in one envelope, `{type, session_id, request_id, payload}`.

An utterance begins with a commit that is not final and ends with one that is. The engine behind the gateway answers
each step of 80 ms with a delta, mostly an empty one; the text so far is all of them together.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

from yapbench.clients.codec import Codec, Heard, Message, Reader, outcome_of_close, pcm16
from yapbench.clients.interface import Audio
from yapbench.schema import Outcome

GOING_AWAY: Final = 1012
"""A gateway that is being restarted: there is no room now, try again."""

_OUTCOMES: Final = {
    "server_at_capacity": Outcome.REJECTED,
    **dict.fromkeys(
        ("authentication_failed", "invalid_message", "invalid_payload", "rate_limited"), Outcome.BAD_REQUEST
    ),
}
"""By the code of an error; internal_error is the server's own failure."""


class Voxtral(Codec):
    """`/api/asr-streaming`. The session.update names no model: the gateway serves one, and says which."""

    path = "/api/asr-streaming"
    key_variable = "VOXTRAL_API_KEY"
    waits_for_ready = True
    keeps_open = True
    finds_end = False

    def headers(self, *, key: str, bearer: str) -> dict[str, str]:
        proxy = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return proxy | ({"X-API-Key": key} if key else {})

    def opening(self, request_id: str) -> Sequence[Message]:
        return [_enveloped("session.update", request_id), *self.resume(request_id)]

    def resume(self, request_id: str) -> Sequence[Message]:
        return [_enveloped("input_audio_buffer.commit", request_id, final=False)]

    def encode(self, frame: Audio) -> Message:
        # Ids may be left out: audio belongs to the utterance that runs. base64 has nothing that JSON would escape.
        audio = base64.b64encode(pcm16(frame)).decode()
        return f'{{"type":"input_audio_buffer.append","payload":{{"audio":"{audio}"}}}}'

    def end(self, request_id: str) -> Sequence[Message]:
        return [_enveloped("input_audio_buffer.commit", request_id, final=True)]

    def reader(self, request_id: str) -> Reader:
        return _Reader(request_id)

    def outcome_of_close(self, code: int) -> Outcome:
        return Outcome.REJECTED if code == GOING_AWAY else outcome_of_close(code)


class _Reader:
    """`request_id` is that of the session, too, as we name it."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._text = ""
        self._begun = False
        self._dropped_s = 0.0

    def read(self, message: Message, *, ended: bool) -> Heard:
        if not isinstance(message, str):
            raise TypeError("this wire has no binary messages")
        row: dict[str, Any] = json.loads(message)
        kind, payload = row["type"], row["payload"]
        if not isinstance(payload, dict):
            raise TypeError(f"payload {payload!r}")
        if row["request_id"] not in (None, self._request_id):
            words = f"asked {self._request_id!r}, the {kind} is for {row['request_id']!r}"
            return Heard(kind, outcome=Outcome.WRONG_RESULT, error=words)
        if kind == "transcription.delta":
            return self._delta(_text(payload, "delta"))
        if kind == "transcription.done":
            return self._done(_text(payload, "text"), ended=ended)
        if kind == "error":
            return self._error(payload)
        if kind == "cancelled":
            words = f"cancelled, and not by us: {payload.get('reason')}"
            return Heard(kind, outcome=Outcome.NO_FINAL, error=words)
        if kind == "status" and payload["kind"] == "overload_drop":
            self._dropped_s += float(payload["dropped_seconds"])
        self._begun = self._begun or kind == "session.updated"
        return Heard(_KINDS[kind])

    def _delta(self, delta: str) -> Heard:
        """A delta without a word is no partial, but tells that a step was made."""
        self._begun = True
        before, self._text = self._text.strip(), self._text + delta
        after = self._text.strip()
        return Heard("step") if after == before else Heard("partial", after)

    def _done(self, text: str, *, ended: bool) -> Heard:
        """The end, once we have asked for it: a success if it is the text of the deltas and all audio was heard."""
        text = text.strip()
        wrong = ""
        if not ended:
            wrong = "a done that nobody has asked for"
        elif text.split() != self._text.split():
            wrong = f"the done is {text!r}, its deltas were {self._text.strip()!r}"
        elif self._dropped_s:
            wrong = f"{self._dropped_s:g} s of the audio were dropped"
        return Heard("final", text, Outcome.WRONG_RESULT if wrong else Outcome.OK, wrong or None)

    def _error(self, payload: dict[str, Any]) -> Heard:
        code, reason = _text(payload, "code"), _text(payload, "reason_code")
        outcome = _OUTCOMES.get(code, Outcome.SERVER_ERROR)
        if reason == "engine_unavailable" and not self._begun:  # afterwards it is an engine that went away under us
            outcome = Outcome.REJECTED
        words = f"{code}, {reason}: {_text(payload, 'message')}"
        return Heard("at_capacity" if outcome is Outcome.REJECTED else "error", outcome=outcome, error=words)


_KINDS: Final = {
    "session.created": "created",
    "session.updated": "ready",
    "pong": "pong",
    "session_end": "session_end",
    "status": "status",
}
"""What changes no text; how a session ended is said by its close code."""


def _enveloped(kind: str, request_id: str, **payload: object) -> str:
    row = {"type": kind, "session_id": request_id, "request_id": request_id, "payload": payload}
    return json.dumps(row, separators=(",", ":"))


def _text(payload: dict[str, Any], name: str) -> str:
    text = payload[name]
    if not isinstance(text, str):
        raise ValueError(f"{name} {text!r}")
    return text
