"""Labelled turns from the sentence pool: complete ones and ones cut at a word, in many voices, rates and noises.

A sentence belongs to one split for good, whoever speaks it. Knows no model; needs flite and espeak-ng.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from samples.pool import Split, paragraphs, sentences
from samples.sound import active_rms, ended, speech_end_s
from samples.speech import speak
from samples.voices import SPEAKERS, Voice
from samples.word import Word
from servers.common.interfaces import Audio
from servers.smart_turn.lengths import SAMPLE_RATE_HZ

KNOWN: Final = ("slt", "rms", "awb", "fr", "fr+m3")
UNSEEN: Final = "kal16"
"""The voice that no training clip is spoken in."""

LENGTHS_S: Final = (0.5, 8.0)
TAILS_S: Final = (0.2, 0.6)
FADES_S: Final = (0.003, 0.04)
"""An end is never to be told from a cut by its silence or by the fade before it: both labels draw from these."""

FILLED_SHARE: Final = 0.12
FILLERS: Final = {"en": ("um", "uh"), "fr": ("euh",)}
NO_PAUSE_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence, or a few to be spoken in one breath."""

    text: str
    language: str
    split: Split


@dataclass(frozen=True, slots=True)
class Rendition:
    """A text as a voice spoke it: 16 kHz int16, shape (n,). `cuts`: words after which the sentence is left open."""

    pcm: NDArray[np.int16]
    words: tuple[Word, ...]
    cuts: tuple[int, ...]
    is_whole: bool
    """False with a filler in it: then it is only good for cuts."""


def texts(split: Split) -> list[Text]:
    """Every text of a split once: the pool's sentences, its short paragraphs, the sentences of all its paragraphs."""
    found: dict[str, Text] = {}
    for row in (*sentences(split=split), *paragraphs(split=split)):
        pieces = re.findall(r"[^.?]+[.?]", row.text)
        if len(pieces) > 1 and len(row.text.split()) <= 18:
            pieces.append(row.text)
        for piece in pieces:
            found.setdefault(piece.strip(), Text(piece.strip(), row.language, split))
    return list(found.values())


def renditions(
    chosen: Sequence[Text], *, speakers: Sequence[str], per_text: int, rng: np.random.Generator
) -> Iterator[Rendition]:
    """Each text `per_text` times, the speakers of its language in turn, each time at another pitch and rate."""
    for at, text in enumerate(chosen):
        able = [name for name in speakers if SPEAKERS[name][1] == text.language]
        for turn in range(per_text if able else 0):
            pitch, rate = (round(float(factor), 3) for factor in rng.uniform((0.85, 0.85), (1.18, 1.18)))
            voice = Voice(able[(at + turn) % len(able)], pitch, rate)
            is_filled = rng.random() < FILLED_SHARE
            made = spoken(text, voice, rng) if is_filled else spoken(text, voice)
            if made.cuts or made.is_whole:
                yield made


def spoken(text: Text, voice: Voice, filler_rng: np.random.Generator | None = None) -> Rendition:
    """`text` by `voice`; with `filler_rng` a filler behind one of its words."""
    parts, filled = text.text.split(), -1
    if filler_rng is not None and len(parts) > 3:
        filled = int(filler_rng.integers(2, len(parts)))
        parts.insert(filled, str(filler_rng.choice(FILLERS[text.language])))
    samples, rate_hz, words = speak(" ".join(parts), voice)
    if rate_hz != SAMPLE_RATE_HZ:
        samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ)
    cuts = tuple(
        at
        for at, (word, after) in enumerate(pairwise(words))
        if after.start_s - word.end_s < NO_PAUSE_S and parts[at][-1] not in ",.?"
    )
    if filled >= 0:
        cuts = tuple(at for at in cuts if at == filled)
    scaled = np.clip(samples * (0.9 * 32767 / np.abs(samples).max()), -32768, 32767).astype(np.int16)
    return Rendition(scaled, words, cuts, filled < 0)


