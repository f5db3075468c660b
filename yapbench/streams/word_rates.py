"""Whether the load harms the words: WER at a heavy load against a light one, paired on utterances sent at both. Pure.

The servers do the same work on the same audio at any load, so that whatever rises is dropped audio, cross-talk or a
deadline. Three answers: a rise is shown, none larger than a limit is left, or it is undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from scipy import special

from yapbench import stats, wer
from yapbench.measures import Point
from yapbench.schema import Outcome, Phase
from yapbench.stats import Estimate, Floats, Resample, Weights
from yapbench.store import TrialData
from yapbench.streams.captions import ENOUGH_UTTERANCES
from yapbench.streams.times import Stream

SMALL: Final = 0.002
"""A rise of WER by less than 0.2 points harms nobody..."""
SMALL_SHARE: Final = 0.05
"""...nor one by less than this share of the WER at the lighter load."""


@dataclass(frozen=True)
class Errors:
    """Word errors of one utterance, mean over the times that it was sent and ended well."""

    errors: float
    words: int


@dataclass(frozen=True)
class Change:
    """Of one setting: WER at the heavier load less that at the lighter one, over the utterances sent at both."""

    light: Point
    heavy: Point
    before: float
    """WER at the lighter load, of these utterances."""
    difference: Estimate
    """A share, not in per cent; n counts different utterances. Missing where no utterance was sent at both."""

    @property
    def limit(self) -> float:
        """Up to here a rise counts as none."""
        return max(SMALL, SMALL_SHARE * self.before)

    def verdict(self, settings: int = 1) -> str:
        """ "rise", "none" or "undecided"; of several `settings` looked at, with intervals as wide as that asks for."""
        low, high = widened(self.difference, settings)
        if low is None or high is None or self.difference.n < ENOUGH_UTTERANCES:
            return "undecided"
        return "rise" if low > 0 else "none" if high < self.limit else "undecided"


def widened(found: Estimate, comparisons: int) -> tuple[float | None, float | None]:
    """The interval at 1 - 5 % / `comparisons` (Bonferroni), each side stretched as a normal's would be."""
    if found.value is None or found.low is None or found.high is None:
        return None, None
    tail = (1 - stats.CONFIDENCE) / 2
    stretch = float(special.ndtri(1 - tail / max(1, comparisons)) / special.ndtri(1 - tail))
    return found.value - stretch * (found.value - found.low), found.value + stretch * (found.high - found.value)


def changes(
    trials: Sequence[TrialData], points: Sequence[Point], *, replicates: int = stats.REPLICATES
) -> list[Change]:
    """One for each of the trials with two valid loads at which words are scored, in the order of `trials`.

    The heavier load is its heaviest; the lighter one the lightest that shares 30 utterances with it or, where none
    does, its lightest.
    """
    known = _Scores()
    found = []
    for trial in trials:
        mine = [p for p in points if p.trial_id == trial.info["trial_id"] and p.valid and p["wer"].value is not None]
        if len(mine) < 2:
            continue
        ordered = sorted(mine, key=lambda p: p.level)
        heavy, rows = ordered[-1], {p.level: _scorable(trial.utterances, p.level) for p in ordered}
        sent = {level: set(mine["utterance_id"]) for level, mine in rows.items()}
        enough = [p for p in ordered[:-1] if len(sent[p.level] & sent[heavy.level]) >= ENOUGH_UTTERANCES]
        light = enough[0] if enough else ordered[0]
        before, after = known.of(rows[light.level]), known.of(rows[heavy.level])
        found.append(_change(light, heavy, before, after, replicates))
    return found


def _scorable(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    """The counted streams of a level that ended well and have a reference."""
    mine = rows[(rows["level"] == level) & (rows["phase"] == Phase.STEADY) & (rows["outcome"] == Outcome.OK)]
    return mine[mine["reference"].notna()]


def _change(
    light: Point, heavy: Point, before: Mapping[str, Errors], after: Mapping[str, Errors], replicates: int
) -> Change:
    both = sorted(before.keys() & after.keys())
    words = np.array([before[name].words for name in both], dtype=np.float64)
    if not words.sum():
        return Change(light, heavy, 0.0, Estimate.missing("no utterance was sent, and ended well, at both loads"))
    rise = np.array([after[name].errors - before[name].errors for name in both], dtype=np.float64)
    drawn = Resample.draw(np.zeros(len(both)), np.arange(len(both)), replicates=replicates)

    def statistic(chosen: Floats, weights: Weights) -> Floats:
        rows = chosen.astype(np.int64)
        return np.asarray((weights @ rise[rows]) / (weights @ words[rows]), dtype=np.float64)

    difference = drawn.estimate(np.arange(len(both), dtype=np.float64), statistic)
    wrong = sum(before[name].errors for name in both)
    return Change(light, heavy, float(wrong / words.sum()), difference)


@dataclass
class _Scores:
    """Word errors by utterance; equal texts are scored once."""

    known: dict[tuple[str, str | None, str | None], tuple[int, int]] = field(default_factory=dict)

    def of(self, rows: pd.DataFrame) -> dict[str, Errors]:
        """Of those in which something is said."""
        sums: dict[str, list[tuple[int, int]]] = {}
        for row in rows.to_dict("records"):
            pair = self._score(Stream.of(row))
            if pair[1]:
                sums.setdefault(str(row["utterance_id"]), []).append(pair)
        return {name: Errors(sum(errors for errors, _ in each) / len(each), each[0][1]) for name, each in sums.items()}

    def _score(self, stream: Stream) -> tuple[int, int]:
        heard = stream.shown[-1].text if stream.shown else None
        key = (stream.reference or "", heard, stream.language)
        if key not in self.known:
            errors = wer.score(key[0], heard, language=stream.language).words.errors
            self.known[key] = errors.total, errors.reference
        return self.known[key]
