"""Both sides' rows of one setting at one load level, drawn together once for all their numbers.

Knows rows and statistics; does not know which numbers are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yapbench.compare import draws, metrics, sampling
from yapbench.compare.draws import Draws
from yapbench.compare.effect import Effect, Incomparable, Sampled, effect, share_variance
from yapbench.compare.metrics import Kind, Metric
from yapbench.schema import Outcome, Phase
from yapbench.stats import NEEDED

Floats = NDArray[np.float64]

FEWEST: Final = 20
"""Utterances with a value on each side, below which a number is not compared."""


@dataclass(frozen=True)
class Level:
    """Both sides' rows of one setting at one load level, all phases, with the column `round` (0..)."""

    before: pd.DataFrame
    after: pd.DataFrame
    paired: bool
    """Round k of one side sent what round k of the other did."""
    open_loop: bool = False
    """Arrivals that wait for nobody: only then does a rate of streams say something of the server."""
    scored: bool = True
    """Words can be right or wrong: not of random weights."""


@dataclass
class Compared:
    """What came of a level."""

    effects: list[Effect] = field(default_factory=list)
    omitted: list[tuple[str, str]] = field(default_factory=list)
    """(title of a number, why it was not compared)."""
    norms: set[str] = field(default_factory=set)
    """Names of the normalisers of the words."""

    def add(self, metric: Metric, make: Callable[[], Effect]) -> None:
        """Take one effect, or the reason why there is none."""
        try:
            self.effects.append(make())
        except Incomparable as problem:
            self.omitted.append((metric.title, str(problem)))


class Pair:
    """The counted rows of both sides, drawn together once for all their numbers."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.counted = [rows[rows["phase"] == Phase.STEADY] for rows in (level.before, level.after)]
        self._rows = [draws.Rows.of(rows["round"], rows["stream"], rows["index"]) for rows in self.counted]
        self.drawn = draws.draw(*self._rows)

    def percentiles(self, found: Compared, chosen: Sequence[Metric], values: Sequence[Floats], missing: str) -> None:
        """Those quantiles of `values` (before, after), each (n,) by counted row, that both sides have enough of."""
        sizes = [int(np.isfinite(each).sum()) for each in values]
        told = []
        for metric in chosen:
            needed = max(FEWEST, NEEDED.get(metric.quantile or 0.5, 0))
            if min(sizes) >= needed:
                told.append(metric)
            elif not min(sizes):
                found.omitted.append((metric.title, missing))
            else:
                found.omitted.append((metric.title, f"fewer than {needed} utterances with a value"))
        if not told:
            return
        shares = [metric.quantile or 0.5 for metric in told]
        sides = [
            sampling.percentiles(each, rows.rounds, weights, shares)
            for each, rows, weights in zip(values, self._rows, (self.drawn.before, self.drawn.after), strict=True)
        ]
        for metric, before, after in zip(told, *sides, strict=True):
            found.add(metric, self._effect(metric, before, after, self.drawn))

    def ratio(self, found: Compared, metric: Metric, above: Sequence[Floats], below: Sequence[Floats]) -> None:
        """Sum of `above` / sum of `below`, each (before, after) of (n,) by counted row."""
        sides = [
            sampling.ratio(top, bottom, rows.rounds, weights)
            for top, bottom, rows, weights in zip(
                above, below, self._rows, (self.drawn.before, self.drawn.after), strict=True
            )
        ]
        if min(side.n for side in sides) < FEWEST:
            found.omitted.append((metric.title, f"fewer than {FEWEST} utterances with a value"))
            return
        found.add(metric, self._effect(metric, sides[0], sides[1], self.drawn))

    def ok_share(self, found: Compared) -> None:
        """Those that ended well, of all counted."""
        well = [np.asarray(rows["outcome"] == Outcome.OK, dtype=np.float64) for rows in self.counted]
        self.ratio(found, metrics.OK_SHARE, well, [np.ones_like(each) for each in well])

    def rate(self, found: Compared, metric: Metric, amounts: Sequence[Floats]) -> None:
        """What was finished per second; `amounts`: (before, after), by row of all phases."""
        cut = [
            sampling.slices(rows, each)
            for rows, each in zip((self.level.before, self.level.after), amounts, strict=True)
        ]
        if min(n for *_, n in cut) < FEWEST:
            found.omitted.append((metric.title, f"fewer than {FEWEST} finished in the counted time"))
            return
        drawn = draws.draw(*(draws.Rows.of(rounds, np.zeros_like(place), place) for _, rounds, place, _ in cut))
        sides = [
            sampling.ratio(rates, np.ones_like(rates), rounds, weights)
            for (rates, rounds, _, _), weights in zip(cut, (drawn.before, drawn.after), strict=True)
        ]
        told = [Sampled(side.value, side.replicas, side.each, n) for side, (*_, n) in zip(sides, cut, strict=True)]
        found.add(metric, self._effect(metric, told[0], told[1], drawn))

    def _effect(self, metric: Metric, before: Sampled, after: Sampled, drawn: Draws) -> Callable[[], Effect]:
        def make() -> Effect:
            return effect(
                metric,
                before,
                after,
                paired=self.level.paired,
                freedom=drawn.freedom,
                inflation=drawn.inflation,
                least_variance=share_variance(before) + share_variance(after) if metric.kind is Kind.SHARE else 0.0,
            )

        return make
