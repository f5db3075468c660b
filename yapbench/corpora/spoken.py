"""Utterances that a synthesiser speaks: the project's paragraphs, given texts, or the lines of a text file.

Knows the cache and an engine's interface; knows no particular engine.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from samples.pool import Length, paragraphs
from samples.sound import speech_end_s
from yapbench.corpora.cache import Made, SpeechCache
from yapbench.corpora.tts import Engine, speakable
from yapbench.corpus import Corpus, Utterance
from yapbench.errors import UsageError

VERSION: Final = 1
"""Rises when the same engine, voice and text are turned into another clip."""


@dataclass(frozen=True)
class Text:
    """What is to be spoken, with the place that its mistakes are named by."""

    id: str
    text: str
    where: str


def given(texts: tuple[str, ...]) -> list[Text]:
    """Texts as they came with the corpus's name."""
    return [Text(f"text-{number}", text, f"corpus: text {number}") for number, text in enumerate(texts, start=1)]


def lines(path: Path) -> list[Text]:
    """One text in each line of a file that is not blank. Raises UsageError for a file without any."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    numbered = ((number, " ".join(line.split())) for number, line in enumerate(content.splitlines(), start=1))
    found = [Text(f"{path.stem}-{number}", text, f"{path}:{number}") for number, text in numbered if text]
    if not found:
        raise UsageError(f"{path}: no text in it")
    return found


def pool(language: str, *, length: str | None) -> list[Text]:
    """The project's own paragraphs in `language`. Raises UsageError where there are none."""
    every = paragraphs()
    wanted = None if length is None else Length(length)
    found = [one for one in every if one.language == language and wanted in (None, one.length)]
    if not found:
        languages = ", ".join(sorted({one.language for one in every}))
        asked = language if length is None else f"{language} with length {length}"
        known = f"there are {languages}"
        raise UsageError(f"corpus: no paragraphs in {asked} ({known}); give text=... or texts=FILE")
    return [Text(one.id, one.text, f"paragraph {one.id}") for one in found]


def speak(texts: list[Text], *, engine: Engine, voice: str, rate: float, pitch: float, cache: SpeechCache) -> Corpus:
    """Each text as an utterance with its word times and the end of its sound, from the cache where it is there.

    Raises UsageError for a text that the engine cannot speak, naming its place, and where the engine is missing.
    """
    language, version = engine.language(voice), engine.version()
    named: dict[str, str | float] = {"tts": engine.name, "tts_version": version, "voice": voice}
    how = {**named, "rate": rate, "pitch": pitch}
    error_s = engine.word_error_s(voice)

    def make(text: Text) -> Made:
        try:
            spoken = engine.speak(text.text, voice=voice, rate=rate, pitch=pitch)
        except UsageError as error:
            raise UsageError(f"{text.where}: {error}") from error
        if not len(spoken.samples) or not spoken.samples.any():
            raise UsageError(f"{text.where}: {engine.name} says nothing: {text.text!r}")
        end_s = speech_end_s(spoken.samples, sample_rate_hz=spoken.sample_rate_hz)
        facts: dict[str, str | float] = {"speech_end_s": round(end_s, 4)}
        if spoken.words and error_s is not None:
            facts["word_error_s"] = error_s
        return Made(
            samples=spoken.samples, sample_rate_hz=spoken.sample_rate_hz, words=spoken.words, facts={**how, **facts}
        )

    utterances = []
    for text in texts:
        recipe = {"made": "speech", "version": VERSION, **how, "text": text.text, "spoken": speakable(text.text)}
        kept = cache.get(recipe, functools.partial(make, text))
        facts = dict(kept.facts)
        end_s = float(facts.pop("speech_end_s"))
        utterances.append(
            Utterance(
                id=f"{text.id}-{voice}",
                duration_s=kept.duration_s,
                path=kept.path,
                text=text.text,
                language=language,
                words=kept.words,
                speech_end_s=end_s,
                facts=facts,
            )
        )
    note = f"Synthetic speech ({engine.name} {version}, voice {voice}): fit for latency and load, not for judging WER."
    corpus = Corpus.of(f"{engine.name} {voice}", utterances)
    return replace(corpus, note=note, source=how)
