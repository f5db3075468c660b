"""What the tiny model is to write at each step of 80 ms. Pure.

Step p of an utterance hears the frame p - left of its sound, `left` frames of silence having been put before it. A
word whose last frame is f is told from step left + f + delay on: STREAMING_WORD, then its pieces; at all other
steps STREAMING_PAD. That is how the published model's stream is described; the published texts have no more to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from samples.lessons.batches import Spans
from servers.voxtral.tiny import tekken

BOS, PAD, WORD = tekken.BOS, tekken.STREAMING_PAD, tekken.STREAMING_WORD
FRAME_S: Final = 0.08


def tokens(words: Sequence[Sequence[int]], spans: Spans, *, left: int, delay: int, steps: int) -> NDArray[np.int64]:
    """The tokens that come out of the steps, shape (steps,); `words` are each one's pieces.

    A word waits where those before are still being written.
    """
    found = np.full(steps, PAD, np.int64)
    free = 0
    for pieces, (_, end_s) in zip(words, spans, strict=True):
        at = max(left + last_frame(float(end_s)) + delay, free)
        free = at + 1 + len(pieces)
        row = np.array([WORD, *pieces])[: max(0, steps - at)]
        found[at : at + len(row)] = row
    return found


def last_frame(end_s: float) -> int:
    """The frame in which a word ends."""
    return max(0, int(np.ceil(round(end_s / FRAME_S, 3))) - 1)
