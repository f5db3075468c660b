"""What is said on the wire of /ws: PCM and `flush` in; `queued`, results, `flushed`, partials and errors out. Pure.

In, in any order, nothing is said first:

- binary: PCM16 little-endian, mono, 16 kHz, in frames of any size. A sample may lie in two frames: its first byte waits
  for the next one.
- text `{"type": "flush"}`: the open chunk is closed now. Any other text, audio as JSON among it, is answered with an
  error; the session goes on, because what is wrong with a text leaves the audio's meaning untouched.

Out, one JSON object a text frame:

- `{"status": "queued"}` for each chunk, as soon as it is closed.
- for each chunk exactly one result or one error, in the chunks' order. A result: `{"text", "confidence": 0..1,
  "words": [confidence per word], "timestamps": [{"text", "start", "end"} per word], "start", "end",
  "closed_by": "silence" | "length" | "flush" | "end"}`; times are seconds since the session's first sample. The error
  of a chunk: `{"error": message, "code", "start", "end"}`, with `field` and `limit` where they are known.
- `{"status": "flushed"}` for each flush, when every chunk that was queued before it or closed by it has its answer,
  also where there was none: nothing more comes until more is said.
- `{"partial": text, "start", "end"}` where partials are switched on: the open chunk's text so far. Each replaces the
  one before; none comes after the chunk's result. It has no `text`, so that nobody takes it for a result.
- `{"error": message, "code"}`, with `field` and `limit` where they are known, without `start` and `end`: what the
  client or the session has wrong, no chunk's answer. Half a sample before a flush (dropped) and a text that means
  nothing do not end the session. What ends it is followed by the close: `idle_timeout` 4000, `at_capacity` 1013 (no
  seat), `draining` 1012, `inference_failed` 1011. Before that every chunk gets its answer, also one that was open.

Codes of a chunk's error: `inference_failed`, `deadline_exceeded`, `at_capacity` (the queue was full as it was closed).
A client that closes or is gone gets nothing more: what is queued for it is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from servers.common.audio import pcm16_to_float
from servers.common.errors import BadInput, ServerFault
from servers.common.interfaces import Audio
from servers.parakeet.live.chunker import Chunk
from servers.parakeet.transcript import Transcript

MAX_TEXT: Final = 4096
"""Characters of a text frame that is looked at; a flush has eighteen."""
SLICE_BYTES: Final = 32_768
"""At once: 16,384 samples are converted in about 20 us, so that nobody waits for a long frame. Even."""
FLUSH: Final = "flush"
FLUSHED: Final = '{"status":"flushed"}'
QUEUED: Final = '{"status":"queued"}'


class Pcm:
    """From the bytes of one session to its samples, however they are cut into frames."""

    def __init__(self) -> None:
        self._odd = b""

    def read(self, frame: bytes) -> Iterator[Audio]:
        """The frame's samples in portions, float32 of shape (n,) each. To be read to its end."""
        if self._odd:
            frame, self._odd = self._odd + frame, b""
        whole = len(frame) & ~1
        self._odd = frame[whole:]
        for start in range(0, whole, SLICE_BYTES):
            yield pcm16_to_float(frame[start : min(start + SLICE_BYTES, whole)])

    def end(self) -> BadInput | None:
        """What comes next begins with a whole sample; the fault of the audio so far, where it ends within one."""
        half, self._odd = self._odd, b""
        if not half:
            return None
        return BadInput("the audio ends within a sample, whose one byte is dropped", field="audio", limit="PCM16")


def read_operation(text: str) -> str:
    """FLUSH, the only one. Raises BadInput, which names what is wrong with any other text."""
    if len(text) > MAX_TEXT:
        raise BadInput("the text frame is too long", field="message", limit=f"{MAX_TEXT} characters")
    try:
        row = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadInput("a text frame holds one JSON object; audio is sent as binary", field="message") from None
    if not isinstance(row, dict):
        raise BadInput("a text frame holds one JSON object; audio is sent as binary", field="message")
    if row.get("type") != FLUSH:
        raise BadInput("unknown type; audio is sent as binary", field="type", limit=FLUSH)
    return FLUSH


def write_result(chunk: Chunk, heard: Transcript) -> str:
    """What was said in `chunk`; `heard` is timed from the chunk's own beginning."""
    words = heard.shifted(chunk.begin_s).words
    row = {
        "text": heard.text,
        "confidence": _round(heard.confidence),
        "words": [_round(word.confidence) for word in words],
        "timestamps": [{"text": word.text, "start": _round(word.start_s), "end": _round(word.end_s)} for word in words],
        **_span(chunk),
        "closed_by": chunk.closed_by,
    }
    return _write(row)


def write_partial(chunk: Chunk, heard: Transcript) -> str:
    """What was said so far in a chunk that is still open."""
    return _write({"partial": heard.text, **_span(chunk)})


def write_error(fault: ServerFault, chunk: Chunk | None = None) -> str:
    """What went wrong, and with which chunk, if it is one's answer."""
    known = {"field": fault.field, "limit": fault.limit}
    row: dict[str, object] = {"error": fault.message, "code": fault.code}
    row |= {name: value for name, value in known.items() if value is not None}
    return _write(row if chunk is None else row | _span(chunk))


def _span(chunk: Chunk) -> dict[str, object]:
    return {"start": _round(chunk.begin_s), "end": _round(chunk.end_s)}


def _round(value: float) -> float:
    return round(value, 4)


def _write(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"), allow_nan=False)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
