"""What the tiny model is to write and to know at each step of 80 ms: text tokens and pauses. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from samples.lessons.batches import Spans
from samples.lessons.frames import NOT_ASKED

BOUNDARY, PAD = 0, 3
"""Tokens: a word begins behind the one, nothing is said at the other. As in the published vocabularies."""
START: Final = 256
"""The token before the first one; word pieces are the 256 before it."""
FRAME_S: Final = 0.08
DELAY: Final = 6
"""Steps by which the text trails the audio, as in the published 1b model (asr_delay_in_tokens)."""
PAUSES_S: Final = (0.5, 1.0, 2.0, 3.0)
"""What the heads are asked for: a pause of so many seconds."""
IN_PAUSE, IN_SPEECH = 0, 1
"""Classes of a head; the published layout has four more, which never occur here."""


def tokens(words: Sequence[Sequence[int]], spans: Spans, frames: int) -> NDArray[np.int64]:
    """The text of the steps 0 to `frames`, shape (frames + 1,): `words` are each one's pieces.

    Step j has heard the frames before j. moshi-server counts steps from 1 and takes a BOUNDARY in the n-th one for a
    word that begins at (n - DELAY) x 80 ms, so that is where it stands, its pieces right behind it; or later where
    the words before are still being written.
    """
    found = np.full(frames + 1, PAD, np.int64)
    free = 0
    for pieces, (begin_s, _) in zip(words, spans, strict=True):
        at = max(round(float(begin_s) / FRAME_S) + DELAY - 1, free)
        free = at + 1 + len(pieces)
        row = np.array([BOUNDARY, *pieces])[: max(0, len(found) - at)]
        found[at : at + len(row)] = row
    return found


def pauses(spans: Spans, frames: int) -> NDArray[np.int64]:
    """For each step and each of PAUSES_S its class, shape (frames + 1, heads).

    Step j is asked about the moment j x 80 ms: is it in a pause of that length, from a word's end to the next one's
    beginning? NOT_ASKED where the stream's end leaves that open.
    """
    now_s = np.arange(frames + 1) * FRAME_S
    found = np.full((frames + 1, len(PAUSES_S)), IN_SPEECH, np.int64)
    begins = np.append(0.0, spans[:, 1])
    ends = np.append(spans[:, 0], frames * FRAME_S)
    for place, (begin_s, end_s) in enumerate(zip(begins, ends, strict=True)):
        inside = (now_s >= begin_s) & (now_s <= end_s)
        is_last = place == len(ends) - 1
        for head, length_s in enumerate(PAUSES_S):
            if end_s - begin_s >= length_s:
                found[inside, head] = IN_PAUSE
            elif is_last:
                found[inside, head] = NOT_ASKED
    return found