def clip(rendition: Rendition, *, is_complete: bool, length_s: float, rng: np.random.Generator) -> Audio | None:
    """One labelled clip, begun at the word that brings it nearest to `length_s`; None if there is nothing to cut.

    16 kHz float32, shape (n,). A tail of silence, a fade, noise and a change of the voice's size are drawn from `rng`.
    """
    words, samples = rendition.words, rendition.pcm.astype(np.float32) / np.float32(32768)
    ends_s = np.array([words[at].end_s for at in rendition.cuts if words[at].end_s - words[0].start_s >= LENGTHS_S[0]])
    if len(ends_s) == 0 and not is_complete:
        return None
    # Late cuts, and now and then a sentence's end alone: a clip's length hardly tells its label.
    end_s = float(rng.choice(ends_s, p=ends_s / ends_s.sum())) if len(ends_s) else np.inf
    if is_complete:
        if rng.random() < 0.5:
            length_s = min(length_s, end_s - words[0].start_s)
        end_s = speech_end_s(samples, sample_rate_hz=SAMPLE_RATE_HZ)
    begun_s = [word.start_s for word in words if end_s - word.start_s >= LENGTHS_S[0]] or [words[0].start_s]
    start_s = min(begun_s, key=lambda begin_s: abs(end_s - begin_s - length_s))
    kept = samples[max(0, round((start_s - rng.uniform(0, 0.02)) * SAMPLE_RATE_HZ)) : round(end_s * SAMPLE_RATE_HZ)]
    return _heard(kept, rng)


def _heard(kept: Audio, rng: np.random.Generator) -> Audio:
    """The words as a server gets them: both ends faded, silence around them, another voice size, noise over all."""
    fades = [int(rng.uniform(*FADES_S) * SAMPLE_RATE_HZ) for _ in range(2)]
    kept = kept.copy()
    kept[: fades[0]] *= np.linspace(0, 1, fades[0], dtype=np.float32)
    kept[len(kept) - fades[1] :] *= np.linspace(1, 0, fades[1], dtype=np.float32)
    if rng.random() < 0.6:  # a larger or a smaller speaker: pitch, formants and rate together
        kept = soxr.resample(kept, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * float(rng.uniform(0.85, 1.18)), quality="LQ")
    lead, tail = rng.uniform(0, 0.2), rng.uniform(*TAILS_S)
    whole = np.concatenate([np.zeros(int(lead * SAMPLE_RATE_HZ), np.float32), kept])
    whole = ended(whole, at_s=len(whole) / SAMPLE_RATE_HZ, silence_s=tail, sample_rate_hz=SAMPLE_RATE_HZ)
    snr_db = rng.uniform(40, 60) if rng.random() < 0.4 else rng.uniform(15, 40)
    level = active_rms(kept, sample_rate_hz=SAMPLE_RATE_HZ) * 10 ** (-snr_db / 20)
    noisy: Audio = (whole + level * _noise(len(whole), rng)).astype(np.float32)
    return noisy


def _noise(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """White to brown noise, root mean square 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.maximum(np.arange(len(spectrum)), count * 50 / SAMPLE_RATE_HZ) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / noise.std(), np.float64)


def labelled(made: Iterable[Rendition], rng: np.random.Generator) -> tuple[list[Audio], NDArray[np.bool_]]:
    """For every rendition that can be both one complete and one cut clip, of lengths drawn alike; and the labels."""
    clips: list[Audio] = []
    labels: list[bool] = []
    for rendition in made:
        for is_complete in (True, False):
            if is_complete and not rendition.is_whole:
                continue
            found = clip(rendition, is_complete=is_complete, length_s=draw_length_s(rng), rng=rng)
            if found is not None:
                clips.append(found)
                labels.append(is_complete)
    return clips, np.array(labels)


def draw_length_s(rng: np.random.Generator) -> float:
    """Seconds of speech, short ones as likely as long ones."""
    return float(np.exp(rng.uniform(*np.log(LENGTHS_S))))
