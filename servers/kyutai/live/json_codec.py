"""The JSON encoding: text frames with one object each, audio as 16-bit PCM in base64.

In: StartSTT, Audio {audio}, Flush. Out: Ready, Word {word, start_time}, Partial {text} with all words so far, Final
{text}, Error {message}.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from servers.common.audio import pcm16_to_float
from servers.common.errors import BadInput, TooLarge, Unsupported
from servers.common.interfaces import Audio
from servers.common.sockets import describe
from servers.kyutai.events import Event, Failed, Ready, Word
from servers.kyutai.events import Final as FinalText
from servers.kyutai.live.codec import SLICE_SAMPLES, Begin, Flush, Request, Sound, Wire

MAX_TEXT: Final = 8 * 1024 * 1024
"""Characters of one message: two minutes of audio."""
KINDS: Final = "StartSTT|Audio|Flush"


class Json:
    """One connection's."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._owes_partial = False

    def read(self, message: Wire) -> Request | None:
        """Raises BadInput, TooLarge, or Unsupported for a binary frame."""
        row = _read_object(message)
        match row.get("type"):
            case "Audio":
                return Sound(partial(_slices, _pcm16(row.get("audio"))))
            case "StartSTT":
                return Begin()
            case "Flush":
                return Flush()
            case None:
                raise BadInput("is missing", field="type", limit=KINDS)
            case kind:
                raise BadInput(f"unknown: {str(kind)[:40]!r}", field="type", limit=KINDS)

    def write(self, event: Event) -> Sequence[Wire]:
        match event:
            case Word(text, start_s):
                self._words.append(text)
                self._owes_partial = True
                return [_write({"type": "Word", "word": text, "start_time": start_s})]
            case FinalText(text):
                return [*self.rest(), _write({"type": "Final", "text": text})]
            case Failed(fault):
                return [_write({"type": "Error", "message": describe(fault)})]
            case Ready():
                self._words, self._owes_partial = [], False
                return [_write({"type": "Ready"})]
            case _:
                return ()

    def rest(self) -> Sequence[Wire]:
        """One Partial for all the words since the last one."""
        if not self._owes_partial:
            return ()
        self._owes_partial = False
        self._words = [" ".join(word for word in self._words if word)]
        return [_write({"type": "Partial", "text": self._words[0]})]


def _read_object(message: Wire) -> dict[str, Any]:
    if isinstance(message, bytes):
        raise Unsupported("this connection began with a text frame: it speaks JSON", field="message", limit="text")
    if len(message) > MAX_TEXT:
        raise TooLarge("the text frame is too long", field="message", limit=f"{MAX_TEXT} characters")
    try:
        row = json.loads(message)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise BadInput("a text frame holds one JSON object", field="message")
    return row


def _pcm16(value: object) -> bytes:
    if not isinstance(value, str):
        raise BadInput("is missing" if value is None else "not text", field="audio", limit="base64 of 16-bit PCM")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("not base64", field="audio", limit="base64 of 16-bit PCM") from None
    if len(data) % 2:
        raise BadInput("16-bit PCM has an even number of bytes", field="audio", limit="2 bytes a sample")
    return data


def _slices(data: bytes) -> Iterator[Audio]:
    for start in range(0, len(data), 2 * SLICE_SAMPLES):
        yield pcm16_to_float(data[start : start + 2 * SLICE_SAMPLES])


def _write(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"))
