"""Estimates with 95 % intervals: percentiles, means, fractions, areas under a ROC curve, ratios.

Pure and seeded: the same rows give the same bytes. Knows numbers and the blocks they came in (repeat,
stream); does not know what was measured.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]
Weights = NDArray[np.float32]
"""Small whole numbers, exact in single precision, which halves the memory that quantiles go through."""

REPLICATES: Final = 1000
SEED: Final = 20_240_601
CONFIDENCE: Final = 0.95
STREAMS_DRAWN_WHOLE: Final = 5
"""From so many streams on, whole streams are drawn; below, single utterances: too few blocks to draw from."""
LEAST_OF_SAMPLING: Final = 0.5
"""Share of the interval from within repeats that repeats which agree by chance leave at least."""
_FEW: Final = 64
_KEPT: Final = 1 << 19
"""Counts of a draw that are remembered: 2 MB."""

NEEDED: Final = {0.95: 130, 0.99: 662}
"""Samples below which a percentile of the tail is only indicative (binomial bound on exceedance, 99 %)."""

_Z: Final = float(special.ndtri(0.5 + CONFIDENCE / 2))


@dataclass(frozen=True)
class Estimate:
    """A number, its 95 % interval and its samples. `value` None: `reason` says why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    indicative: bool = False
    """A tail from too few samples: shown grey, kept out of headlines."""
    reason: str = ""

    @classmethod
    def missing(cls, reason: str, *, n: int = 0) -> Estimate:
        """No value, and why."""
        return cls(None, n=n, reason=reason)

    @property
    def known(self) -> bool:
        """There is a value with an interval."""
        return self.value is not None and self.low is not None and self.high is not None

    def overlaps(self, other: Estimate) -> bool:
        """The two intervals share a value; True when either is unknown: no difference can be shown."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return True
        return self.low <= other.high and other.low <= self.high

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in another unit; `factor` > 0."""

        def times(value: float | None) -> float | None:
            return None if value is None else value * factor

        bounds = times(self.low), times(self.high)
        return Estimate(times(self.value), *bounds, self.n, self.indicative, self.reason)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, rounded to six significant digits so that bytes do not hang on the last bit."""
        raw = {name: getattr(self, name) for name in _FIELDS}
        return {name: significant(item) if isinstance(item, float) else item for name, item in raw.items()}


_FIELDS: Final = tuple(one.name for one in fields(Estimate))


def significant(value: float, digits: int = 6) -> float:
    """`value` rounded to so many significant digits."""
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True)
class Resample:
    """Bootstrap weights of one point's samples: drawn once, used for every statistic of that point."""

    repeat: Counts
    """(n,) index of the repeat of each sample, 0.. without gaps."""
    weights: Weights
    """(replicates, n) how often each sample was drawn, laid out sample by sample. Repeats are never mixed."""
    widening: float
    """For few streams: Student's t against the normal, and the variance that a draw from so few lacks."""

    @classmethod
    def draw(cls, repeat: ArrayLike, stream: ArrayLike, *, replicates: int = REPLICATES, seed: int = SEED) -> Resample:
        """Within each repeat: draw whole streams, or single utterances where there are under five streams.

        `repeat`, `stream`: (n,) labels. The spread between repeats is added by `estimate`.
        """
        repeats = np.unique(np.asarray(repeat), return_inverse=True)[1].astype(np.int32)
        streams = np.asarray(stream)
        counts = np.zeros((len(repeats), replicates), dtype=np.float32)
        fewest = freedom = 0
        for k in range(int(repeats.max(initial=-1)) + 1):
            members = np.flatnonzero(repeats == k)
            names, block = np.unique(streams[members], return_inverse=True)
            if len(names) < STREAMS_DRAWN_WHOLE:
                counts[members] = _multinomial(len(members), replicates, seed + k)
                continue
            counts[members] = _multinomial(len(names), replicates, seed + k)[block]
            fewest, freedom = min(fewest or len(names), len(names)), freedom + len(names) - 1
        widening = 1.0
        if fewest:
            few = math.sqrt(fewest / (fewest - 1))
            widening = few * float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)) / _Z
        return cls(repeats, counts.T, widening)

    def estimate(self, values: ArrayLike, statistic: Callable[[Floats, Weights], Floats]) -> Estimate:
        """`statistic` of `values` with its interval; `values`: (n,) in the order of `draw`, NaN = absent.

        `statistic(values, weights)`: (n,), (b, n) -> (b,).
        """
        return self.estimates(values, lambda chosen, weights: statistic(chosen, weights)[np.newaxis], 1)[0]

    def estimates(
        self, values: ArrayLike, statistics: Callable[[Floats, Weights], Floats], count: int
    ) -> list[Estimate]:
        """`count` statistics of the same values that share their work: (n,), (b, n) -> (count, b).

        One repeat: the percentiles of what was drawn, which know nothing of how repeats differ. Several: Student's t
        over the repeats, whatever made them differ. docs/decisions/0013-intervals.md has the coverage of both.
        """
        given = np.asarray(values, dtype=np.float64)
        present = np.isfinite(given)
        kept, repeat, weights = given, self.repeat, self.weights
        if not present.all():
            kept, repeat, weights = given[present], repeat[present], weights.T[present].T
        if not kept.size:
            return [Estimate.missing("no sample")] * count
        found = [float(value) for value in statistics(kept, _once(kept.size))[:, 0]]
        if kept.size == 1:
            return [Estimate(value, n=1, reason="one sample has no interval") for value in found]
        groups = [np.flatnonzero(repeat == k) for k in np.unique(repeat)] if repeat.min() != repeat.max() else []
        each = [statistics(kept[g], _once(g.size))[:, 0] for g in groups]
        of_repeats = np.stack(each, axis=1) if each else np.empty((count, 0))
        drawn = zip(found, _middle(statistics(kept, weights)), of_repeats, strict=True)
        return [self._with_interval(value, low, high, own, kept.size) for value, (low, high), own in drawn]

    def _with_interval(self, value: float, low: float, high: float, of_repeats: Floats, n: int) -> Estimate:
        """`low`, `high`: of what was drawn; `of_repeats`: (k,) the statistic of each repeat alone."""
        below, above = max(0.0, value - low) * self.widening, max(0.0, high - value) * self.widening
        if of_repeats.size < 2:
            return Estimate(value, value - below, value + above, n)
        # A pooled percentile leans to some of the repeats: the interval holds both it and the repeats' mean.
        half, mean_of_repeats = t_half_width(of_repeats), float(of_repeats.mean())
        lows = [value - LEAST_OF_SAMPLING * below, value - half, mean_of_repeats - half]
        highs = [value + LEAST_OF_SAMPLING * above, value + half, mean_of_repeats + half]
        return Estimate(value, float(np.min(lows)), float(np.max(highs)), n)  # NaN where a repeat has no value


