"""What the tiny model is to write at each step of 80 ms, and which word is being spoken there. Pure.

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
from samples.lessons.texts import Words
from samples.pool import tiny_vocabulary
from servers.voxtral.tiny import tekken

BOS, PAD, WORD = tekken.BOS, tekken.STREAMING_PAD, tekken.STREAMING_WORD
FRAME_S: Final = 0.08
THIRDS: Final = 3


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


def states(words: Words, spans: Spans, *, left: int, steps: int) -> NDArray[np.int64]:
    """For each step 0, or 1 + which third of which word is spoken in the middle of its frame, shape (steps,)."""
    places = {word: at for at, word in enumerate(tiny_vocabulary())}
    middles_s = (np.arange(steps) - left + 0.5) * FRAME_S
    found = np.zeros(steps, np.int64)
    for word, (begin_s, end_s) in zip(words, spans, strict=True):
        inside = (middles_s >= begin_s) & (middles_s < end_s)
        third = ((middles_s[inside] - begin_s) / (end_s - begin_s) * THIRDS).astype(np.int64)
        found[inside] = 1 + places[word] * THIRDS + third
    return found


def state_count() -> int:
    return 1 + len(tiny_vocabulary()) * THIRDS
