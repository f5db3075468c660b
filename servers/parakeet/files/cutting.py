"""Where a long file is cut: at the last pause before a piece is as long as the model may hear, else with an overlap.

Pure: told what the detector heard, it says what to listen to and where to cut. Positions are samples at 16 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from servers.common.audio import SAMPLE_RATE_HZ
from servers.parakeet.interfaces import WINDOW_SAMPLES, Probabilities

OVERLAP_S: Final = 1.5
"""Heard twice where there is no pause: longer than a long word, so that each word is whole on one side."""
WARM_UP_WINDOWS: Final = 16
"""The detector hears half a second before its word counts: it comes to the place without a past."""
PAUSES: Final = (10, 4)
"""Windows of 32 ms: the last pause of 320 ms is taken, or else the last of 128 ms."""
HYSTERESIS: Final = 0.15
"""As Silero's own iterator: speech has ended where the probability is so much below the threshold."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the file for one model call. `overlap`: so many of its first samples were in the piece before."""

    start: int
    end: int
    overlap: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """Where the next cut may be: the detector hears from `start` on, and its word counts from `counts` to `end`."""

    start: int
    counts: int
    end: int


def search(start: int, total: int, *, longest: int) -> Search | None:
    """Where to look for the end of the piece that begins at `start`; None when the rest is one piece.

    In the second half of what the model may hear, and so that no scrap is left for the last piece.
    """
    if total - start <= longest:
        return None
    end = min(start + longest, total - min(longest // 4, 5 * SAMPLE_RATE_HZ))
    counts = start + (end - start) // 2
    begin = max(start, counts - WARM_UP_WINDOWS * WINDOW_SAMPLES)
    whole = (end - begin) // WINDOW_SAMPLES * WINDOW_SAMPLES
    return Search(begin, counts, begin + whole)


def find_pause(looked: Search, heard: Probabilities, *, threshold: float) -> int | None:
    """The middle of the last pause; None when there is none. `heard`: one for each window from `looked.start` on."""
    quiet = heard < max(threshold - HYSTERESIS, 0.01)
    quiet[: -(-(looked.counts - looked.start) // WINDOW_SAMPLES)] = False
    for windows in PAUSES:
        begins, ends = _runs(quiet)
        long = np.flatnonzero(ends - begins >= windows)
        if len(long):
            # Of a long silence the end: the more there is in this piece, the less pieces.
            end, begin = int(ends[long[-1]]), int(begins[long[-1]])
            middle = max((begin + end) / 2, end - windows / 2)
            return looked.start + round(middle * WINDOW_SAMPLES)
    return None


def cut(start: int, looked: Search, pause: int | None, *, longest: int, overlap: int = 0) -> tuple[Piece, int, int]:
    """The piece from `start` on, which shares `overlap` samples with the one before; then where the next begins and
    how many samples it shares with this one."""
    if pause is not None:
        return Piece(start, pause, overlap), pause, 0
    shared = min(round(OVERLAP_S * SAMPLE_RATE_HZ), longest // 3)
    return Piece(start, looked.end, overlap), looked.end - shared, shared


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of True: where each begins, and the index behind its last."""
    edged = np.concatenate([[False], flags, [False]])
    edges = np.flatnonzero(edged[1:] != edged[:-1])
    return edges[::2], edges[1::2]
