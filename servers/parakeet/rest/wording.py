"""What the two REST routes write of a transcript: plain JSON objects, times in seconds of the file. Pure."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

from servers.parakeet.transcript import Span, Transcript, Word


def describe(transcript: Transcript, *, timestamps: bool) -> dict[str, Any]:
    """The answer of /transcribe."""
    if not timestamps:
        return {"text": transcript.text}
    return {
        "text": transcript.text,
        "timestamps": {
            "words": [{**_span(word), "confidence": round(word.confidence, 6)} for word in transcript.words],
            "segments": [_span(segment) for segment in transcript.segments],
            "chars": [_span(char) for char in transcript.chars],
        },
    }


def describe_verbosely(
    transcript: Transcript, *, duration_s: float, words: bool, segments: bool, temperature: float
) -> dict[str, Any]:
    """OpenAI's TranscriptionVerbose, with what was asked for."""
    found: dict[str, Any] = {
        "task": "transcribe",
        "language": "english",
        "duration": round(duration_s, 3),
        "text": transcript.text,
        "usage": usage(duration_s),
    }
    if words:
        found["words"] = [
            {"word": word.text, "start": _ms(word.start_s), "end": _ms(word.end_s)} for word in transcript.words
        ]
    if segments:
        found["segments"] = [
            _segment(number, segment, words_of(segment, transcript.words), temperature)
            for number, segment in enumerate(transcript.segments)
        ]
    return found


def usage(duration_s: float) -> dict[str, Any]:
    """OpenAI's account of a request that is counted by its length: whole seconds, begun ones included."""
    return {"type": "duration", "seconds": math.ceil(duration_s)}


def words_of(segment: Span, words: Sequence[Word]) -> list[Word]:
    """Those whose middle lies in the segment."""
    return [word for word in words if segment.start_s <= (word.start_s + word.end_s) / 2 <= segment.end_s]


def _segment(number: int, segment: Span, words: Sequence[Word], temperature: float) -> dict[str, Any]:
    """In Whisper's terms, as far as this model has them: its pieces have no numbers to tell (`tokens`), and it knows
    no probability of silence (`no_speech_prob`). `avg_logprob` is the mean over words of the logarithm of their
    confidence; `compression_ratio` is whisper/utils.py's."""
    confident = [math.log(max(word.confidence, 1e-9)) for word in words]
    text = segment.text.encode()
    return {
        "id": number,
        "seek": round(segment.start_s * 100),
        "start": _ms(segment.start_s),
        "end": _ms(segment.end_s),
        "text": segment.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": sum(confident) / len(confident) if confident else None,
        "compression_ratio": len(text) / len(zlib.compress(text)) if text else None,
        "no_speech_prob": None,
    }


def _span(span: Span) -> dict[str, Any]:
    return {"text": span.text, "start": _ms(span.start_s), "end": _ms(span.end_s)}


def _ms(seconds: float) -> float:
    return round(seconds, 3)
