"""Times against the delay of a model's text: a curve for each load, in whichever setting of the rest answers soonest.

Pure: points in, curves out. Knows no figure; what a delay does to the words is look_ahead.py's, as of any waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yapbench import axes
from yapbench.measures import Point
from yapbench.obtained import DELAY
from yapbench.streams import captions, look_ahead
from yapbench.words import at


@dataclass(frozen=True)
class Curve:
    """The delays of one load, and of one value of what changes the words, ascending: two at least."""

    name: str
    """ "4 streams", with what tells it from others of that load."""
    points: tuple[Point, ...]

    @property
    def delays_ms(self) -> list[float]:
        """Of its points."""
        return [float(point.setting[DELAY]) for point in self.points]


def curves(points: Sequence[Point]) -> list[Curve]:
    """Of the valid points of one manner, the lightest load first; none where no delay varies."""
    since = captions.felt(points)
    known = [p for p in points if p.valid and isinstance(p.setting.get(DELAY), int | float)]
    known = [p for p in known if p[f"{since}_p50_ms"].value is not None]
    names = [n for n in axes.separate([p.setting for p in points]) if n in look_ahead.CHANGES_WORDS]
    soonest: dict[tuple[float, str, float], Point] = {}
    for point in sorted(known, key=lambda p: (p[f"{since}_p50_ms"].value or 0.0, p.trial_id)):
        what = axes.label(point.setting, names) if names else ""
        soonest.setdefault((point.level, what, float(point.setting[DELAY])), point)
    found: dict[tuple[float, str], list[Point]] = {}
    for (level, what, _), point in sorted(soonest.items(), key=lambda item: item[0]):
        found.setdefault((level, what), []).append(point)
    several = ((key, mine) for key, mine in found.items() if len(mine) > 1)
    return [Curve(" · ".join(filter(None, (at(mine, level), what))), tuple(mine)) for (level, what), mine in several]
