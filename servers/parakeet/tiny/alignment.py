"""In which frames each word piece may begin and end, from when its word is spoken. Pure; knows no network.

Frame t of the encoder is centred on t times FRAME_S.
Source: Mahadeokar et al., arXiv 2011.03072: a transducer that may not write a word elsewhere learns when it is said.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from samples.lessons.frames import FRAME_S

Frames = NDArray[np.int64]


def windows(spans: NDArray[np.float32], pieces: Sequence[int], frames: int, *, longest: int) -> tuple[Frames, Frames]:
    """First and last frame in which each piece may begin, and may end; both (sum of pieces, 2).

    spans (words, 2): when each word begins and ends, in seconds; `pieces` of each word; `frames` of the clip. A word's
    first piece begins in one of the two frames nearest to the word's beginning, its last piece ends in one of the two
    nearest to its end, and begins, if it is not the first, no more than `longest` frames before; the pieces between lie
    within. The last frame of a clip is the last one of all windows.
    """
    begins, ends = [], []
    for (begin_s, end_s), count in zip(spans, pieces, strict=True):
        (first, first_by), (last, last_by) = _nearest(begin_s, frames), _nearest(end_s, frames)
        begins += [(first, first_by)] + [(first, last_by)] * (count - 1)
        if count > 1:
            begins[-1] = (max(first, last - longest), last_by)
        ends += [(first, last_by)] * (count - 1) + [(last, last_by)]
    return np.array(begins, np.int64).reshape(-1, 2), np.array(ends, np.int64).reshape(-1, 2)


def _nearest(at_s: float, frames: int) -> tuple[int, int]:
    at = float(at_s) / FRAME_S
    return min(int(np.floor(at)), frames - 1), min(int(np.ceil(at)), frames - 1)
