"""Streams of several clips with pauses between them, at Mimi's rate, out of a batch of spoken clips. Pure, seeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from samples.encoding import SAMPLE_RATE_HZ as CLIP_RATE_HZ
from samples.lessons.batches import Batch, Spans
from samples.lessons.texts import Words
from servers.common.tiny.rows import in_a_row

RATE_HZ: Final = 24_000
FRAME: Final = 1920
PARTS: Final = (1, 1, 2, 3, 5)
"""So many rows of a batch become one stream."""
SHORT_GAP_S, LONG_GAP_S = (0.0, 0.6), (0.6, 5.0)


@dataclass(frozen=True)
class Streams:
    """`audio` (batch, frames x FRAME) float32 at 24 kHz; for each stream its words and when they are spoken."""

    audio: NDArray[np.float32]
    words: tuple[Words, ...]
    spans: tuple[Spans, ...]

    @property
    def frames(self) -> int:
        return int(self.audio.shape[1]) // FRAME


def joined(batch: Batch, rng: np.random.Generator) -> Streams:
    """The clips of `batch` behind one another, now and then; each stream ends with silence up to the longest one."""
    parts = int(rng.choice(PARTS))
    rows = [_row(batch, range(at, min(at + parts, len(batch.texts))), rng) for at in range(0, len(batch.texts), parts)]
    frames = -(-max(len(audio) for audio, _, _ in rows) // FRAME)
    audio = np.zeros((len(rows), frames * FRAME), np.float32)
    for at, (samples, _, _) in enumerate(rows):
        audio[at, : len(samples)] = samples
    return Streams(audio, tuple(words for _, words, _ in rows), tuple(spans for _, _, spans in rows))


def _row(batch: Batch, chosen: range, rng: np.random.Generator) -> tuple[NDArray[np.float32], Words, Spans]:
    audio, words, spans = in_a_row(batch, chosen, rng, gap_s=_gap_s)
    return soxr.resample(audio, CLIP_RATE_HZ, RATE_HZ, quality="MQ"), words, spans


def _gap_s(rng: np.random.Generator) -> float:
    return float(rng.uniform(*(SHORT_GAP_S if rng.random() < 0.5 else LONG_GAP_S)))
