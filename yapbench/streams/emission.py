"""When each spoken word came to be seen: its emission latency, first seen and seen for good. Pure.

Knows the words with their times in the audio, and the transcripts shown with their stamps. Needs no final; knows no
server. A word shown before its end has a negative latency, which is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yapbench.corpus import Word
from yapbench.text import fold_word

Costs = NDArray[np.int32]

_UNKNOWN: Final = -1
_fold = functools.lru_cache(maxsize=1 << 16)(fold_word)
"""The same words are shown again and again."""
WORDS_FOR_A_SLOPE: Final = 3


@dataclass(frozen=True)
class Emission:
    """One spoken word; latencies count from its end. None: never shown, or not in the last text."""

    word: str
    end_s: float
    first_ms: float | None
    """Until the first text that holds it."""
    stable_ms: float | None
    """Until the text from which on every one holds it."""


def emissions(
    words: Sequence[Word], shown: Sequence[tuple[int, str]], *, start_ns: int, pace: float
) -> tuple[Emission, ...]:
    """The emission latency of each of `words`, those without a letter or digit left out.

    `shown`: (stamp in ns, whole transcript) in the order of arrival. Audio second a is at `start_ns` + a / `pace`;
    `pace` > 0. Words are compared without case and punctuation; a number written in digits is not the spoken word.
    """
    spoken = [word for word in words if _fold(word.word)]
    first: list[int | None] = [None] * len(spoken)
    since: list[int | None] = [None] * len(spoken)
    aligner = _Aligner([_fold(word.word) for word in spoken])
    for at_ns, transcript in shown:
        held = aligner.held(transcript)
        for place in range(len(spoken)):
            if place not in held:
                since[place] = None
            elif since[place] is None:
                since[place] = at_ns
                first[place] = at_ns if first[place] is None else first[place]

    def latency_ms(at_ns: int | None, end_s: float) -> float | None:
        return None if at_ns is None else (at_ns - start_ns) / 1e6 - 1e3 * end_s / pace

    return tuple(
        Emission(word.word, word.end_s, latency_ms(seen, word.end_s), latency_ms(kept, word.end_s))
        for word, seen, kept in zip(spoken, first, since, strict=True)
    )


def lag_slope_ms_per_s(at_s: Sequence[float], lag_ms: Sequence[float]) -> float | None:
    """Least-squares slope of a lag over the audio's time: above 0, the stream falls ever further behind.

    None for fewer than three points or a single instant.
    """
    x, y = np.asarray(at_s, dtype=np.float64), np.asarray(lag_ms, dtype=np.float64)
    if x.size < WORDS_FOR_A_SLOPE or np.ptp(x) == 0:
        return None
    centred = x - x.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred))


class _Aligner:
    """Which spoken words a transcript holds, transcript after transcript.

    A transcript is aligned with that beginning of the spoken words which it can be turned into with the fewest edits
    (of equally good ones the longest, which holds the most of it): words that were not said yet cost nothing. The rows
    of words that the next transcript begins with are kept, since transcripts mostly grow at their end.
    """

    def __init__(self, spoken: Sequence[str]) -> None:
        self._words = list(spoken)
        self._codes = {word: code for code, word in enumerate(dict.fromkeys(spoken))}
        self._spoken = np.array([self._codes[word] for word in spoken], dtype=np.int32)
        self._steps = np.arange(len(spoken) + 1, dtype=np.int32)
        self._heard: list[int] = []
        self._rows: list[Costs] = [self._steps]
        self._held: frozenset[int] = frozenset()

    def held(self, transcript: str) -> frozenset[int]:
        """Places of the spoken words that `transcript` holds."""
        texts = [word for word in map(_fold, transcript.split()) if word]
        if texts == self._words[: len(texts)]:  # without an edit: only this beginning costs nothing
            return frozenset(range(len(texts)))
        heard = [self._codes.get(word, _UNKNOWN) for word in texts]
        if heard != self._heard:
            kept = next(
                (place for place, (old, new) in enumerate(zip(self._heard, heard, strict=False)) if old != new),
                min(len(self._heard), len(heard)),
            )
            del self._rows[kept + 1 :]
            for code in heard[kept:]:
                self._rows.append(self._row(code))
            self._heard = heard
            self._held = frozenset(self._traced())
        return self._held

    def _row(self, code: int) -> Costs:
        """Edits from one heard word more to each beginning of the spoken words."""
        above = self._rows[-1]
        open_ = np.empty_like(above)
        open_[0] = above[0] + 1
        open_[1:] = np.minimum(above[1:] + 1, above[:-1] + (self._spoken != code))
        skipped: Costs = np.minimum.accumulate(open_ - self._steps) + self._steps
        return skipped

    def _traced(self) -> list[int]:
        """The places matched, on the way back from the best beginning."""
        found = []
        i, last = len(self._heard), self._rows[-1]
        j = int(np.flatnonzero(last == last.min())[-1])
        while i and j:
            here = self._rows[i][j]
            if self._spoken[j - 1] == self._heard[i - 1] and here == self._rows[i - 1][j - 1]:
                found.append(j - 1)
                i, j = i - 1, j - 1
            elif here == self._rows[i][j - 1] + 1:
                j -= 1
            elif here == self._rows[i - 1][j] + 1:
                i -= 1
            else:
                i, j = i - 1, j - 1
        return found
