"""One measure of two points beside each other: their ratio, or why there is none to be told.

A ratio is no verdict: it does not say whether a difference is more than chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from yapbench.measures import Point
from yapbench.side_by_side.pairs import Pair
from yapbench.stats import Estimate


@dataclass(frozen=True)
class Cell:
    """One measure at one level of a pair."""

    pair: Pair
    before: Point
    after: Point
    metric: str

    @property
    def values(self) -> tuple[Estimate, Estimate]:
        """Before and after."""
        return self.before[self.metric], self.after[self.metric]

    @property
    def reason(self) -> str:
        """Why no ratio is told; empty where one is."""
        for side, point in (("before", self.before), ("after", self.after)):
            value = point[self.metric]
            if not point.valid:
                return f"{side} is invalid"
            if value.value is None:
                return f"{side}: {value.reason or 'not known'}"
            if value.indicative:
                return f"{side} has too few samples for this tail"
        return "" if self.before[self.metric].value else "before is 0"

    @property
    def ratio(self) -> float | None:
        """After over before."""
        one, other = self.values
        return None if self.reason or not one.value or other.value is None else other.value / one.value


def cells(pairs: Iterable[Pair], metric: str) -> list[Cell]:
    """One for each level of each pair, in that order."""
    return [
        Cell(pair, before, after, metric)
        for pair in pairs
        for before, after in zip(pair.before, pair.after, strict=True)
    ]


def said(found: Iterable[Cell]) -> str:
    """All ratios of one metric in a sentence."""
    listed = list(found)
    ratios = sorted(cell.ratio for cell in listed if cell.ratio is not None)
    without = len(listed) - len(ratios)
    if not ratios:
        return f"{listed[0].metric}: no ratio is told, {_most(listed)}" if listed else "no point stands in both sweeps"
    low, high = number(ratios[0]), number(ratios[-1])
    between = f"{low if low == high else f'{low} to {high}'} times"
    between = "as" if low == high == "1" else between
    points = "1 point" if len(ratios) == 1 else f"{len(ratios)} points"
    left_out = f"; of {without} more no ratio is told" if without else ""
    return f"{listed[0].metric}: after is {between} before at {points}{left_out}"


def _most(found: Sequence[Cell]) -> str:
    """The reason that most of them have."""
    [(reason, _)] = Counter(cell.reason for cell in found).most_common(1)
    return reason


def number(value: float) -> str:
    """Three significant digits; whole from 1000 on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interval(value: Estimate) -> str:
    """ "27.4–28.2", or nothing where there is none."""
    return f"{number(value.low)}–{number(value.high)}" if value.low is not None and value.high is not None else ""
