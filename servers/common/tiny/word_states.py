"""Which third of which word is being spoken at each step of 80 ms: what an encoder learns to hear. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from samples.lessons.batches import Spans
from samples.lessons.texts import Words
from samples.pool import tiny_vocabulary

STEP_S: Final = 0.08
THIRDS: Final = 3


def states(words: Words, spans: Spans, steps: int, *, left: int = 0) -> NDArray[np.int64]:
    """For each step 0, or 1 + which third of which word of the vocabulary is spoken in its middle, shape (steps,).

    `left`: steps before the sound begins.
    """
    places = {word: at for at, word in enumerate(tiny_vocabulary())}
    middles_s = (np.arange(steps) - left + 0.5) * STEP_S
    found = np.zeros(steps, np.int64)
    for word, (begin_s, end_s) in zip(words, spans, strict=True):
        inside = (middles_s >= begin_s) & (middles_s < end_s)
        third = ((middles_s[inside] - begin_s) / (end_s - begin_s) * THIRDS).astype(np.int64)
        found[inside] = 1 + places[word] * THIRDS + third
    return found


def state_count() -> int:
    return 1 + len(tiny_vocabulary()) * THIRDS
