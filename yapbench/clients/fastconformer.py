"""The wire of the FastConformer server: an init, raw PCM16, a close; interim and final texts come back as JSON.

An utterance is a connection. The wire's `flush` has no answer that can be told from an interim that was on its way, and
an interim does not say that it is the last one, so that only `close` has an end that can be measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from yapbench.clients.codec import Codec, Heard, Message, Reader, pcm16
from yapbench.clients.interface import Audio
from yapbench.schema import Outcome

_OUTCOMES: Final = {
    **dict.fromkeys(("at_capacity", "draining", "not_ready"), Outcome.REJECTED),
    **dict.fromkeys(("bad_input", "unauthorized", "too_large", "unsupported"), Outcome.BAD_REQUEST),
    "idle_timeout": Outcome.DEADLINE,
}
"""By the code of an error; every other one is the server's own failure."""


class FastConformer(Codec):
    """`/`: the first message names the session and the rate, every later message says which session it is of."""

    path = "/"
    key_variable = "ASR_API_KEY"
    finds_end = False

    def opening(self, request_id: str) -> Sequence[Message]:
        return [json.dumps({"op": "init", "sid": request_id, "sr": self.sample_rate_hz})]

    def encode(self, frame: Audio) -> Message:
        return pcm16(frame)

    def end(self, request_id: str) -> Sequence[Message]:
        return [json.dumps({"op": "close", "sid": request_id})]

    def reader(self, request_id: str) -> Reader:
        return _Reader(request_id)


class _Reader:
    """Each text is the whole hypothesis as it stands."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id

    def read(self, message: Message, *, ended: bool) -> Heard:
        if not isinstance(message, str):
            raise TypeError("this wire has no binary answers")
        row: dict[str, Any] = json.loads(message)
        kind, sid = {"interim": "partial", "final": "final", "error": "error"}[row["op"]], row.get("sid")
        if kind == "error":
            return self._error(row["code"], row["message"], sid)
        text = row["text"]
        if not isinstance(text, str) or row["final"] is not (kind == "final"):
            raise ValueError(f"{row['op']} with text {text!r} and final {row['final']!r}")
        if sid != self._request_id:
            words = f"asked {self._request_id!r}, the {row['op']} is for {sid!r}"
            return Heard(kind, text, Outcome.WRONG_RESULT, words)
        return Heard(kind, text, Outcome.OK if kind == "final" and ended else None)

    def _error(self, code: str, message: str, sid: object) -> Heard:
        if sid not in (None, self._request_id):  # without one: the server did not come as far as our init
            words = f"asked {self._request_id!r}, the error {code!r} is for {sid!r}"
            return Heard("error", outcome=Outcome.WRONG_RESULT, error=words)
        outcome = _OUTCOMES.get(code, Outcome.SERVER_ERROR)
        full = outcome is Outcome.REJECTED
        return Heard("at_capacity" if full else "error", outcome=outcome, error=f"{code}: {message}")
