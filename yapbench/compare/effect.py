"""One number before and after: the change, how sure sampling leaves it, and how much it moved between the rounds.

Pure; knows replicates and rounds, not where they come from. Times and rates change by log(after / before), shares and
WER by their difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from yapbench.compare.metrics import Metric

Floats = NDArray[np.float64]


class Incomparable(Exception):
    """Two values that have no effect; the text says why."""


@dataclass(frozen=True)
class Sampled:
    """One side's number."""

    value: float
    replicas: Floats
    """(b,) the same under the weights of `draws.Draws`."""
    each: Floats
    """(rounds,) the same of each round alone; NaN where a round has none."""
    n: int
    """Utterances behind it."""


@dataclass(frozen=True)
class Spread:
    """What the rounds say of the variance of the whole effect."""

    variance: float
    """Of the mean over the rounds, as it was seen: sampling noise and what differs from round to round."""
    freedom: float
    rounds: float
    """By which a variance between rounds is divided to get that of the mean (harmonic mean of both sides)."""


@dataclass(frozen=True)
class Effect:
    """The change of one number at one load level of one setting."""

    metric: Metric
    before: float
    after: float
    size: float
    """log(after / before), or after - before."""
    variance: float
    """Of `size`, by drawing streams or utterances."""
    freedom: float
    spread: Spread | None
    """None with fewer than two rounds a side: nobody knows how much runs differ."""
    n_before: int
    n_after: int

    def turned(self) -> Effect:
        """The same seen from the other side."""
        return replace(
            self,
            before=self.after,
            after=self.before,
            size=-self.size,
            n_before=self.n_after,
            n_after=self.n_before,
        )


def effect(
    metric: Metric,
    before: Sampled,
    after: Sampled,
    *,
    paired: bool,
    freedom: float,
    inflation: float,
    least_variance: float = 0.0,
) -> Effect:
    """The effect of two sides drawn together. `paired`: round k of one belongs to round k of the other.

    `least_variance`: where nothing went wrong the bootstrap believes that nothing ever will. Raises Incomparable where
    a ratio has no meaning.
    """
    if metric.is_ratio and not (_positive(before) and _positive(after)):
        raise Incomparable(f"{metric.title} is not above 0 on both sides: it has no ratio")
    scale = np.log if metric.is_ratio else np.positive
    drawn = scale(after.replicas) - scale(before.replicas)
    drawn = drawn[np.isfinite(drawn)]
    variance = float(np.var(drawn, ddof=1)) * inflation if drawn.size > 1 else 0.0
    variance = max(variance, least_variance)
    return Effect(
        metric,
        before.value,
        after.value,
        float(scale(after.value) - scale(before.value)),
        variance,
        freedom,
        _spread(scale(before.each), scale(after.each), paired=paired),
        before.n,
        after.n,
    )


def _positive(side: Sampled) -> bool:
    values = np.concatenate([[side.value], side.replicas, side.each])
    return bool(np.all(values[np.isfinite(values)] > 0)) and bool(np.isfinite(side.value))


def share_variance(side: Sampled) -> float:
    """Of a share, with one success and one failure added (Agresti and Caffo 2000)."""
    share = (side.value * side.n + 1) / (side.n + 2)
    return share * (1 - share) / (side.n + 2)


def _spread(before: Floats, after: Floats, *, paired: bool) -> Spread | None:
    """The variance of the mean difference, from paired rounds or, by Welch, from those of each side."""
    if paired:
        rounds = min(before.size, after.size)  # a last round without any value has no place in `each`
        each = after[:rounds] - before[:rounds]
        each = each[np.isfinite(each)]
        if each.size < 2:
            return None
        return Spread(float(np.var(each, ddof=1)) / each.size, each.size - 1.0, float(each.size))
    sides = [side[np.isfinite(side)] for side in (before, after)]
    if min(side.size for side in sides) < 2:
        return None
    parts = [float(np.var(side, ddof=1)) / side.size for side in sides]
    total = sum(parts)
    below = sum(part**2 / (side.size - 1) for part, side in zip(parts, sides, strict=True))
    freedom = total**2 / below if below else float(min(side.size for side in sides) - 1)
    return Spread(total, freedom, 2 / sum(1 / side.size for side in sides))
