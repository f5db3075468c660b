"""All effects of a comparison judged together: intervals, p-values, Holm over the whole family, verdicts.

Pure. An effect's variance is what sampling leaves (the bootstrap) and what the rounds moved beyond it:

    total = N + E        E = max(0, mean of (S - 0.75 N) over comparable effects)
    df = total^2 / (N^2 / df_N + E^2 / df_E)

N is the bootstrap's variance and S the one seen between rounds, both of the whole effect. Three rounds tell little of a
spread: alone they would need Student's t with 2 degrees of freedom, which at Holm's levels asks for 15 standard errors.
So the rounds of other numbers of the same kind (times, rates, shares, WER) and of other levels and settings are heard
too, each counted once at most and all together at most `OTHERS` times as much as the effect's own; one with more noise
counts less. Not all of the noise is taken off S, as in stats.py, where it is half for a point that stands alone. The
degrees of freedom are Satterthwaite's (1946, Biometrics 2: 110-114). What it is worth is measured in docs/compare.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scipy import special

from yapbench.compare import holm
from yapbench.compare.effect import Effect
from yapbench.compare.metrics import THRESHOLD
from yapbench.stats import CONFIDENCE

LEVEL: Final = 1 - CONFIDENCE
OTHERS: Final = 4.0
TAKEN_OFF: Final = 0.75
"""Of the noise, before what is left of the spread between rounds counts as theirs."""
_CERTAIN: Final = 1e9
"""Degrees of freedom from which Student's t is the normal."""


class Verdict(StrEnum):
    """What may be said of one effect."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no difference"
    """The interval that holds for all effects at once lies within the threshold."""
    OPEN = "not shown"


@dataclass(frozen=True)
class Judged:
    """An effect with what the family makes of it."""

    effect: Effect
    low: float
    """95 % interval of the effect alone."""
    high: float
    all_low: float
    """The interval at Bonferroni's level: 95 % for all effects of the family at once."""
    all_high: float
    band: float
    """The smallest effect that matters."""
    p: float
    """The level at which the two-sided interval just touches 0."""
    adjusted: float
    """The same by Holm over the family."""
    verdict: Verdict

    @property
    def harm(self) -> float:
        """The effect in thresholds, > 0 for the worse."""
        return self.effect.metric.worse_sign * self.effect.size / self.band


def judge(effects: Sequence[Effect], *, threshold: float = THRESHOLD) -> list[Judged]:
    """Every effect with its verdict, in the order given. `threshold`: of times and rates, 0.05 for 5 %."""
    errors = [_error(one, effects) for one in effects]
    p_values = [_p(one.size, *error) for one, error in zip(effects, errors, strict=True)]
    found = []
    for one, (error, freedom), p, adjusted in zip(effects, errors, p_values, holm.adjusted(p_values), strict=True):
        half, widest = (error * _t(freedom, LEVEL / many) for many in (1, len(effects)))
        band = one.metric.band(one.before, one.after, threshold)
        bounds = (one.size - half, one.size + half, one.size - widest, one.size + widest)
        verdict = _verdict(one, band, widest, float(adjusted))
        found.append(Judged(one, *bounds, band, p, float(adjusted), verdict))
    return found


def _verdict(one: Effect, band: float, widest: float, adjusted: float) -> Verdict:
    if adjusted <= LEVEL and abs(one.size) >= band:
        return Verdict.WORSE if one.size * one.metric.worse_sign > 0 else Verdict.BETTER
    return Verdict.SAME if abs(one.size) + widest <= band else Verdict.OPEN


def _error(one: Effect, effects: Sequence[Effect]) -> tuple[float, float]:
    """(standard error, degrees of freedom) of an effect among its kind."""
    extra, freedom = _beyond_noise(one, effects)
    total = one.variance + extra
    below = one.variance**2 / one.freedom + (extra**2 / freedom if extra else 0.0)
    return math.sqrt(total), min(_CERTAIN, total**2 / below) if below else _CERTAIN


def _beyond_noise(one: Effect, effects: Sequence[Effect]) -> tuple[float, float]:
    """(E, df_E): the variance that differing rounds add to an effect. 0 where its own rounds say nothing."""
    if one.spread is None:
        return 0.0, 1.0
    own = one.spread
    others = [
        (other, other.spread, _weight(one, other))
        for other in effects
        if other is not one and other.metric.kind is one.metric.kind and other.spread is not None
    ]
    heard = sum(weight for *_, weight in others)
    share = min(1.0, OTHERS / heard) if heard else 0.0
    above = (own.variance - TAKEN_OFF * one.variance) * own.rounds
    weights, freedom = 1.0, own.freedom
    for other, spread, weight in others:
        above += share * weight * (spread.variance - TAKEN_OFF * other.variance) * spread.rounds
        weights += share * weight
        freedom += share * weight * spread.freedom
    return max(0.0, above / weights / own.rounds), freedom


def _weight(one: Effect, other: Effect) -> float:
    """How far another effect's rounds speak for this one's, 0..1: less where its own noise hides them."""
    noise = other.variance * (other.spread.rounds if other.spread else 1.0)
    mine = one.variance * (one.spread.rounds if one.spread else 1.0)
    return 1.0 if noise <= mine else mine / noise


def _t(freedom: float, level: float) -> float:
    return float(special.stdtrit(freedom, 1 - level / 2))


def _p(size: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0 if size == 0 else 0.0
    return float(2 * special.stdtr(freedom, -abs(size) / error))
