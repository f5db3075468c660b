"""Bounds of each level's tail that know how far one probe differs from the next.

Utterances of one probe wait in the same queue, so that a bootstrap over them is too sure; repeats are not. The spread
between repeats is taken from all levels that were repeated, and applied to those that were not. Knows levels only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from yapbench import stats
from yapbench.capacity.level import Level

USUAL: Final = 0.1
"""Standard deviation of the logarithm of a probe's tail, before anything is known of it ..."""
USUAL_FREEDOM: Final = 2
"""... believed as much as three repeats of a level would be."""
NEAR: Final = 2.5
"""Only levels whose tail is within this factor of the target tell: far below it queues are short, and alike."""


@dataclass(frozen=True)
class Bounds:
    """A tail in ms with a 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """How far a probe's tail lies from that of the next one at the same level, as a logarithm."""

    sigma: float
    freedom: int

    def half_width(self, repeats: int) -> float:
        """Of a 95 % interval of the mean over so many repeats."""
        reach = float(special.stdtrit(self.freedom, 0.5 + stats.CONFIDENCE / 2))
        return reach * self.sigma / math.sqrt(repeats)


def spread_of(levels: Sequence[Level], slo_ms: float) -> Spread:
    """Pooled over the repeated levels near the target, together with what is usual."""
    squares, freedom = USUAL_FREEDOM * USUAL**2, USUAL_FREEDOM
    for level in levels:
        logs = _logs(level)
        if logs.size > 1 and abs(logs.mean() - math.log(slo_ms)) <= math.log(NEAR):
            squares += float(np.sum((logs - logs.mean()) ** 2))
            freedom += logs.size - 1
    return Spread(math.sqrt(squares / freedom), freedom)


def bounds_of(levels: Sequence[Level], slo_ms: float) -> dict[int, Bounds]:
    """By level; of levels without known times none."""
    found = spread_of(levels, slo_ms)
    by_level: dict[int, Bounds] = {}
    for level in levels:
        if level.tail_ms is not None:
            value, factor = max(1e-3, level.tail_ms), math.exp(found.half_width(len(level.kept)))
            by_level[level.streams] = Bounds(value, value / factor, value * factor)
    return by_level


def _logs(level: Level) -> NDArray[np.float64]:
    """(k,) logarithm of each repeat's tail."""
    return np.log(np.maximum(1e-3, level.tails_ms))
