"""Isotonic regression of the tail's logarithm over the levels, and where it crosses the target. Knows numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Curve:
    """A tail that never falls with the load: blocks of neighbouring levels that share a value, ascending."""

    at: tuple[float, ...]
    """Weighted mean of the logarithms of each block's levels."""
    value: tuple[float, ...]
    """Logarithm of the tail in ms."""
    fitted_ms: Mapping[int, float]
    """By level: the value of its block."""

    def crossing(self, target_ms: float) -> float | None:
        """The level at which the tail reaches the target, in a straight line from block to block.

        0: the lightest level is above it. None: the heaviest is not.
        """
        return self._crossing(target_ms, bent=False)

    def crossings(self, target_ms: float) -> tuple[float | None, float | None]:
        """The same, lighter one first, where the way from block to block is straight, and where its logarithm is.

        What a tail does between two levels is not known; a queue's is mostly in between these.
        """
        found = self._crossing(target_ms, bent=False), self._crossing(target_ms, bent=True)
        known = [each for each in found if each is not None]
        return (min(known), max(known)) if known else (None, None)

    def _crossing(self, target_ms: float, *, bent: bool) -> float | None:
        goal = math.log(target_ms)
        if not self.value or self.value[-1] <= goal:
            return None
        if self.value[0] > goal:
            return 0.0
        k = max(j for j, value in enumerate(self.value) if value <= goal)
        (x, next_x), (y, next_y) = self.at[k : k + 2], self.value[k : k + 2]
        if bent:
            return math.exp(x + (next_x - x) * (goal - y) / (next_y - y))
        share = (target_ms - math.exp(y)) / (math.exp(next_y) - math.exp(y))
        return math.exp(x) + (math.exp(next_x) - math.exp(x)) * share

    def tail_ms(self, level: float) -> float:
        """The fitted tail at a level; outside of the probed ones that of the nearest."""
        return float(np.interp(level, np.exp(self.at), np.exp(self.value)))


def isotonic(levels: Sequence[int], tails_ms: Sequence[float], weights: Sequence[float]) -> Curve:
    """The least-squares curve through the logarithms of `tails_ms` that never falls; levels ascending.

    Barlow et al. 1972, by scipy's pool-adjacent-violators. A tail of 0 ms and less counts as 1 microsecond.
    """
    if not levels:
        return Curve((), (), {})
    from scipy.optimize import isotonic_regression  # takes a while to import

    logs = [math.log(max(1e-3, tail_ms)) for tail_ms in tails_ms]
    found = isotonic_regression(logs, weights=weights)
    at, value = [], []
    for first, end in pairwise(int(edge) for edge in found.blocks):
        share = weights[first:end]
        at.append(sum(w * math.log(x) for w, x in zip(share, levels[first:end], strict=True)) / sum(share))
        value.append(float(found.x[first]))
    fitted_ms = {level: math.exp(x) for level, x in zip(levels, found.x, strict=True)}
    return Curve(tuple(at), tuple(value), fitted_ms)
