"""The rows of one setting at one load level on both sides, as rounds that belong together or do not.

A round is one repeat of one trial, known by its seed: equal seeds send equal utterances in the same order, so that
round and round of both sides can be compared. Knows rows and verdicts on them; knows no number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from yapbench import measures
from yapbench.compare.matching import Match, seed_of
from yapbench.compare.pair import Level
from yapbench.measures import Point
from yapbench.obtained import UNSCORED, model_name
from yapbench.validity import Verdict

Round = tuple[int, int]
"""(seed, repeat)"""

Points = Sequence[Mapping[float, Point]]
"""Of one side: for each trial its points by load level."""

_OPEN: Final = ("poisson",)


@dataclass(frozen=True)
class Leveled:
    """One load level of a match."""

    level: float
    rows: Level | None
    """None where every round of a side is invalid."""
    rounds: tuple[int, int]
    """How many each side has a part in it."""
    invalid: tuple[str, ...]
    """Rounds whose load was not what it was meant to be; they take no part."""
    disturbed: tuple[str, ...] = ()
    """Rounds on a machine that was not left alone; they take part."""
    unmatched: int = 0
    """Valid rounds of seeds that one side alone has, where others are paired; they take no part."""


def points(found: Match) -> tuple[Points, Points]:
    """Before and after; only verdicts and peaks are used, so that two replicates are plenty."""
    sides = [
        [{point.level: point for point in measures.points(trial, replicates=2)} for trial in trials]
        for trials in (found.before, found.after)
    ]
    return sides[0], sides[1]


def levels(found: Match, measured: tuple[Points, Points]) -> list[Leveled]:
    """The load levels that both sides ran, ascending."""
    before, after = (_levels(side) for side in measured)
    return [_level(found, level, measured) for level in sorted(before & after)]


def only_one_side(measured: tuple[Points, Points]) -> list[float]:
    """Load levels that one side alone ran."""
    before, after = (_levels(side) for side in measured)
    return sorted(before ^ after)


def _levels(side: Points) -> set[float]:
    return {level for by_level in side for level in by_level}


def _level(found: Match, level: float, measured: tuple[Points, Points]) -> Leveled:
    tables: list[dict[Round, pd.DataFrame]] = []
    invalid: list[str] = []
    disturbed: list[str] = []
    for name, trials, side in zip(("before", "after"), (found.before, found.after), measured, strict=True):
        table: dict[Round, pd.DataFrame] = {}
        for trial, by_level in zip(trials, side, strict=True):
            point = by_level.get(level)
            if point is None:
                continue
            if not point.valid:
                invalid.append(f"{name}: {'; '.join(point.validity.reasons)}")
                continue
            if point.validity.verdict is Verdict.DISTURBED:
                disturbed.append(f"{name}: {'; '.join(point.validity.reasons)}")
            rows = trial.utterances[trial.utterances["level"] == level]
            for repeat, group in rows.groupby("repeat", sort=True):
                table[seed_of(trial.info), int(str(repeat))] = group
        tables.append(table)
    before, after = tables
    if not before or not after:
        return Leveled(level, None, (len(before), len(after)), tuple(invalid))
    common = sorted(before.keys() & after.keys())
    paired = bool(common) and all(_same_utterances(before[key], after[key]) for key in common)
    keys = (common, common) if paired else (sorted(before), sorted(after))
    joined = Level(
        _joined(before, keys[0]),
        _joined(after, keys[1]),
        paired=paired,
        open_loop=found.kind in _OPEN,
        scored=not {model_name(trial.info) for trial in (*found.before, *found.after)} & UNSCORED,
    )
    left = len(before) + len(after) - len(keys[0]) - len(keys[1])
    return Leveled(level, joined, (len(keys[0]), len(keys[1])), tuple(invalid), tuple(disturbed), left)


def _same_utterances(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """What both sent at the same places is the same."""
    sent = [
        rows.drop_duplicates(["phase", "index"]).set_index(["phase", "index"])["utterance_id"] for rows in (one, other)
    ]
    common = sent[0].index.intersection(sent[1].index)
    return bool((sent[0].loc[common] == sent[1].loc[common]).all())


def _joined(table: Mapping[Round, pd.DataFrame], keys: Sequence[Round]) -> pd.DataFrame:
    return pd.concat([table[key].assign(round=number) for number, key in enumerate(keys)], ignore_index=True)
