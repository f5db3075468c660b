"""Settings that sent different amounts of partials at one load: not equal work, so that their times mislead. Pure.

A server that sends fewer partials does less and looks faster. Look-ahead and delay change the partials by what they
are, so that settings are held against each other within one of them only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from yapbench import axes
from yapbench.findings import Finding
from yapbench.measures import Point
from yapbench.obtained import WAITS
from yapbench.streams.measures import equal_work
from yapbench.words import at, interval, rate

STRENGTH = 20.0
"""Of the finding: it stands before all others, which it takes part of their meaning from."""


@dataclass(frozen=True)
class Unequal:
    """Two points of one load whose partial rates differ, the one that sends more first."""

    more: Point
    fewer: Point
    names: tuple[str, ...]
    """Of the settings that vary."""

    @property
    def gap(self) -> float:
        """Share of the larger rate by which the smaller one falls short."""
        return 1 - (self.fewer["partial_rate"].value or 0.0) / (self.more["partial_rate"].value or 1.0)

    @property
    def badge(self) -> str:
        """ "not equal work: 4.5 and 3.9 partials/s"."""
        return f"not equal work: {_rate(self.more)} and {_rate(self.fewer)} partials/s"

    @property
    def note(self) -> str:
        """The sentence below a figure that shows both."""
        load = at([self.more], self.more.level)
        return f"Not equal work: {_rate(self.more)} and {_rate(self.fewer)} partials/s at {load}."

    @property
    def finding(self) -> Finding:
        """Which settings, with both intervals, and what follows."""
        more, fewer = (f"{axes.label(p.setting, self.names)} sends {_told(p)}" for p in (self.more, self.fewer))
        text = f"Not equal work at {at([self.more], self.more.level)}: {more} partials per second of speech, {fewer}"
        return Finding(f"{text}; who sends fewer can look faster than it is", True, STRENGTH)


def unequal(points: Sequence[Point]) -> Unequal | None:
    """The pair that is furthest apart; None where all that is known is equal work.

    `points` of one manner. Both are valid, of one load and one look-ahead or delay; they differ by more than
    `equal_work` allows and their intervals are apart: of three streams each the rates differ by chance.
    """
    names = axes.varying([point.setting for point in points])
    known = [p for p in points if p.valid and p["partial_rate"].known]
    groups: dict[tuple[float, str], list[Point]] = {}
    for point in known:
        groups.setdefault((point.level, axes.label(point.setting, WAITS)), []).append(point)
    found = []
    for group in groups.values():
        for pair in combinations(sorted(group, key=lambda p: (-(p["partial_rate"].value or 0.0), p.trial_id)), 2):
            more, fewer = pair
            if equal_work(more["partial_rate"], fewer["partial_rate"]) is False:
                found.append(Unequal(more, fewer, names))
    shown = [one for one in found if not one.more["partial_rate"].overlaps(one.fewer["partial_rate"])]
    return max(shown, key=lambda one: (one.gap, one.more.level, one.more.trial_id), default=None)


def _rate(point: Point) -> str:
    return rate(point["partial_rate"].value or 0.0)


def _told(point: Point) -> str:
    return f"{_rate(point)} ({interval(point['partial_rate'])})"
