"""Streams of several clips with pauses between them, out of a batch of spoken clips. Pure, seeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from samples.lessons.batches import Batch, Spans
from samples.lessons.texts import Words
from servers.common.tiny.rows import in_a_row

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
    return [Stream(*in_a_row(batch, chosen, rng, gap_s=_gap_s)) for chosen in np.array_split(np.arange(count), streams)]


def _gap_s(rng: np.random.Generator) -> float:
    return float(rng.uniform(*(LONG_GAP_S if rng.random() < LONG_SHARE else SHORT_GAP_S)))