def _middle(replicas: Floats) -> list[tuple[float, float]]:
    """The two ends of the middle 95 % of each row of (count, b); what is not finite is left out."""
    ends = [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2]
    if np.isfinite(replicas).all():
        found = np.quantile(replicas, ends, axis=1)
    else:
        found = np.stack([np.quantile(row[np.isfinite(row)], ends) for row in replicas], axis=1)
    return [(float(low), float(high)) for low, high in found.T]


def _once(size: int) -> Weights:
    """Every sample as it was."""
    return np.ones((1, size), dtype=np.float32)


def _multinomial(blocks: int, replicates: int, seed: int) -> Weights:
    """(blocks, replicates) how often each block was drawn; read-only."""
    return (_remembered if blocks * replicates <= _KEPT else _drawn)(blocks, replicates, seed)


def _drawn(blocks: int, replicates: int, seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=replicates)
    found: Weights = np.ascontiguousarray(counts.T, dtype=np.float32)
    found.flags.writeable = False
    return found


_remembered = functools.lru_cache(maxsize=32)(_drawn)
"""A sweep's points are mostly of the same sizes."""


def t_half_width(each: Floats) -> float:
    """Half width of Student's 95 % interval for the mean of `each` (k,), k >= 2."""
    return float(special.stdtrit(each.size - 1, 0.5 + CONFIDENCE / 2)) * float(each.std(ddof=1)) / math.sqrt(each.size)


def spread_half_width(each: Floats, noise: float) -> float:
    """Half width of a 95 % interval from the spread of `each` (k,) beyond half of their `noise` variance."""
    excess = max(0.0, float(np.var(each, ddof=1)) - noise / 2)
    return float(special.stdtrit(len(each) - 1, 0.5 + CONFIDENCE / 2)) * math.sqrt(excess / len(each))


def quantiles(shares: Sequence[float]) -> Callable[[Floats, Weights], Floats]:
    """Weighted quantiles as statistics, (len(shares), b): the smallest value that a share q does not exceed."""

    def statistics(values: Floats, weights: Weights) -> Floats:
        order = np.argsort(values, kind="stable")
        return quantiles_of_sorted(values[order], weights.T[order], shares)

    return statistics


