"""Which settings of two sweeps are the same, which differ, and which points can be laid side by side.

A setting that varies in either sweep tells its trials apart and must be equal; one that has a single value on each side
may differ: that is what is looked at. Knows settings and points; knows no number's meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yapbench import axes
from yapbench.measures import Point
from yapbench.obtained import ENGINE

Key = tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """One setting that both sweeps have, with its points at the levels that both have."""

    name: str
    before: tuple[Point, ...]
    after: tuple[Point, ...]
    """Ascending by level, as `before`."""

    @property
    def levels(self) -> list[float]:
        """The levels of both."""
        return [point.level for point in self.before]


@dataclass(frozen=True)
class Difference:
    """A setting that has other values after than before; a side without it says so."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Matched:
    """What two sweeps have in common."""

    pairs: list[Pair]
    only_before: list[str]
    only_after: list[str]
    """Settings without a partner, in words."""
    ambiguous: list[str]
    """Settings of which one side has several trials, so that nobody can say which belongs to which."""
    differences: list[Difference]
    nothing_shared: list[Difference]
    """Of the differences those that leave no pair: settings that vary on a side, without one value in common."""


def matched(before: Sequence[Point], after: Sequence[Point]) -> Matched:
    """The pairs of the points of two sweeps, each point over all repeats."""
    one, other = _settings(before), _settings(after)
    shared = (_names(one) & _names(other)) - {ENGINE}
    apart = [name for name in sorted(shared) if len(_values(one, name)) > 1 or len(_values(other, name)) > 1]
    mine, theirs = _by_key(before, apart), _by_key(after, apart)
    different = _differences(one, other)
    both = [key for key in mine if key in theirs]
    clear = [key for key in both if len(mine[key]) == len(theirs[key]) == 1]
    words = {key: axes.label(trials[0][0].setting, apart) for key, trials in (mine | theirs).items()}
    return Matched(
        pairs=[_pair(words[key], mine[key][0], theirs[key][0]) for key in clear],
        only_before=[words[key] for key in mine if key not in theirs],
        only_after=[words[key] for key in theirs if key not in mine],
        ambiguous=[words[key] for key in both if key not in clear],
        differences=different,
        nothing_shared=[found for found in different if found.name in apart and not _common(one, other, found.name)],
    )


def _settings(points: Iterable[Point]) -> list[Mapping[str, Any]]:
    return list({point.trial_id: point.setting for point in points}.values())


def _names(settings: Iterable[Mapping[str, Any]]) -> set[str]:
    return {name for setting in settings for name in setting}


def _values(settings: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    """The distinct values in words, ascending."""
    return [axes.plain(value) for value in axes.values(settings, name)]


def _common(one: Iterable[Mapping[str, Any]], other: Iterable[Mapping[str, Any]], name: str) -> set[str]:
    return set(_values(one, name)) & set(_values(other, name))


def _by_key(points: Sequence[Point], apart: Sequence[str]) -> dict[Key, list[list[Point]]]:
    """By load profile and the values of `apart`: the points of each trial that has them, ascending by level."""
    found: dict[Key, dict[str, list[Point]]] = {}
    for point in sorted(points, key=lambda point: point.level):
        key = (point.kind, *(axes.plain(point.setting.get(name)) for name in apart))
        found.setdefault(key, {}).setdefault(point.trial_id, []).append(point)
    order = {point.trial_id: place for place, point in reversed(list(enumerate(points)))}
    ranked = sorted(found.items(), key=lambda item: min(order[trial] for trial in item[1]))
    return {key: list(trials.values()) for key, trials in ranked}


def _pair(name: str, before: Sequence[Point], after: Sequence[Point]) -> Pair:
    levels = {point.level for point in before} & {point.level for point in after}
    chosen = [tuple(point for point in side if point.level in levels) for side in (before, after)]
    return Pair(name, *chosen)


def _differences(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> list[Difference]:
    found = []
    for name in sorted((_names(one) | _names(other)) - {ENGINE}):
        sides = [", ".join(_values(side, name)) if name in _names(side) else "no such setting" for side in (one, other)]
        if sides[0] != sides[1]:
            found.append(Difference(name, *sides))
    return found
