"""Where the fitted tail reaches the target, and between which numbers of streams that may be.

Knows brackets and bounds; knows no guard but failures and falling behind, which end an interval.
"""

from __future__ import annotations

from dataclasses import dataclass

from yapbench.capacity.bracket import Bracket
from yapbench.capacity.fit import isotonic
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.spread import bounds_of


@dataclass(frozen=True)
class Interval:
    """Numbers of streams; not whole, for the target is reached between two of them."""

    estimate: float | None
    """None: nowhere between the levels that were probed."""
    low: float | None
    """None: below the lightest level that was probed."""
    high: float | None
    """None: beyond the heaviest."""

    @property
    def width(self) -> float | None:
        """As a share; None where it is open."""
        return None if self.low is None or self.high is None else self.high / self.low - 1


def interval_of(now: Bracket, options: SearchOptions) -> Interval:
    """The crossing of the fit, and of the fits of all upper and of all lower bounds (95 %).

    A level that failed, or fell behind, misses whatever its tail is: the capacity is below it, and no more is known
    than which level held.
    """
    estimate = now.curve.crossing(options.slo_ms)
    bounds = bounds_of(now.levels, options.slo_ms)
    known = [level for level in now.levels if level.streams in bounds]
    at, weights = [level.streams for level in known], [float(level.n) for level in known]
    low = isotonic(at, [bounds[streams].high for streams in at], weights).crossings(options.slo_ms)[0]
    high = isotonic(at, [bounds[streams].low for streams in at], weights).crossings(options.slo_ms)[1]
    broken = now.broken
    if broken and (estimate is None or estimate >= min(broken)):
        below = float(now.holds.streams) if now.holds else 0.0
        estimate, low = below, below if low is None else min(low, below)
        high = float(min(broken) - 1)
    elif broken:
        high = float(min(broken) - 1) if high is None else min(high, float(min(broken) - 1))
    return Interval(estimate or None, low or None, high)
