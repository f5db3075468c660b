"""Which word is spoken in each frame of an encoder, as the synthesiser knows. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from samples.lessons.batches import Spans
from samples.lessons.texts import Words
from samples.pool import tiny_vocabulary

FRAME_S: Final = 0.08
"""From one frame of NeMo's encoders to the next."""

NO_WORD: Final = 0
NOT_ASKED: Final = -100
"""What PyTorch's cross entropy leaves out."""


def labels(words: Words, spans: Spans, frames: int) -> NDArray[np.int64]:
    """For each frame 1 + the place in the vocabulary of the word spoken at its end, or NO_WORD."""
    places = {word: at for at, word in enumerate(tiny_vocabulary(), start=1)}
    found = np.full(frames, NO_WORD, np.int64)
    for word, (begin_s, end_s) in zip(words, spans, strict=True):
        found[round(float(begin_s) / FRAME_S) : round(float(end_s) / FRAME_S)] = places[word]
    return found


def remaining(spans: Spans, frames: int, *, most: int) -> NDArray[np.int64]:
    """For each frame how many frames on its word ends, `most` where it is more; NOT_ASKED where no word is spoken."""
    found = np.full(frames, NOT_ASKED, np.int64)
    for begin_s, end_s in spans:
        begin, end = round(float(begin_s) / FRAME_S), round(float(end_s) / FRAME_S)
        found[begin:end] = np.minimum(np.arange(end - begin, 0, -1), most)[: max(0, frames - begin)]
    return found
