"""What OpenAI's clients may ask of a transcription, read and checked. Pure.

Their names and rules are those of the package openai (resources/audio/transcriptions.py). Any model name is taken:
clients have theirs built in, and there is one model here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from servers.common.errors import BadInput
from servers.parakeet.uploads.fields import Fields

FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")
STREAMED: Final = ("json", "text")
GRANULARITIES: Final = ("segment", "word")
WITHOUT_EFFECT: Final = (
    "prompt",
    "temperature",
    "chunking_strategy",
    "keywords",
    "keywords[]",
    "known_speaker_names",
    "known_speaker_names[]",
    "known_speaker_references",
    "known_speaker_references[]",
)
"""Taken, since programs send them, and named in the answer's X-Without-Effect."""
_NAMES: Final = (
    *("file", "model", "response_format", "language", "languages", "languages[]", "stream", "include", "include[]"),
    *("timestamp_granularities", "timestamp_granularities[]", *WITHOUT_EFFECT),
)


@dataclass(frozen=True, slots=True)
class Options:
    """Of one request."""

    format: str
    words: bool
    segments: bool
    stream: bool
    temperature: float
    without_effect: tuple[str, ...]


def read_options(fields: Fields) -> Options:
    """Raises BadInput, naming the field and what it may be."""
    fields.check_names(_NAMES)
    kind = fields.choice("response_format", FORMATS)
    _check_language(fields)
    if fields.every("include", "include[]"):
        raise BadInput("this model gives no log probabilities of its pieces", field="include[]", limit="none")
    stream = fields.flag("stream", default=False)
    if stream and kind not in STREAMED:
        allowed = ", ".join(STREAMED)
        raise BadInput(f"{kind} cannot be streamed", field="response_format", limit=f"{allowed} with stream=true")
    wanted = _read_granularities(fields, kind)
    return Options(
        format=kind,
        words="word" in wanted,
        segments="segment" in wanted or not wanted,
        stream=stream,
        temperature=fields.number("temperature", least=0, most=1) or 0.0,
        without_effect=tuple(name for name in WITHOUT_EFFECT if fields.every(name)),
    )


def _check_language(fields: Fields) -> None:
    for name, given in (
        ("language", fields.every("language")),
        ("languages", fields.every("languages", "languages[]")),
    ):
        if given and not any(_is_english(each) for each in given):
            raise BadInput(f"'{given[0][:40]}' is not spoken here", field=name, limit="en")


def _is_english(language: str) -> bool:
    word = language.strip().lower().replace("_", "-")
    return word in ("", "en", "english") or word.startswith("en-")


def _read_granularities(fields: Fields, kind: str) -> list[str]:
    wanted = fields.every("timestamp_granularities", "timestamp_granularities[]")
    for each in wanted:
        if each not in GRANULARITIES:
            allowed = ", ".join(GRANULARITIES)
            raise BadInput(f"'{each[:40]}' is not one of {allowed}", field="timestamp_granularities[]", limit=allowed)
    if wanted and kind != "verbose_json":
        raise BadInput(
            "timestamps come with response_format=verbose_json only",
            field="timestamp_granularities[]",
            limit="response_format=verbose_json",
        )
    return wanted
