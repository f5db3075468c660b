"""Streams of several clips with pauses between them, out of a batch of spoken clips. Pure, seeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import surroundings
from samples.lessons.batches import Batch, Spans
from samples.lessons.texts import Words

FRAME: Final = 1280
PARTS: Final = (1, 2, 3, 4, 6)
"""About so many rows of a batch become one stream."""
SHORT_GAP_S, LONG_GAP_S = (0.0, 0.6), (0.6, 4.0)
LONG_SHARE: Final = 0.15


@dataclass(frozen=True)
class Stream:
    """16 kHz float32 of shape (n,), its words, and when they are spoken in it."""

    audio: NDArray[np.float32]
    words: Words
    spans: Spans

    @property
    def frames(self) -> int:
        return -(-len(self.audio) // FRAME)


def joined(batch: Batch, rng: np.random.Generator) -> list[Stream]:
    """The clips of `batch` behind one another, about as many in each stream."""
    count = len(batch.texts)
    streams = max(1, count // int(rng.choice(PARTS)))
    return [_stream(batch, chosen, rng) for chosen in np.array_split(np.arange(count), streams)]


def _stream(batch: Batch, chosen: NDArray[np.int64], rng: np.random.Generator) -> Stream:
    pieces: list[NDArray[np.float32]] = []
    words: list[str] = []
    spans: list[Spans] = []
    begin = 0
    for at in chosen:
        if pieces:
            gap_s = rng.uniform(*(LONG_GAP_S if rng.random() < LONG_SHARE else SHORT_GAP_S))
            pieces.append(surroundings.background(int(gap_s * SAMPLE_RATE_HZ), rng))
            begin += len(pieces[-1])
        pieces.append(batch.audio[at, : batch.sizes[at]])
        words += batch.texts[at]
        spans.append(batch.spans[at] + np.float32(begin / SAMPLE_RATE_HZ))
        begin += len(pieces[-1])
    return Stream(np.concatenate(pieces), tuple(words), np.concatenate(spans))
