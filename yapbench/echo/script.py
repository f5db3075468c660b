"""Makes the echo server a recogniser whose every number is known beforehand: a script of what it shall say to a corpus.

Each utterance is told by its sound, gets one partial a word at the word's end and its reference at the end; word errors
and words that are shown wrongly at first are planted by a seed. Knows the script's form; starts no server.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from yapbench import store, text
from yapbench.clients.codec import pcm16
from yapbench.corpus import Corpus, Utterance
from yapbench.errors import UsageError

SAMPLE_RATE_HZ: Final = 16_000
VERSION: Final = 1
"""Rises when the same corpus and options give another script."""

WRONG: Final = "mumble"
"""Stands in a transcript for a word that was got wrong."""

_SIZES: Final = tuple(3200 << doubled for doubled in range(9))
"""So many bytes of sound may tell the utterances apart: 0.1 s, and more where many begin alike."""


@dataclass(frozen=True, kw_only=True)
class ScriptOptions:
    """What is planted, part of a trial. Raises UsageError for shares that are none.

    wrong_words    share of the corpus's words that are wrong in the finals (and in the partials before them)
    revised_words  share of its words that are shown wrongly when first shown
    """

    wrong_words: float = 0.0
    revised_words: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("wrong_words", "revised_words"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise UsageError(f"{name} is {value!r}; it must be a share from 0 to 1")

    def identity(self) -> dict[str, Any]:
        """For a trial's hash."""
        return {**asdict(self), "version": VERSION}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is said of one utterance. Times are in seconds of audio received."""

    id: str
    words: tuple[str, ...]
    """Of the final, planted ones included."""
    partials: tuple[tuple[float, str], ...]
    wrong: frozenset[int]
    """Places of the words that are wrong for good."""
    revised: frozenset[int]
    """Places of the words that are wrong until the next message."""
    sound_sha256: str
    sound_bytes: int

    @property
    def final(self) -> str:
        """The last transcript."""
        return " ".join(self.words)

    def as_json(self) -> dict[str, Any]:
        """One entry of a script file."""
        partials = [{"audio_s": at_s, "text": shown} for at_s, shown in self.partials]
        return {"partials": partials, "final": self.final, "heard": self.sound_sha256, "heard_bytes": self.sound_bytes}


def script_of(corpus: Corpus, options: ScriptOptions | None = None) -> dict[str, Told]:
    """What echo shall say to each utterance, by its id. The same corpus and options give the same script.

    Raises UsageError for utterances without a text, and for two that sound the same and say different things.
    """
    options = options or ScriptOptions()
    sounds = {one.id: _sound(one) for one in corpus}
    size = _telling_size(corpus, sounds)
    spoken = {one.id: tuple((one.text or "").split()) for one in corpus}
    for one in corpus:
        if not spoken[one.id]:
            raise UsageError(f"corpus {corpus.name!r}: {one.id} has no text that echo could say")
    wrong = _planted(corpus, spoken, options)
    places = [(one.id, place) for one in corpus for place in range(len(spoken[one.id]))]
    revised = _drawn([at for at in places if at not in wrong], options.revised_words, len(places), f"r{options.seed}")
    return {one.id: _told(one, spoken[one.id], sounds[one.id], size, wrong, revised) for one in corpus}


def write(script: Mapping[str, Told], path: Path) -> Path:
    """Write it as echo's `--script` reads it; returns the path. Utterances that are one sound stand in it once."""
    store.write_text(path, json.dumps([told.as_json() for told in script.values()], indent=1))
    return path


def word_ends_s(utterance: Utterance) -> list[float]:
    """When each word of the text has been spoken: as the corpus says, else spread evenly over the speech."""
    count, known = len((utterance.text or "").split()), len(utterance.words)
    if known:  # a text and its words may be cut differently
        return [utterance.words[math.ceil((place + 1) * known / count) - 1].end_s for place in range(count)]
    end_s = utterance.duration_s if utterance.speech_end_s is None else utterance.speech_end_s
    return [end_s * (place + 1) / count for place in range(count)]


@dataclass(frozen=True)
class _Sound:
    """PCM16 from the first sample on that is not zero, and when an ear has heard so many bytes of it."""

    pcm: bytes
    silence_s: float

    def sha256(self, size: int) -> str:
        return hashlib.sha256(self.pcm[:size].ljust(size, b"\0")).hexdigest()

    def heard_s(self, size: int) -> float:
        return self.silence_s + size / 2 / SAMPLE_RATE_HZ


def _sound(utterance: Utterance) -> _Sound:
    pcm = pcm16(utterance.audio(SAMPLE_RATE_HZ))
    sound = pcm.lstrip(b"\0")
    silence = (len(pcm) - len(sound)) // 2 * 2  # a whole number of samples
    return _Sound(pcm[silence:], silence / 2 / SAMPLE_RATE_HZ)


def _telling_size(corpus: Corpus, sounds: Mapping[str, _Sound]) -> int:
    """The fewest bytes that tell apart all utterances whose texts differ."""
    for size in _SIZES:
        texts: dict[str, str | None] = {}
        if all(texts.setdefault(sounds[one.id].sha256(size), one.text) == one.text for one in corpus):
            return size
    raise UsageError(f"corpus {corpus.name!r}: two utterances with different texts sound the same")


def _planted(corpus: Corpus, spoken: Mapping[str, Sequence[str]], options: ScriptOptions) -> frozenset[tuple[str, int]]:
    """(utterance, place) of the words that are wrong: as many as asked for of the references' normalised words."""
    if not options.wrong_words:
        return frozenset()
    candidates = [(one.id, place) for one in corpus for place in _single_words(spoken[one.id], one.language)]
    total = sum(len(text.normalize(" ".join(spoken[one.id]), one.language).split()) for one in corpus)
    return _drawn(candidates, options.wrong_words, total, f"w{options.seed}")


def _single_words(words: Sequence[str], language: str | None) -> list[int]:
    """Places whose word is one word to a word error rate, too: "don't" is two, and "twenty five" one."""
    before = text.normalize(" ".join(words), language).split()
    found = []
    for place in range(len(words)):
        after = text.normalize(" ".join([*words[:place], WRONG, *words[place + 1 :]]), language).split()
        if len(before) == len(after) and sum(old != new for old, new in zip(before, after, strict=True)) == 1:
            found.append(place)
    return found


def _drawn(candidates: Sequence[tuple[str, int]], share: float, total: int, seed: str) -> frozenset[tuple[str, int]]:
    count = round(share * total)
    if count > len(candidates):
        raise UsageError(f"{count} of {total} words were to be planted, and only {len(candidates)} can be")
    return frozenset(random.Random(seed).sample(candidates, count))


def _told(
    utterance: Utterance,
    spoken: Sequence[str],
    sound: _Sound,
    size: int,
    wrong: frozenset[tuple[str, int]],
    revised: frozenset[tuple[str, int]],
) -> Told:
    mine, early = (frozenset(place for name, place in chosen if name == utterance.id) for chosen in (wrong, revised))
    words = tuple(WRONG if place in mine else word for place, word in enumerate(spoken))
    partials, at_s = [], sound.heard_s(size)  # nothing is said of a sound before it is known
    for place, end_s in enumerate(word_ends_s(utterance)):
        at_s = max(at_s, end_s)
        last = f"guess{place}" if place in early else words[place]
        partials.append((round(at_s, 6), " ".join([*words[:place], last])))
    return Told(
        id=utterance.id,
        words=words,
        partials=tuple(partials),
        wrong=mine,
        revised=early,
        sound_sha256=sound.sha256(size),
        sound_bytes=size,
    )
