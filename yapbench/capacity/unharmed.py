"""Whether the load changes the words: each utterance against itself at the lightest level that was probed.

A server that mixes up streams or drops audio under load shows here. Knows words by utterance; knows no time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from yapbench import stats
from yapbench.capacity.level import Level
from yapbench.capacity.observation import Heard

LEAST_TOLERANCE: Final = 0.002
"""So much more WER is no harm: 0.2 points ..."""
RELATIVE_TOLERANCE: Final = 0.05
"""... or 5 % of what it is at the lightest level, whichever is more."""
_RARE: Final = 0.025
"""So unlikely must a rise of empty transcripts be by chance to be called one."""


@dataclass(frozen=True)
class Compared:
    """Word errors at a level and at `base` streams, of the utterances that ended well at both; shares."""

    base: int
    rate: float
    base_rate: float
    words: int
    """Of the references at the level."""
    low: float
    high: float
    """95 % interval of the difference."""
    tolerance: float
    verdict: Literal["met", "missed", "undecided"]
    why: str

    @property
    def difference(self) -> float:
        """Above 0: more errors than at the base."""
        return self.rate - self.base_rate


def compared(level: Level, base: Level | None) -> Compared | str:
    """The comparison, or why there is none.

    The interval draws whole utterances, each with its errors on both sides. Where all went alike it would be nil: it
    ends no sooner than the bound on a share of words of which none was seen.
    """
    if base is None or not level.heard:
        return f"words are not compared: {level.reason('no_words')}"
    if level.streams == base.streams:
        return f"words are not compared: no lighter level than {level.streams} was probed"
    ours, theirs = level.heard, base.heard
    names = sorted(ours.keys() & theirs.keys())
    words = sum(ours[name].words for name in names)
    if not words:
        return f"words are not compared: no utterance ended well both here and at {base.streams}"
    rate, base_rate = _rate(ours, names), _rate(theirs, names)
    tolerance = max(LEAST_TOLERANCE, RELATIVE_TOLERANCE * base_rate)
    low, high = _interval(ours, theirs, names, level.options.replicates)
    least = stats.upper_bound_of_none(min(words, sum(theirs[name].words for name in names)))
    low, high = min(low, rate - base_rate - least), max(high, rate - base_rate + least)
    lost = [name for name in names if ours[name].empty / ours[name].times > theirs[name].empty / theirs[name].times]
    found = [name for name in names if ours[name].empty / ours[name].times < theirs[name].empty / theirs[name].times]
    verdict: Literal["met", "missed", "undecided"]
    if low > tolerance:
        verdict, why = "missed", "more words are wrong than is allowed"
    elif len(lost) > len(found) and _chance(len(lost), len(found)) < _RARE:
        verdict, why = "missed", f"{len(lost)} of {len(names)} texts came back empty more often"
    elif len(lost) > len(found):
        verdict, why = "undecided", f"{len(lost)} of {len(names)} texts came back empty more often, which may be chance"
    elif high < tolerance:
        verdict, why = "met", "no harm"
    else:
        verdict, why = "undecided", "too few words to tell"
    return Compared(base.streams, rate, base_rate, words, low, high, tolerance, verdict, why)


def harmed(level: Level, base: Level | None) -> str:
    """That more words are wrong, or texts empty, than chance explains, in words; "" where that is not shown."""
    if base is None or base is level or not level.heard:
        return ""
    found = compared(level, base)
    return "" if isinstance(found, str) or found.verdict != "missed" else f"its words are harmed: {found.why}"


def _rate(found: Mapping[str, Heard], names: list[str]) -> float:
    return sum(found[name].errors for name in names) / sum(found[name].words for name in names)


def _interval(
    ours: Mapping[str, Heard], theirs: Mapping[str, Heard], names: list[str], replicates: int
) -> tuple[float, float]:
    """Percentile bootstrap over utterances of the difference of both rates, each text weighing alike on both sides."""
    rng = np.random.default_rng(stats.SEED)
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=replicates).astype(np.float64)
    rates = []
    for side in (ours, theirs):
        errors = np.array([side[name].errors for name in names], dtype=np.float64)
        words = np.array([side[name].words for name in names], dtype=np.float64)
        rates.append((weights @ errors) / (weights @ words))
    low, high = np.quantile(rates[0] - rates[1], [0.5 - stats.CONFIDENCE / 2, 0.5 + stats.CONFIDENCE / 2])
    return float(low), float(high)


def _chance(more: int, fewer: int) -> float:
    """Of at least `more` heads in `more` + `fewer` throws of a fair coin: the sign test, one-sided."""
    n = more + fewer
    return float(sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n)
