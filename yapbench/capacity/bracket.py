"""Between which levels the capacity lies, by a single look at each: the heaviest that holds, the lightest that misses.

Knows levels and options; does not know what is probed next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from yapbench.capacity.fit import Curve, isotonic
from yapbench.capacity.level import Level
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.unharmed import harmed
from yapbench.words import ms

WIDEST: Final = 2.5
"""Steps of the resolution between a level that holds and one that misses: one to each side, and rounding."""


@dataclass(frozen=True)
class Bracket:
    """`holds` is lighter than `misses`; None where there is no such level yet."""

    levels: tuple[Level, ...]
    holds: Level | None
    misses: Level | None
    """Also a level that the load generator cannot put on: see `Level.blocked`."""
    curve: Curve
    broken: Mapping[int, str]
    """Levels that miss whatever their times are, and why: something failed, fell behind, or misheard."""

    @property
    def width(self) -> float:
        """How much heavier `misses` is than `holds`, a share; infinite while one of them is not known."""
        if self.holds is None or self.misses is None:
            return math.inf
        return self.misses.streams / self.holds.streams - 1

    def narrow(self, resolution: float) -> bool:
        """Nothing is left to look for in between."""
        if self.holds is None or self.misses is None:
            return self.misses is not None and self.misses.streams == 1
        return self.misses.streams - self.holds.streams <= 1 or self.width <= (1 + resolution) ** WIDEST - 1


def bracket_of(levels: Sequence[Level], options: SearchOptions) -> Bracket:
    """Judged by the isotonic fit of all tails, so that one lucky level does not overrule its neighbours."""
    known = [level for level in levels if level.tail_ms is not None]
    curve = isotonic(
        [level.streams for level in known],
        [level.tail_ms or 0.0 for level in known],
        [float(level.n) for level in known],
    )
    base = baseline_of(levels)
    why_broken = {level.streams: why for level in levels if (why := _why_broken(level, levels[0], base))}
    wrong = [level for level in levels if why_missed(level, why_broken, curve, options)]
    misses = wrong[0] if wrong else None
    below = [level for level in levels if level.kept and (misses is None or level.streams < misses.streams)]
    return Bracket(tuple(levels), below[-1] if below else None, misses, curve, why_broken)


def baseline_of(levels: Sequence[Level]) -> Level | None:
    """The lightest level with words, which those of all others are compared with."""
    return next((level for level in levels if level.heard), None)


def why_missed(level: Level, broken: Mapping[int, str], curve: Curve, options: SearchOptions) -> str:
    """Why a level does not hold, in words; "" where it does, or is not known yet."""
    if level.blocked:
        return "no probe may be believed" + "".join(f": {reason}" for reason in level.thrown[-1].reasons[:1])
    if level.streams in broken:
        return broken[level.streams]
    tail_ms = curve.fitted_ms.get(level.streams, 0.0)
    if tail_ms <= options.slo_ms:
        return ""
    measured = f"{options.percentile} {ms(level.tail_ms or 0.0)} ms"
    if (level.tail_ms or 0.0) > options.slo_ms:
        return measured
    return f"{measured}, {ms(tail_ms)} ms together with its neighbours"


def _why_broken(level: Level, lightest: Level, base: Level | None) -> str:
    if level.broken:
        return level.broken
    if level.falls_behind(lightest):
        return f"it fell behind by {level.lag_slope.value:.1f} ms each second"
    return harmed(level, base)
