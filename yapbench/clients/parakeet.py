"""The wire of the Parakeet server's /ws: raw PCM16, a flush; each chunk of speech comes back as one JSON result.

The server's VAD closes chunks at pauses, announces each (`queued`) and answers them in that order, so that an
utterance's transcript is that of its chunks, one after the other. With a flush its end is the message `flushed`, behind
which nothing more is owed. Where no flush is sent, it is the result of the chunk that silence closed after all speech
was sent.
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
    **dict.fromkeys(("deadline_exceeded", "idle_timeout"), Outcome.DEADLINE),
}
"""By the code of an error; every other one is the server's own failure."""


class Parakeet(Codec):
    """`/ws`: nothing is said before the audio, and the session goes on after a flush."""

    path = "/ws"
    key_variable = "PARAKEET_API_KEY"
    keeps_open = True

    def encode(self, frame: Audio) -> Message:
        return pcm16(frame)

    def end(self, request_id: str) -> Sequence[Message]:
        return ['{"type": "flush"}']

    def reader(self, request_id: str) -> Reader:
        return _Reader(flushed=True)

    def reader_of_silence(self, request_id: str) -> Reader:
        return _Reader(flushed=False)


class _Reader:
    """Counts announced and answered chunks, and joins their texts."""

    def __init__(self, *, flushed: bool) -> None:
        self._flushed = flushed
        self._late: list[bool] = []
        """Of each announced chunk: all speech had been sent by then."""
        self._texts: list[str] = []
        self._start_s = 0.0

    def read(self, message: Message, *, ended: bool) -> Heard:
        if not isinstance(message, str):
            raise TypeError("this wire has no binary answers")
        row: dict[str, Any] = json.loads(message)
        if "error" in row:
            return self._error(row)
        if "partial" in row:
            return Heard("partial", self._joined(_text(row, "partial")))
        if "status" in row:
            return self._status(row["status"], ended=ended)
        return self._result(row, ended=ended)

    def _status(self, status: str, *, ended: bool) -> Heard:
        if status == "queued":
            self._late.append(ended)
            return Heard("queued")
        if status != "flushed" or not self._flushed:
            raise ValueError(f"status {status!r}")
        lost = len(self._late) - len(self._texts)
        if lost:
            words = f"{len(self._late)} chunks were announced and {len(self._texts)} answered before `flushed`"
            return Heard("final", self._joined(), Outcome.WRONG_RESULT, words)
        return Heard("final", self._joined(), Outcome.OK if ended else None)

    def _result(self, row: dict[str, Any], *, ended: bool) -> Heard:
        self._texts.append(_text(row, "text"))
        number, text = len(self._texts), self._joined()
        words, confidence = row["words"], row["confidence"]
        if not all(isinstance(one, int | float) and 0 <= one <= 1 for one in [confidence, *words]):
            raise ValueError(f"confidences {confidence!r} and {words!r}")
        if number > len(self._late):
            told = f"result {number}, and only {number - 1} were announced"
            return Heard("partial", text, Outcome.WRONG_RESULT, told)
        start_s = float(row.get("start", self._start_s))
        if start_s < self._start_s:
            told = f"the chunk from {start_s:g} s was answered after the one from {self._start_s:g} s"
            return Heard("partial", text, Outcome.WRONG_RESULT, told)
        self._start_s = start_s
        by_silence = row.get("closed_by", "silence") == "silence"
        last = number == len(self._late) and self._late[-1] and by_silence and not self._flushed
        return Heard("final" if last else "partial", text, Outcome.OK if last and ended else None)

    def _error(self, row: dict[str, Any]) -> Heard:
        code, message = row["code"], row["error"]
        outcome = _OUTCOMES.get(code, Outcome.SERVER_ERROR)
        full = outcome is Outcome.REJECTED
        return Heard("at_capacity" if full else "error", outcome=outcome, error=f"{code}: {message}")

    def _joined(self, more: str = "") -> str:
        """What has been heard so far."""
        return " ".join(filter(None, [*self._texts, more]))


def _text(row: dict[str, Any], name: str) -> str:
    text = row[name]
    if not isinstance(text, str):
        raise ValueError(f"{name} {text!r}")
    return text
