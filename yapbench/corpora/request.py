"""What a user wrote for `corpus`, as text or mapping, read into one checked Request: here is the grammar.

Looks at the disk only to let a path win over the grammar; opening.py finds out what lies at the path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote

from yapbench.corpora import noise as noises
from yapbench.corpora import tts
from yapbench.corpora.fields import CLEAN, READERS, SAMPLES
from yapbench.corpora.noise import Noise
from yapbench.corpus import Label
from yapbench.errors import UsageError

OF_PATH: Final = ("kind", "split", "language", "label", "id", "limit", "text")
OF_TTS: Final = ("voice", "rate", "pitch", "text", "texts", "length", "limit")
OF_NOISE: Final = ("noise", "snr_db", "noise_seed")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which audio is wanted. Exactly one of `path` and `tts` is given."""

    path: Path | None = None
    tts: str | None = None
    kind: str | None = None
    split: str | None = None
    language: str | None = None
    label: Label | None = None
    id: str | None = None
    limit: int | None = None
    text: tuple[str, ...] = ()
    texts: Path | None = None
    length: Literal["short", "medium", "long"] | None = None
    voice: str | None = None
    rate: float = 1.0
    pitch: float = 1.0
    noise: Noise | None = None
    snr_db: float | None = None
    noise_seed: int = 0

    def given(self, *names: str) -> list[str]:
        """Those of `names` that differ from what they are when nothing is said."""
        plain = Request()
        return [name for name in names if getattr(self, name) != getattr(plain, name)]


def parse(
    asked: str | Path | Mapping[str, object] | None,
    *,
    default: str,
    noise: object = None,
    snr_db: object = None,
) -> Request:
    """Read `corpus`: "path", "path?limit=20", "tts:flite:slt?text=Hello.", or the same as a mapping; None: `default`.

    `noise` and `snr_db` are parameters of their own beside it; None is "not given". Raises UsageError that names
    the field, its value and what is allowed.
    """
    fields = _fields(default if asked is None else asked)
    for name, value in (("noise", noise), ("snr_db", snr_db)):
        if value is not None and name in fields:
            raise UsageError(f"{name} is given twice: {fields[name]!r} in corpus, {value!r} beside it")
        if value is not None:
            fields[name] = value
    if ("path" in fields) == ("tts" in fields):
        raise UsageError(f"corpus {asked!r}: expected either a path or a tts engine ({', '.join(tts.ENGINES)})")
    allowed = ("tts", *OF_TTS, *OF_NOISE) if "tts" in fields else ("path", *OF_PATH, *OF_NOISE)
    for name in fields:
        if name in (*OF_PATH, *OF_TTS) and name not in allowed:
            what = "spoken texts" if "tts" in fields else "files"
            raise UsageError(f"corpus: {name} does not apply to {what}; allowed: {', '.join(allowed)}")
        if name not in allowed:
            raise UsageError.unknown("field of corpus", name, allowed)
    return _consistent({name: READERS[name](name, value) for name, value in fields.items()})


def as_text(asked: str | Path | Mapping[str, object]) -> str:
    """The same corpus as one line of text, for a command that repeats it; text stays as it is.

    Raises UsageError for a mapping that names no source or whose path has a question mark.
    """
    if not isinstance(asked, Mapping):
        return str(asked)
    fields = {str(name): value for name, value in asked.items() if value is not None}
    if "tts" in fields:
        source = f"tts:{fields.pop('tts')}"
    elif "path" in fields:
        source = str(fields.pop("path"))
    else:
        raise UsageError(f"corpus {asked!r}: expected either a path or a tts engine")
    if "?" in source:
        raise UsageError(f"corpus: path {source!r}: expected one without a question mark")
    pairs = [(name, one) for name, value in fields.items() for one in (value if isinstance(value, list) else [value])]
    query = "&".join(f"{name}={str(value).replace('%', '%25').replace('&', '%26')}" for name, value in pairs)
    return f"{source}?{query}" if query else source


def _fields(asked: object) -> dict[str, Any]:
    if isinstance(asked, Mapping):
        return _with_engine({str(name): value for name, value in asked.items() if value is not None})
    if isinstance(asked, Path):
        return {"path": asked}
    text = asked.strip() if isinstance(asked, str) else ""
    if not text:
        raise UsageError(f"corpus {asked!r}: expected a path, samples, or tts:ENGINE:VOICE")
    if text != SAMPLES and _exists(text):  # ./samples is the folder of that name
        return {"path": text}
    source, _, query = text.partition("?")
    scheme, colon, engine = source.partition(":")
    name, value = ("tts", engine) if (scheme, colon) == ("tts", ":") else ("path", source)
    fields = _query(query)
    if name in fields:
        raise UsageError(f"corpus: {name} is given twice: {value!r} and {fields[name]!r}")
    return _with_engine({name: value, **fields})


def _with_engine(fields: dict[str, Any]) -> dict[str, Any]:
    """The same with "flite:slt" taken apart into engine and voice."""
    engine, colon, voice = str(fields.get("tts", "")).partition(":")
    if not colon:
        return fields
    if "voice" in fields:
        raise UsageError(f"voice is given twice: {voice!r} and {fields['voice']!r}")
    return {**fields, "tts": engine, "voice": voice}


def _query(query: str) -> dict[str, Any]:
    """k=v&k=v; %26 is an ampersand. Only `text` may come more than once."""
    fields: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), unquote(value)
        if not equals:
            raise UsageError(f"corpus: {pair!r} after the question mark: expected name=value (write & as %26)")
        if name == "text":
            fields[name] = [*fields.get(name, []), value]
        elif name in fields:
            raise UsageError(f"corpus: {name} is given twice: {fields[name]!r} and {value!r}")
        else:
            fields[name] = value
    return fields


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long for a path, a zero byte, an unknown ~user
        return False


def _consistent(values: dict[str, Any]) -> Request:
    clean = values.get("snr_db") == math.inf
    if clean:
        values = {name: value for name, value in values.items() if name not in OF_NOISE}
    request = Request(**values)
    if request.text and request.texts:
        raise UsageError("corpus: text and texts are both given; allowed: one of them")
    if (request.text or request.texts) and request.length:
        raise UsageError("corpus: length chooses among the project's own paragraphs; it does not apply to given texts")
    if request.noise and request.snr_db is None:
        limits = f"{noises.LOWEST_SNR_DB:g} to {noises.HIGHEST_SNR_DB:g}"
        raise UsageError(f"noise {request.noise!r} needs snr_db: {limits} dB, or {CLEAN}")
    if request.snr_db is not None and not request.noise:
        raise UsageError(f"snr_db {request.snr_db:g} needs noise; allowed: {', '.join(noises.NOISES)}")
    return request
