"""Clips of a batch behind one another with pauses between them: one sound, its words, when they are spoken. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import surroundings
from samples.lessons.batches import Batch, Spans
from samples.lessons.texts import Words

Draw = Callable[[np.random.Generator], float]


def in_a_row(
    batch: Batch, chosen: Iterable[int], rng: np.random.Generator, *, gap_s: Draw
) -> tuple[NDArray[np.float32], Words, Spans]:
    """The `chosen` clips of `batch`, 16 kHz of shape (n,); `gap_s` draws how long each pause between two of them is."""
    pieces: list[NDArray[np.float32]] = []
    words: list[str] = []
    spans: list[Spans] = []
    begin = 0
    for at in chosen:
        if pieces:
            pieces.append(surroundings.background(int(gap_s(rng) * SAMPLE_RATE_HZ), rng))
            begin += len(pieces[-1])
        pieces.append(batch.audio[at, : batch.sizes[at]])
        words += batch.texts[at]
        spans.append(batch.spans[at] + np.float32(begin / SAMPLE_RATE_HZ))
        begin += len(pieces[-1])
    return np.concatenate(pieces), tuple(words), np.concatenate(spans)
