"""What changing one setting does: matched pairs of points, their ratio, and whether the data shows a difference.

Two points match when everything but the one setting (or the load level) is equal. Knows no sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yapbench import axes, stats
from yapbench.measures import Point
from yapbench.obtained import ENGINE, ENGINE_PARTS
from yapbench.stats import Estimate


@dataclass(frozen=True)
class Effect:
    """Going from `before` to `after` on one axis, at one load level, in one measure."""

    axis: str
    before: Any
    after: Any
    level: float
    measure: str
    ratio: Estimate
    """after / before: geometric mean over the matched pairs; n is their number."""
    typical_before: float
    typical_after: float
    shown: bool
    """The ratio's interval excludes 1, and in more than half of the pairs the two intervals do not overlap."""

    @property
    def strength(self) -> float:
        """How far the ratio's nearer bound is from 1, as a logarithm; 0 when no difference is shown."""
        if not self.shown or not self.ratio.low or not self.ratio.high:
            return 0.0
        return min(abs(math.log(self.ratio.low)), abs(math.log(self.ratio.high)))


def usable(points: Iterable[Point], measure: str) -> list[Point]:
    """Points that may take part in a finding: valid, with a positive value and an interval, no indicative tail."""
    kept = []
    for point in points:
        value = point[measure]
        if point.valid and value.known and not value.indicative and (value.low or 0) > 0:
            kept.append(point)
    return kept


def of_axis(points: Sequence[Point], axis: str, level: float, measure: str) -> Effect | None:
    """The strongest effect of going from the axis's first value to another one; None without a matched pair.

    First is the first value with a match: an int8 model has none in a comparison of dtypes. Engines have no first
    one: of them any two of different models are compared, if there are several models.
    """
    kept = [point for point in usable(points, measure) if point.level == level]
    settings = [p.setting for p in points]
    names = axes.separate(settings) if axis in ENGINE_PARTS else axes.varying(settings)
    others = [n for n in names if n != axis]
    steps = axes.values(settings, axis)
    known: list[Effect] = []
    for number, before in enumerate(steps):
        later = [after for after in steps[number + 1 :] if axis != ENGINE or _may_meet(settings, before, after)]
        found = [_effect(kept, axis, others, before, after, level, measure) for after in later]
        known += [effect for effect in found if effect is not None]
        if known and axis != ENGINE:
            break
    return max(known, key=lambda e: (e.shown, e.strength, _size(e)), default=None)


def _may_meet(settings: Iterable[Mapping[str, Any]], *engines: object) -> bool:
    """Whether two engines are of different models, or there is only one model."""
    models = {axes.plain(s.get(ENGINE)): s.get("model") for s in settings}
    return len(set(models.values())) == 1 or len({models[axes.plain(engine)] for engine in engines}) > 1


def of_level(points: Sequence[Point], before: float, after: float, measure: str) -> Effect | None:
    """What going from one load level to another does, over the settings measured (and valid) at both."""
    kept = {(p.trial_id, p.level): p for p in usable(points, measure)}
    trials = sorted({trial for trial, _ in kept})
    pairs = [(kept.get((t, before)), kept.get((t, after))) for t in trials]
    return _from_pairs(pairs, "level", before, after, after, measure)


def _size(effect: Effect) -> float:
    return abs(math.log(effect.ratio.value)) if effect.ratio.value else 0.0


def _effect(
    points: Sequence[Point],
    axis: str,
    others: Sequence[str],
    before: object,
    after: object,
    level: float,
    measure: str,
) -> Effect | None:
    sides: list[dict[str, Point]] = []
    for value in (before, after):
        same = [p for p in points if axes.plain(p.setting.get(axis)) == axes.plain(value)]
        sides.append({axes.label(p.setting, others): p for p in same})
    pairs = [(sides[0][key], sides[1].get(key)) for key in sorted(sides[0])]
    return _from_pairs(pairs, axis, before, after, level, measure)


def _from_pairs(
    pairs: Iterable[tuple[Point | None, Point | None]],
    axis: str,
    before: object,
    after: object,
    level: float,
    measure: str,
) -> Effect | None:
    values = [(a[measure], b[measure]) for a, b in pairs if a is not None and b is not None]
    ratio = stats.ratio(values)
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return None
    apart = sum(not a.overlaps(b) for a, b in values)
    shown = not ratio.low <= 1 <= ratio.high and apart > len(values) / 2
    typical = [_geometric_mean([pair[side] for pair in values]) for side in (0, 1)]
    return Effect(axis, before, after, level, measure, ratio, typical[0], typical[1], shown)


def _geometric_mean(values: Sequence[Estimate]) -> float:
    return math.exp(sum(math.log(value.value or 1) for value in values) / len(values))