def quantiles_of_sorted(ascending: Floats, counts: Weights, shares: Sequence[float]) -> Floats:
    """(len(shares), b) of values (n,) that were drawn `counts` (n, b) times; the counts are overwritten."""
    if counts.shape[1] < _FEW:
        np.cumsum(counts, axis=0, out=counts)
    else:  # a running sum by rows, for a third of the time
        for lower, upper in itertools.pairwise(counts):
            np.add(lower, upper, out=upper)
    total = counts[-1].astype(np.float64)
    found = np.empty((len(shares), counts.shape[1]))
    for k, q in enumerate(shares):
        # Counts are whole, so the next whole number is the same bound, and it is exact in single precision.
        least = np.ceil(np.maximum(q * total, 0.5)).astype(np.float32)
        index = (counts < least).view(np.int8).sum(axis=0, dtype=np.int32)
        found[k] = np.where(total > 0, ascending[np.minimum(index, ascending.size - 1)], np.nan)
    return found


def mean(values: Floats, weights: Weights) -> Floats:
    """The weighted mean as a statistic."""
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights @ values) / total, dtype=np.float64)


def percentile(resample: Resample, values: ArrayLike, q: float) -> Estimate:
    """The q-quantile (0..1) of `values` (n,); a tail from too few samples is marked indicative."""
    return percentiles(resample, values, (q,))[0]


def percentiles(resample: Resample, values: ArrayLike, shares: Sequence[float]) -> list[Estimate]:
    """Several of them, for less than each alone."""
    found = resample.estimates(values, quantiles(shares), len(shares))
    few = [one.value is not None and one.n < NEEDED.get(q, 0) for one, q in zip(found, shares, strict=True)]
    return [replace(one, indicative=tail) for one, tail in zip(found, few, strict=True)]


def fraction(hits: int, n: int) -> Estimate:
    """A share with its Wilson score interval (Wilson 1927, without continuity correction); 0 <= hits <= n."""
    if n == 0:
        return Estimate.missing("no sample")
    # scipy.stats has it, and takes most of a second to import: each notebook run would pay that.
    share, weight = hits / n, _Z**2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Estimate(share, 0.0 if hits == 0 else centre - half, 1.0 if hits == n else centre + half, n)


def upper_bound_of_none(n: int) -> float:
    """The 95 % upper bound (Clopper-Pearson, one-sided) of a rate seen 0 times in `n`; 1 for n = 0."""
    return 1.0 - 0.05 ** (1 / n) if n else 1.0


def area_under_curve(positives: Sequence[float], negatives: Sequence[float]) -> Estimate:
    """Share of (positive, negative) pairs ranked right, ties half; DeLong's interval on the logit scale.

    At exactly 0 or 1 the variance is nil: the bound is then that of `min(m, n)` pairs without an error.
    """
    up, down = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    if not up.size or not down.size:
        return Estimate.missing("needs both labels", n=up.size + down.size)
    won = (up[:, None] > down[None, :]) + 0.5 * (up[:, None] == down[None, :])
    area, n = float(won.mean()), int(up.size + down.size)
    edge = (1 - CONFIDENCE) / 2
    if area in (0.0, 1.0):
        reach = edge ** (1 / min(up.size, down.size))
        return Estimate(area, reach if area else 0.0, 1.0 if area else 1 - reach, n)
    if min(up.size, down.size) < 2:
        return Estimate(area, n=n, reason="one clip of a label has no interval")
    variance = won.mean(axis=1).var(ddof=1) / up.size + won.mean(axis=0).var(ddof=1) / down.size
    half = _Z * math.sqrt(float(variance)) / (area * (1 - area))
    logit = math.log(area / (1 - area))
    return Estimate(area, _expit(logit - half), _expit(logit + half), n)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def ratio(pairs: Sequence[tuple[Estimate, Estimate]]) -> Estimate:
    """Geometric mean of b/a over matched pairs (a, b) of positive estimates, with its interval.

    Pairs with an unknown or non-positive bound are left out; n is the number of pairs used.
    """
    logs, noise = [], []
    for a, b in pairs:
        if not (a.known and b.known) or min(a.low or 0, b.low or 0) <= 0:
            continue
        logs.append(math.log((b.value or 1) / (a.value or 1)))
        noise.append(_log_variance(a) + _log_variance(b))
    if not logs:
        return Estimate.missing("no comparable pair")
    centre = float(np.mean(logs))
    within = _Z * math.sqrt(float(np.sum(noise))) / len(logs)
    between = spread_half_width(np.array(logs), float(np.mean(noise))) if len(logs) > 1 else 0.0
    half = math.hypot(within, between)
    return Estimate(math.exp(centre), math.exp(centre - half), math.exp(centre + half), len(logs))


def _log_variance(item: Estimate) -> float:
    return float((math.log((item.high or 1) / (item.low or 1)) / (2 * _Z)) ** 2)
