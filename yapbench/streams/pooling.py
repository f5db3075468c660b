"""What utterances add up to, with the intervals of stats.py: ratios of sums, and quantiles over all their words.

Whole utterances are drawn, never single words: words of one utterance are late, or wrong, together. Pure; knows numbers
by utterance and does not know what was measured.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from yapbench import stats
from yapbench.stats import Estimate, Floats, Resample, Weights

_CHUNK: Final = 1 << 22
"""Weights that are spread from utterances to their words at a time: 16 MB."""


def known(each: Iterable[Estimate]) -> Floats:
    """(n,) the values, NaN where there is none."""
    return np.array([np.nan if item.value is None else item.value for item in each], dtype=np.float64)


def reason(each: Iterable[Estimate]) -> str:
    """Why most of those without a value have none."""
    counts = Counter(item.reason for item in each if item.value is None)
    return counts.most_common(1)[0][0] if counts else "no sample"


def percentiles(drawn: Resample, each: Sequence[Estimate], shares: Sequence[float]) -> list[Estimate]:
    """Quantiles over utterances, in the order of `drawn`; missing for the reason that most of them have."""
    why = reason(each)
    return [_or_missing(found, why) for found in stats.percentiles(drawn, known(each), shares)]


def mean(drawn: Resample, each: Sequence[Estimate]) -> Estimate:
    """The mean over utterances."""
    return _or_missing(drawn.estimate(known(each), stats.mean), reason(each))


def ratio(drawn: Resample, above: ArrayLike, below: ArrayLike, missing: str, *, most: float = math.inf) -> Estimate:
    """Sum of `above` / sum of `below` over utterances; both (n,) in the order of `drawn`, >= 0, NaN = no part in it.

    The interval ends at 0 and at `most`. `missing`: why there is no value where nothing is left to divide by.
    """
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    takes_part = np.isfinite(top) & np.isfinite(bottom)
    if not np.sum(bottom[takes_part]) > 0:
        return Estimate.missing(missing)

    both = np.stack([top, bottom])

    def statistic(chosen: Floats, weights: Weights) -> Floats:
        above, divisor = both[:, chosen.astype(np.int64)] @ weights.T
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(divisor > 0, above / divisor, np.nan)[np.newaxis]

    [found] = _estimates(drawn, takes_part, statistic, 1)
    if found.low is None or found.high is None:
        return found
    return Estimate(found.value, max(0.0, found.low), min(most, found.high), found.n)


def quantiles_of_words(
    drawn: Resample, words: Sequence[Sequence[float]], shares: Sequence[float], missing: str
) -> list[Estimate]:
    """Quantiles over all values of all utterances; `words[i]` are those of utterance i. n counts values."""
    sizes = np.array([len(each) for each in words], dtype=np.int64)
    n = int(sizes.sum())
    if not n:
        return [Estimate.missing(missing)] * len(shares)

    def statistics(chosen: Floats, weights: Weights) -> Floats:
        rows = chosen.astype(np.int64)
        values = np.concatenate([np.asarray(words[row], dtype=np.float64) for row in rows])
        order = np.argsort(values, kind="stable")
        ascending, owner = values[order], np.repeat(np.arange(rows.size), sizes[rows])[order]
        step = max(1, _CHUNK // values.size)
        chunks = (weights.T[:, k : k + step][owner] for k in range(0, len(weights), step))
        return np.concatenate([stats.quantiles_of_sorted(ascending, each, shares) for each in chunks], axis=1)

    found = _estimates(drawn, sizes > 0, statistics, len(shares))
    few = [n < stats.NEEDED.get(q, 0) for q in shares]
    return [replace(one, n=n, indicative=tail) for one, tail in zip(found, few, strict=True)]


def _estimates(
    drawn: Resample, takes_part: np.ndarray, statistics: Callable[[Floats, Weights], Floats], count: int
) -> list[Estimate]:
    """`statistics` get places of utterances for values. An interval that cannot be told is left out."""
    places = np.where(takes_part, np.arange(takes_part.size), np.nan)
    with warnings.catch_warnings():  # numpy warns of a repeat in which nothing can be divided: it has no spread
        warnings.simplefilter("ignore", RuntimeWarning)
        found = drawn.estimates(places, statistics, count)
    return [_finite(one) for one in found]


def _finite(found: Estimate) -> Estimate:
    if any(bound is not None and not math.isfinite(bound) for bound in (found.low, found.high)):
        return Estimate(found.value, n=found.n, reason="a repeat without any has no interval")
    return found


def _or_missing(found: Estimate, why: str) -> Estimate:
    return found if found.value is not None else Estimate.missing(why)
