"""The native wire of the Kyutai server, moshi-server's: MessagePack both ways at 24 kHz, and a Flush for the end.

The server speaks first: Ready, or an Error when every seat is taken. Words come one by one and are added up; their
times stay in each message's `data`. Flush and Final are servers/kyutai's own, all else is as in
https://github.com/kyutai-labs/moshi/blob/main/rust/moshi-server/src/batched_asr.rs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgpack

from yapbench.clients.codec import Codec, Heard, Message, Reader, outcome_of_close
from yapbench.clients.interface import Audio
from yapbench.schema import Outcome

FULL: Final = "no free channels"
"""What the server's Error says when there is no seat, also once a stream has begun."""

GOING_AWAY: Final = 1012
"""A server that is being restarted: there is no room now, try again."""


class KyutaiWire(Codec):
    """What both encodings have in common. Each utterance is a connection: behind Final the server hangs up."""

    key_variable = "KYUTAI_API_KEY"
    sample_rate_hz = 24_000
    waits_for_ready = True
    ready_patience_s = 0.5
    retries = 7
    finds_end = False

    def headers(self, *, key: str, bearer: str) -> dict[str, str]:
        proxy = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return proxy | ({"kyutai-api-key": key} if key else {})

    def outcome_of_close(self, code: int) -> Outcome:
        return Outcome.REJECTED if code == GOING_AWAY else outcome_of_close(code)


class Kyutai(KyutaiWire):
    """`/api/asr-streaming`: binary messages only."""

    path = "/api/asr-streaming"

    def encode(self, frame: Audio) -> Message:
        return packed({"type": "Audio", "pcm": frame.tolist()})

    def end(self, request_id: str) -> Sequence[Message]:
        return [packed({"type": "Flush"})]

    def reader(self, request_id: str) -> Reader:
        return NativeReader()


class Transcript:
    """The words of one utterance, and what makes its Final one that may be believed."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._error: str | None = None

    @property
    def text(self) -> str:
        """All of them so far."""
        return " ".join(self.words)

    def error(self, message: str) -> Heard:
        """No seat ends the utterance at once; of any other Error the close code that follows says what kind it was."""
        if FULL in message:
            return Heard("at_capacity", outcome=Outcome.REJECTED, error=message)
        self._error = message
        return Heard("error", error=message)

    def final(self, text: str, *, ended: bool, lack: str = "") -> Heard:
        """The end, once we have asked for it: a success if its text is that of the words and nothing was wrong.

        `lack`: what else is missing, in words.
        """
        if self._error is not None:
            return Heard("final", text, Outcome.SERVER_ERROR, f"a Final after the Error {self._error!r}")
        if text.split() != self.text.split():
            return Heard("final", text, Outcome.WRONG_RESULT, f"the Final is {text!r}, its words were {self.text!r}")
        if lack:
            return Heard("final", text, Outcome.WRONG_RESULT, lack)
        return Heard("final", text, Outcome.OK if ended else None)


class NativeReader:
    """Words, their ends and the steps between them. `marker`: the utterance ends with its answer, not with a Final."""

    def __init__(self, *, marker: int | None = None) -> None:
        self._transcript, self._marker = Transcript(), marker
        self._starts_s: list[float] = []
        self._ends = 0

    def read(self, message: Message, *, ended: bool) -> Heard:
        if isinstance(message, str):
            raise TypeError("this wire has no text messages")
        row: dict[str, Any] = msgpack.unpackb(message)
        heard = self._read(row, row["type"], ended=ended)
        return Heard(heard.kind, heard.text, heard.outcome, heard.error, json.dumps(row, allow_nan=False))

    def _read(self, row: dict[str, Any], kind: str, *, ended: bool) -> Heard:
        if kind == "Step":
            return self._step(row)
        if kind == "Word":
            return self._word(text_of(row, "text"), float(row["start_time"]))
        if kind == "EndWord":
            return self._end_word(float(row["stop_time"]))
        if kind == "Error":
            return self._transcript.error(text_of(row, "message"))
        if kind == "Final":
            words, lack = len(self._transcript.words), ""
            if self._ends != words:
                lack = f"{words} words and {self._ends} ends of words"
            return self._transcript.final(text_of(row, "text"), ended=ended, lack=lack)
        if kind == "Marker" and row["id"] == self._marker:
            return self._transcript.final(self._transcript.text, ended=ended)
        return Heard({"Ready": "ready", "Marker": "marker"}[kind])

    def _step(self, row: dict[str, Any]) -> Heard:
        """One frame of 80 ms was heard: `prs` has the probabilities of a pause, or nothing."""
        if not all(0 <= float(one) <= 1 for one in row["prs"]) or row["buffered_pcm"] < 0:
            raise ValueError(f"a Step with prs {row['prs']!r} and buffered_pcm {row['buffered_pcm']!r}")
        return Heard("step")

    def _word(self, text: str, start_s: float) -> Heard:
        before_s = self._starts_s[-1] if self._starts_s else 0.0
        self._transcript.words.append(text)
        self._starts_s.append(start_s)
        if not start_s >= before_s:
            words = f"the word at {start_s:g} s came after the one at {before_s:g} s"
            return Heard("partial", self._transcript.text, Outcome.WRONG_RESULT, words)
        return Heard("partial", self._transcript.text)

    def _end_word(self, stop_s: float) -> Heard:
        if self._marker is not None and not self._starts_s:
            return Heard("end_word")  # of a word of the utterance before
        self._ends += 1
        if self._ends > len(self._starts_s):
            return Heard("end_word", None, Outcome.WRONG_RESULT, f"an EndWord at {stop_s:g} s without its Word")
        if not stop_s >= self._starts_s[self._ends - 1]:
            words = f"the word from {self._starts_s[self._ends - 1]:g} s ends at {stop_s:g} s"
            return Heard("end_word", None, Outcome.WRONG_RESULT, words)
        return Heard("end_word")


def packed(row: dict[str, object]) -> bytes:
    """As MessagePack; numbers as 32-bit floats, as every client of moshi-server sends them."""
    found: bytes = msgpack.packb(row, use_single_float=True)
    return found


def text_of(row: dict[str, Any], name: str) -> str:
    """Raises ValueError where there is no text."""
    text = row[name]
    if not isinstance(text, str):
        raise ValueError(f"{name} {text!r}")
    return text
