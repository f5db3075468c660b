"""The fields of a corpus's name, one reader each: from text or a YAML value to what is used, or a UsageError.

Knows no grammar and no disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from samples.pool import Length
from yapbench.corpora import noise as noises
from yapbench.corpora import tts
from yapbench.corpus import DEFAULT
from yapbench.errors import UsageError

SAMPLES: Final = "samples"
"""The word for the audio that is committed with the project."""
CLEAN: Final = "clean"
"""The value of `snr_db` that adds no noise: the first of a row such as clean, 20, 10, 0."""


def _bad(name: str, value: object, allowed: str) -> UsageError:
    return UsageError(f"corpus: {name} {value!r}: expected {allowed}")


def _word(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _bad(name, value, "a word")
    return value.strip()


def _path(name: str, value: object) -> Path:
    if isinstance(value, Path):
        return value.expanduser()
    text = _word(name, value)
    if name == "path" and text == SAMPLES:
        return DEFAULT
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise _bad(name, value, "a path") from error


def _one_of(*allowed: str) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        if value not in allowed:
            raise _bad(name, value, " or ".join(allowed))
        return str(value)

    return read


def _number(low: float, high: float) -> Callable[[str, object], float]:
    def read(name: str, value: object) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(str(value))
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise _bad(name, value, f"a number from {low:g} to {high:g}")
        return number

    return read


def _whole(low: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        text = "" if isinstance(value, bool) else str(value).removesuffix(".0")
        if not (text.isascii() and text.isdigit()) or int(text) < low:
            raise _bad(name, value, f"a whole number, {low} or more")
        return int(text)

    return read


def _snr_db(name: str, value: object) -> float:
    if value == CLEAN or value == math.inf:
        return math.inf
    low, high = noises.LOWEST_SNR_DB, noises.HIGHEST_SNR_DB
    try:
        return _number(low, high)(name, value)
    except UsageError:
        raise _bad(name, value, f"dB from {low:g} to {high:g}, or {CLEAN}") from None


def _texts(name: str, value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts:
        raise _bad(name, value, "a text or a list of texts")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise _bad(name, text, "a text that is not empty")
    return tuple(" ".join(text.split()) for text in texts)


READERS: Final[Mapping[str, Callable[[str, object], Any]]] = MappingProxyType(
    {
        "path": _path,
        "tts": _one_of(*tts.ENGINES),
        "kind": _word,
        "split": _word,
        "language": _word,
        "label": _one_of("complete", "cut"),
        "id": _word,
        "limit": _whole(1),
        "text": _texts,
        "texts": _path,
        "length": _one_of(*Length),
        "voice": _word,
        "rate": _number(tts.SLOWEST, tts.FASTEST),
        "pitch": _number(tts.SLOWEST, tts.FASTEST),
        "noise": _one_of(*noises.NOISES),
        "snr_db": _snr_db,
        "noise_seed": _whole(0),
    }
)
