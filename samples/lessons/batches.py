"""Batches drawn from a pack of spoken clips: of like length, alone or several joined, never twice the same.

Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import surroundings, texts
from samples.lessons.data import VOICES, Pack, is_kept
from samples.lessons.texts import Words
from samples.sound import Samples

JOINED: Final = (2, 5)
GAP_S: Final = (0.05, 0.8)
TALKERS: Final = 4
SIZES: Final = (0.9, 1.12)
"""A clip played so much faster is a smaller speaker: pitch, formants and rate together."""


Spans = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """`audio` (batch, samples) float32 with zeros behind, `sizes` (batch,) samples, one text each.

    `spans`: for each clip when its words begin and end, (words, 2) in seconds.
    """

    audio: NDArray[np.float32]
    sizes: NDArray[np.int64]
    texts: tuple[Words, ...]
    spans: tuple[Spans, ...]


class Drawer:
    """Draws batches from a pack: the same seed gives the same ones in the same order."""

    def __init__(self, pack: Pack, *, seed: int) -> None:
        self._pack = pack
        self._rng = np.random.default_rng(seed)
        self._lengths = lengths = np.diff(pack.ends, prepend=0)
        self._by_length = np.argsort(lengths, kind="stable")
        speakers = np.array([order.speaker for order in pack.orders])
        short = lengths <= 4 * SAMPLE_RATE_HZ
        self._of_voice = [np.flatnonzero((speakers == voice) & short) for voice in VOICES]
        self._secret = texts.kept_for_testing()
        self._size: float = float(np.mean(lengths)) / SAMPLE_RATE_HZ

    def draw(self, *, audio_s: float, joined_share: float, shortest: float = 1.0) -> Batch:
        """About `audio_s` of clips of like length, out of the `shortest` share of all.

        Of `joined_share` of all batches each clip is several joined.
        """
        rng = self._rng
        if rng.random() < joined_share:
            parts = int(rng.integers(JOINED[0], JOINED[1] + 1))
            count = max(4, round(audio_s / (parts * (self._size + 0.4) + 0.9)))
            chosen = [self._joinable(parts) for _ in range(count)]
        else:
            centre = int(rng.integers(int(shortest * len(self._by_length))))
            length_s = self._lengths[self._by_length[centre]] / SAMPLE_RATE_HZ + 0.9
            count = int(np.clip(audio_s / length_s, 4, 40))
            low = max(0, min(centre - 150, len(self._by_length) - 300))
            window = self._by_length[low : low + 300]
            chosen = [(int(at),) for at in rng.choice(window, size=min(count, len(window)), replace=False)]
        clips = [self._clip(parts) for parts in chosen]
        if rng.random() < 0.25:
            longest = max(len(clip) for clip, _, _ in clips)
            clips[-1] = (
                surroundings.background(int(longest * rng.uniform(0.4, 1.0)), rng),
                (),
                np.zeros((0, 2), np.float32),
            )
        sizes = np.array([len(clip) for clip, _, _ in clips])
        audio = np.zeros((len(clips), int(sizes.max())), np.float32)
        for row, (clip, _, _) in enumerate(clips):
            audio[row, : len(clip)] = clip
        return Batch(audio, sizes, tuple(words for _, words, _ in clips), tuple(spans for _, _, spans in clips))

    def _joinable(self, parts: int) -> tuple[int, ...]:
        """Clips of one voice whose words, one clip after another, have no run that is kept for testing."""
        voice = self._of_voice[int(self._rng.integers(len(self._of_voice)))]
        while True:
            chosen = tuple(int(at) for at in self._rng.choice(voice, size=parts))
            within = {run for at in chosen for run in texts.windows(self._pack.orders[at].text.words)}
            if self._secret.isdisjoint(set(texts.windows(self._words(chosen))) - within):
                return chosen

    def _words(self, chosen: Sequence[int]) -> Words:
        return tuple(word for at in chosen for word in self._pack.orders[at].text.words)

    def _clip(self, chosen: Sequence[int]) -> tuple[Samples, Words, Spans]:
        rng = self._rng
        size = self._draw_size([self._pack.orders[at].rate for at in chosen]) if rng.random() < 0.4 else 1.0
        pieces: list[Samples] = []
        spans: list[Spans] = []
        begin = 0
        for at in chosen:
            if pieces:
                pieces.append(np.zeros(int(rng.uniform(*GAP_S) * SAMPLE_RATE_HZ), np.float32))
                begin += len(pieces[-1])
            pieces.append(self._pack.clip(at) * np.float32(10 ** (rng.uniform(-2, 2) / 20)))
            spans.append(self._pack.spans_of(at) + np.float32(begin / SAMPLE_RATE_HZ))
            begin += len(pieces[-1])
        speech = np.concatenate(pieces)
        if size != 1.0:
            speech = soxr.resample(speech, SAMPLE_RATE_HZ * size, SAMPLE_RATE_HZ, quality="LQ")
        heard, lead_s = surroundings.heard(speech, self._voices, rng)
        return heard, self._words(chosen), np.concatenate(spans) / np.float32(size) + np.float32(lead_s)

    def _draw_size(self, rates: Sequence[float]) -> float:
        while True:
            size = float(self._rng.uniform(*SIZES))
            if not any(is_kept(rate * size) for rate in rates):
                return size

    def _voices(self, count: int) -> Samples:
        """Four clips at once, over and over, shape (count,), root mean square 1."""
        voices = np.zeros(count, np.float32)
        for at in self._rng.integers(len(self._pack.orders), size=TALKERS):
            voices += np.resize(self._pack.clip(int(at)), count)
        return np.asarray(voices / (voices.std() + 1e-9), np.float32)
