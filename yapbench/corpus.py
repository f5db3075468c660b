"""Utterances to send: a folder of audio with a manifest.jsonl, read strictly before anything is launched.

Knows files and audio; knows no server and no wire. Other sources, and noise: yapbench/corpora/.
"""

from __future__ import annotations

import collections
import fnmatch
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from yapbench import text as texts
from yapbench.corpora import audio
from yapbench.errors import UsageError

Label = Literal["complete", "cut"]

MANIFEST: Final = "manifest.jsonl"
ABOUT: Final = "corpus.json"
DEFAULT: Final = Path(__file__).resolve().parent.parent / "samples" / "audio"

_LABELS: Final[dict[object, Label]] = {"complete": "complete", "cut": "cut", 1: "complete", 0: "cut"}
_DURATION_TOLERANCE_S: Final = 0.1


@dataclass(frozen=True)
class Word:
    """One spoken word; times in seconds of audio."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One clip. Exactly one of `path` and `samples` is given; `samples` is mono float32, shape (n,)."""

    id: str
    duration_s: float
    path: Path | None = None
    samples: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    sample_rate_hz: int | None = None
    text: str | None = None
    language: str | None = None
    words: tuple[Word, ...] = ()
    speech_end_s: float | None = None
    label: Label | None = None
    facts: Mapping[str, str | float] = field(default_factory=dict, hash=False)
    """What was done to make this audio: voice, noise, SNR, gain. Empty for a recording as it was found."""

    def audio(self, sample_rate_hz: int) -> NDArray[np.float32]:
        """Mono samples at `sample_rate_hz`, shape (n,), float32. Raises UsageError for an undecodable file."""
        if self.samples is not None:
            samples, rate = self.samples, self.sample_rate_hz or sample_rate_hz
        else:
            try:
                samples, rate = soundfile.read(self.path, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                raise UsageError(f"{self.path}: cannot be decoded: {error}") from error
            samples = samples.mean(axis=1, dtype=np.float32)
        if rate != sample_rate_hz:
            samples = soxr.resample(samples, rate, sample_rate_hz, quality="HQ")
        return np.ascontiguousarray(samples, dtype=np.float32)


@dataclass(frozen=True)
class Corpus:
    """A choice of utterances in manifest order; `sha256` covers their audio and all that is said of it."""

    name: str
    utterances: tuple[Utterance, ...]
    sha256: str
    note: str = ""
    """What a reader of results must know of this audio; not part of the hash."""
    source: Mapping[str, str | float] = field(default_factory=dict, hash=False)
    """How the audio was made, where it was made: engine and version, voice, noise, SNR, seed."""

    @property
    def audio_s(self) -> float:
        """Total length in seconds."""
        return sum(utterance.duration_s for utterance in self.utterances)

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    def facts(self) -> dict[str, object]:
        """What a trial records about its corpus."""
        facts = {"name": self.name, "sha256": self.sha256, "note": self.note}
        made = {"source": dict(self.source)} if self.source else {}
        return {**facts, **made, "utterances": len(self), "audio_s": round(self.audio_s, 3)}

    @classmethod
    def of(cls, name: str, utterances: list[Utterance]) -> Corpus:
        """A corpus of these utterances, in this order. Raises UsageError when two have the same id."""
        ids = collections.Counter(utterance.id for utterance in utterances)
        if twice := [one for one, count in ids.items() if count > 1]:
            raise UsageError(f"corpus {name!r}: two utterances have the same id, {twice[0]!r}")
        digest = hashlib.sha256()
        for utterance in utterances:
            facts = (
                utterance.id,
                utterance.text,
                utterance.language,
                utterance.label,
                utterance.speech_end_s,
            )
            words = [(word.word, word.start_s, word.end_s) for word in utterance.words]
            made = [dict(sorted(utterance.facts.items()))] if utterance.facts else []
            digest.update(json.dumps([facts, words, utterance.sample_rate_hz, *made]).encode())
            if utterance.samples is not None:
                digest.update(np.ascontiguousarray(utterance.samples, dtype="<f4").tobytes())
            elif utterance.path is not None:
                digest.update(hashlib.sha256(utterance.path.read_bytes()).digest())
        return cls(name, tuple(utterances), digest.hexdigest())

    @classmethod
    def load(
        cls,
        path: Path | str = DEFAULT,
        *,
        kind: str | None = None,
        but: str | None = None,
        split: str | None = None,
        language: str | None = None,
        label: Label | None = None,
        ids: str | None = None,
        limit: int | None = None,
        need_text: bool = False,
    ) -> Corpus:
        """Read a folder with a manifest.jsonl (or that file) and keep the lines that match every given value.

        `but` leaves out the lines of that kind; `ids` is a pattern as of file names: "*-tiny-*".

        Every line is checked, also those left out: UsageError names the file and line of the first mistake,
        and says what there is to choose from when nothing matches. The audio of the lines that are kept is decoded
        to its end; `need_text` wants a reference with at least one word from each of them.
        """
        path = Path(path)
        manifest = path if path.suffix == ".jsonl" else path / MANIFEST
        lines = _lines(manifest)
        wanted = {"kind": kind, "split": split, "language": language}
        chosen: list[tuple[int, Utterance]] = []
        seen: dict[str, int] = {}
        for number, entry in lines:
            utterance = _utterance(manifest, number, entry)
            if (earlier := seen.setdefault(utterance.id, number)) != number:
                raise UsageError(f"{manifest}:{number}: id {utterance.id!r} was used in line {earlier}")
            entry.setdefault("kind", "turn" if utterance.label else None)  # other manifests name no kind
            matches = all(value is None or entry.get(name) == value for name, value in wanted.items())
            matches = matches and (but is None or entry["kind"] != but) and label in (None, utterance.label)
            if matches and (ids is None or fnmatch.fnmatchcase(utterance.id, ids)):
                chosen.append((number, utterance))
        chosen = chosen[:limit]
        for number, utterance in chosen:
            check(utterance, where=f"{manifest}:{number}", need_text=need_text)
        if not chosen:
            given = {**wanted, "label": label, "id": ids}
            asked = ", ".join(f"{name}={value}" for name, value in given.items() if value)
            kinds = sorted({str(entry.get("kind")) for _, entry in lines})
            found = f"kinds: {', '.join(kinds)}" if kinds else "the manifest is empty"
            sought = asked or (f"a kind other than {but}" if but else "these limits")
            raise UsageError(f"{manifest}: no utterance with {sought}; {found}")
        about = _about(manifest.parent / ABOUT)
        corpus = cls.of(about.get("name", manifest.parent.name), [utterance for _, utterance in chosen])
        return replace(corpus, note=about.get("note", ""))


def check(utterance: Utterance, *, where: str, need_text: bool) -> None:
    """Decode an utterance's file to its end and, if asked, see that there is something to count words against.

    Raises UsageError that begins with `where`, the file and line that named the utterance.
    """
    if utterance.path is not None:
        try:
            audio.decode(utterance.path)
        except audio.BadAudio as error:
            raise UsageError(f"{where}: {utterance.path.name}: {error}") from error
    if need_text and not (utterance.text or "").strip():
        raise UsageError(f"{where}: {utterance.id}: no text, and a word error rate needs a reference")
    if need_text and not any(map(str.isalnum, texts.normalize(utterance.text, utterance.language))):
        raise UsageError(f"{where}: {utterance.id}: no word is left of {utterance.text!r} once it is normalised")


def _about(path: Path) -> dict[str, str]:
    """The corpus's own name and note from a corpus.json beside the manifest; {} where there is none."""
    if not path.exists():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if not isinstance(about, dict) or not all(isinstance(about.get(key, ""), str) for key in ("name", "note")):
        raise UsageError(f"{path}: expected an object with texts for name and note")
    return about


def _lines(manifest: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = manifest.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{manifest}: cannot be read: {error}") from error
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{manifest}:{number}: not valid JSON: {error}") from error
        if not isinstance(entry, dict):
            raise UsageError(f"{manifest}:{number}: not a JSON object")
        entries.append((number, entry))
    return entries


def _utterance(manifest: Path, number: int, entry: dict[str, Any]) -> Utterance:
    """One checked line. Fields that other manifests lack (id, duration, words ...) have an obvious value."""

    def mistake(what: str) -> UsageError:
        return UsageError(f"{manifest}:{number}: {what}")

    for name in ("file", "id", "text", "language"):
        if not isinstance(entry.get(name), str | None):
            raise mistake(f"{name!r} must be text")
    for name, unit in (("duration_s", "seconds"), ("speech_end_s", "seconds"), ("sample_rate_hz", "hertz")):
        value = entry.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 <= value < math.inf):
            raise mistake(f"{name!r} must be a number of {unit}")
    if not entry.get("file"):
        raise mistake("'file' is missing")
    label = entry.get("label")
    if label is not None and (isinstance(label, bool | float | list | dict) or label not in _LABELS):
        raise mistake(f"label {label!r} is neither complete (1), cut (0) nor null")
    path = manifest.parent / entry["file"]
    try:
        found = audio.header(path)
    except audio.BadAudio as error:
        raise mistake(f"{entry['file']}: {error}") from error
    found_s = found.duration_s
    duration_s = float(found_s if entry.get("duration_s") is None else entry["duration_s"])
    if abs(found_s - duration_s) > _DURATION_TOLERANCE_S:
        raise mistake(f"{entry['file']} lasts {found_s:.3f} s, the line says {duration_s:.3f} s")
    if entry.get("sample_rate_hz") not in (None, found.sample_rate_hz):
        raise mistake(f"{entry['file']} has {found.sample_rate_hz} Hz, the line says {entry['sample_rate_hz']} Hz")
    speech_end_s = entry.get("speech_end_s")
    if speech_end_s is not None and speech_end_s > found_s + _DURATION_TOLERANCE_S:
        raise mistake(f"speech_end_s {speech_end_s} lies behind the audio's end at {found_s:.3f} s")
    return Utterance(
        id=entry.get("id") or path.stem,
        duration_s=duration_s,
        path=path,
        text=entry.get("text"),
        language=entry.get("language"),
        words=_words(entry.get("words") or [], mistake),
        speech_end_s=None if speech_end_s is None else float(speech_end_s),
        label=None if label is None else _LABELS[label],
    )


def _words(entries: Any, mistake: Callable[[str], UsageError]) -> tuple[Word, ...]:
    try:
        words = tuple(Word(str(one["word"]), float(one["start_s"]), float(one["end_s"])) for one in entries)
    except (TypeError, KeyError, ValueError) as error:
        raise mistake("'words' must be a list of {word, start_s, end_s}") from error
    times = [time_s for word in words for time_s in (word.start_s, word.end_s)]
    if any(later < earlier for earlier, later in itertools.pairwise(times)):
        raise mistake("the times of 'words' must not go back")
    return words
