"""Audio that was made once and is kept: each clip under the hash of all it was made from, whole or not there.

Knows how to keep samples with their word times; knows neither synthesisers nor noise.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from yapbench import store
from yapbench.corpus import Word
from yapbench.errors import CorruptFile, UsageError

VERSION: Final = 1
"""Rises when a kept clip has to be made again, whatever it was made from."""

Recipe = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A clip as it comes from its maker: mono float32 samples, shape (n,), within -1..1."""

    samples: NDArray[np.float32] = field(repr=False)
    sample_rate_hz: int
    words: tuple[Word, ...] = ()
    facts: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A clip in the cache."""

    path: Path
    duration_s: float
    words: tuple[Word, ...]
    facts: Mapping[str, str | float]


class SpeechCache:
    """Clips in a folder, found by their recipe: <folder>/<2 digits>/<hash>.wav, 24 bit, with a .json beside it.

    Several processes may use one folder: files are renamed into it, and a damaged clip is made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls, environment: Mapping[str, str] = os.environ) -> SpeechCache:
        """The folder `speech` in YAPBENCH_CACHE, or in ~/.cache/yapbench."""
        root = environment.get("YAPBENCH_CACHE") or "~/.cache/yapbench"
        return cls(Path(root).expanduser() / "speech")

    def get(self, recipe: Recipe, make: Callable[[], Made]) -> Kept:
        """The clip of `recipe`, made and stored if it is not there. Raises UsageError when it cannot be stored."""
        content = json.dumps({"cache": VERSION, **recipe}, sort_keys=True)
        key = hashlib.sha256(content.encode()).hexdigest()[:32]
        wav = self.folder / key[:2] / f"{key}.wav"
        if (kept := _read(wav)) is not None:
            return kept
        made = make()
        try:
            _write(wav, made, recipe)
        except OSError as error:
            raise UsageError(f"{self.folder}: speech cannot be kept there: {error}; YAPBENCH_CACHE moves it") from error
        kept = _read(wav)
        if kept is None:
            raise UsageError(f"{wav}: was written and does not read back; is the disk sound?")
        return kept


def _read(wav: Path) -> Kept | None:
    """None for what is missing, cut short, changed or half written: the caller makes it again."""
    try:
        about: dict[str, Any] = store.read_json(wav.with_suffix(".json"))
        if hashlib.sha256(wav.read_bytes()).hexdigest() != about["wav_sha256"]:
            return None
        words = tuple(Word(**word) for word in about["words"])
        return Kept(path=wav, duration_s=about["duration_s"], words=words, facts=about["facts"])
    except (CorruptFile, OSError, KeyError, TypeError):
        return None


def _write(wav: Path, made: Made, recipe: Recipe) -> None:
    wav.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=wav.parent, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        # 24 bits hold a synthesiser's 16 exactly and noise far below them; a float WAV would carry a time stamp.
        soundfile.write(part, made.samples, made.sample_rate_hz, format="WAV", subtype="PCM_24")
        sha256 = hashlib.sha256(part.read_bytes()).hexdigest()
        part.replace(wav)
    finally:
        part.unlink(missing_ok=True)
    about = {
        "recipe": dict(recipe),
        "wav_sha256": sha256,
        "duration_s": len(made.samples) / made.sample_rate_hz,
        "words": [asdict(word) for word in made.words],
        "facts": dict(made.facts),
    }
    store.write_json(wav.with_suffix(".json"), about)  # last: a clip without it is made again
