"""What a tiny model is examined with: test clips by split, and how many words of them it got wrong.

Knows no model: whoever has one asks it, and hands the texts to `marked`. Speaking needs flite, the committed clips
do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from samples import manifest
from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import texts
from samples.lessons.data import KEPT_RATES, UNHEARD_VOICE, VOICES
from samples.lessons.texts import Text, Words
from samples.pool import Split, sentences, spoken_words
from samples.sound import Samples, levelled
from samples.speech import speak
from samples.voices import Voice
from samples.word import Word

AUDIO: Final = Path(manifest.__file__).parent / "audio" / "manifest.jsonl"
TAIL_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Said:
    """One test clip, 16 kHz float32 of shape (n,), its words, and when each of them begins and ends, in seconds."""

    audio: Samples
    words: Words
    spans_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Word errors of a split; its rate is a share, above 1 where much was heard that nobody said."""

    errors: int
    words: int

    @property
    def rate(self) -> float:
        return self.errors / self.words


def splits(*, every: int = 1) -> dict[str, list[Said]]:
    """The test clips by name; every `every`-th of each split for a quick look. Raises EngineMissing without flite."""
    train, held_out = texts.known(Split.TRAIN), texts.known(Split.HELD_OUT)
    foreign = [
        Text(tuple(spoken_words(row.text)), row.text) for row in sentences(language="en", tiny=False, split=Split.TRAIN)
    ]
    long_train, long_held_out = (texts.known_paragraphs(split) for split in Split)
    named = {
        "known sentences": spoken(train, VOICES, turns=2, every=every),
        "new sentences": spoken(held_out, VOICES, turns=6, every=every),
        "known paragraphs": spoken(long_train, VOICES, turns=6, every=every),
        "new paragraphs": spoken(long_held_out, VOICES, turns=6, every=every),
        "new sentences, 12 joined": joined(spoken(held_out, VOICES, turns=6, every=every), parts=12),
        "known sentences, unheard voice": spoken(train, (UNHEARD_VOICE,), turns=1, every=every),
        "new sentences, unheard voice": spoken(held_out, (UNHEARD_VOICE,), turns=2, every=every),
        "foreign words": spoken(foreign[:60], VOICES, turns=1, every=every),
    }
    return {name: said for name, said in named.items() if said}


def committed(split: Split) -> dict[str, list[Said]]:
    """The project's own clips of tiny texts in known voices, so that nothing has to be spoken: turns and paragraphs."""
    clips = [clip for clip in manifest.load(AUDIO) if "-tiny-" in clip.id and clip.split is split]
    clips = [clip for clip in clips if clip.label is not manifest.Label.CUT and clip.voice != UNHEARD_VOICE]
    return {
        f"{split} {kind}s": [_read(clip) for clip in clips if clip.kind is kind]
        for kind in (manifest.Kind.TURN, manifest.Kind.PARAGRAPH)
    }


def _read(clip: manifest.Clip) -> Said:
    audio, rate_hz = soundfile.read(AUDIO.parent / clip.file, dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ, "the committed clips are at 16 kHz"
    return Said(audio, tuple(spoken_words(clip.text)), _spans(clip.words))


def spoken(chosen: Sequence[Text], voices: Sequence[str], *, turns: int, every: int = 1) -> list[Said]:
    """Each text `turns` times, voices and the rates kept for testing in turn; of all that every `every`-th."""
    planned: list[tuple[Text, Voice]] = []
    for turn in range(turns):
        for at, text in enumerate(chosen):
            rate = KEPT_RATES[(at + turn // len(voices)) % len(KEPT_RATES)]
            planned.append((text, Voice(voices[(at + turn) % len(voices)], 1.0, rate)))
    return [say(text, voice) for text, voice in planned[::every]]


def say(text: Text, voice: Voice) -> Said:
    """As a person would send it: the usual level, a little silence behind."""
    samples, rate_hz, words = speak(text.written, voice)
    assert rate_hz == SAMPLE_RATE_HZ, "flite speaks at 16 kHz"
    tail = np.zeros(int(TAIL_S * SAMPLE_RATE_HZ), np.float32)
    audio = np.concatenate([levelled(samples, sample_rate_hz=rate_hz), tail])
    return Said(audio, text.words, _spans(words))


def _spans(words: Iterable[Word]) -> tuple[tuple[float, float], ...]:
    return tuple((word.start_s, word.end_s) for word in words)


def joined(said: Sequence[Said], *, parts: int) -> list[Said]:
    """`parts` clips after one another, again and again: streams of half a minute."""
    return [_joined(said[at : at + parts]) for at in range(0, len(said) - parts + 1, parts)]


def _joined(row: Sequence[Said]) -> Said:
    begins_s = np.cumsum([0, *(len(one.audio) for one in row)]) / SAMPLE_RATE_HZ
    return Said(
        np.concatenate([one.audio for one in row]),
        tuple(word for one in row for word in one.words),
        tuple(
            (float(begin_s + start_s), float(begin_s + end_s))
            for begin_s, one in zip(begins_s, row, strict=False)
            for start_s, end_s in one.spans_s
        ),
    )


def marked(said: Sequence[Said], heard: Sequence[str]) -> Score:
    """The word errors of the texts `heard`, one for each clip."""
    errors = sum(distance(one.words, text.split()) for one, text in zip(said, heard, strict=True))
    return Score(errors, sum(len(one.words) for one in said))


def distance(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest words to put in, leave out or change."""
    return _distances(reference, heard)[-1][-1]


def matched(reference: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """The words that were heard as they were said: their places in `reference` and in `heard`, in order.

    Found on one of the ways that change the fewest words.
    """
    rows = _distances(reference, heard)
    at, to = len(reference), len(heard)
    found = []
    while at and to:
        same = reference[at - 1] == heard[to - 1]
        if rows[at][to] == rows[at - 1][to - 1] + (not same):
            at, to = at - 1, to - 1
            if same:
                found.append((at, to))
        elif rows[at][to] == rows[at - 1][to] + 1:
            at -= 1
        else:
            to -= 1
    return found[::-1]


def _distances(reference: Sequence[str], heard: Sequence[str]) -> list[list[int]]:
    """Between the first so many words of each."""
    rows = [list(range(len(heard) + 1))]
    for at, word in enumerate(reference, start=1):
        above, row = rows[-1], [at]
        for to, other in enumerate(heard, start=1):
            row.append(min(above[to] + 1, row[-1] + 1, above[to - 1] + (word != other)))
        rows.append(row)
    return rows
