"""Which settings a figure draws in colour, what they are called, and what a figure says in words.

The same setting has the same colour in every figure of a sweep. Knows points; draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from yapbench import axes as names_of
from yapbench import effects
from yapbench.figure import SERIES
from yapbench.measures import Point
from yapbench.words import rate

MOST_LINES = 4
"""So many settings are drawn in colour; the others are grey lines behind them."""


@dataclass(frozen=True)
class Line:
    """A setting drawn in colour, and what it is called at its line's end."""

    trial_id: str
    name: str
    colour: str
    setting: str


def highlighted(points: Sequence[Point], *, by: str = "rps") -> list[Line]:
    """All settings if they are few, else the best under the heaviest load for each value of the strongest axis.

    `by`: the measure that tells which is best; of one in ms the lowest, of others the highest.
    """
    best = {p.trial_id: p for p in sorted(points, key=lambda p: (p.level, p.valid))}
    names = names_of.varying([p.setting for p in points])
    if len(best) <= MOST_LINES:
        chosen = sorted(best.values(), key=lambda p: (names_of.label(p.setting, names), p.trial_id))
        return [
            Line(p.trial_id, names_of.label(p.setting, names), SERIES[k], names_of.label(p.setting, names))
            for k, p in enumerate(chosen)
        ]
    axis = _strongest_axis(points, names, by)
    lines = []
    for k, value in enumerate(names_of.values((p.setting for p in points), axis)[:MOST_LINES]):
        same = [p for p in best.values() if names_of.plain(p.setting.get(axis)) == names_of.plain(value)]
        first = max(same, key=lambda p: (p.valid, _worth(p, by), p.trial_id))
        label = names_of.label(first.setting, names)
        lines.append(Line(first.trial_id, names_of.words(axis, value), SERIES[k], label))
    return lines


def _worth(point: Point, by: str) -> float:
    value = point[by].value
    if by.endswith("_ms"):
        return -math.inf if value is None else -value
    return value or 0.0


def _strongest_axis(points: Sequence[Point], names: Sequence[str], by: str) -> str:
    level = max(p.level for p in points)

    def strength(axis: str) -> tuple[float, float]:
        found = effects.of_axis(points, axis, level, by)
        return (found.strength, abs(math.log(found.ratio.value or 1))) if found else (-1.0, 0.0)

    return max(names, key=strength, default="")


def of(points: Sequence[Point], trial_id: str) -> list[Point]:
    return sorted((p for p in points if p.trial_id == trial_id), key=lambda p: p.level)


def grey(points: Sequence[Point], lines: Sequence[Line]) -> list[list[Point]]:
    shown = {line.trial_id for line in lines}
    return [of(points, trial) for trial in sorted({p.trial_id for p in points} - shown)]


def short(name: str) -> str:
    percentile = name.removesuffix("_ms").rpartition("_")[2]
    return {"rps": "throughput", "rtfx": "RTFx"}.get(name, percentile)


def where(point: Point) -> str:
    return names_of.level_words(point.kind, point.level, streams=point.streams)


def note(points: Sequence[Point], lines: Sequence[Line], *, why: str = "the settings that serve most") -> str:
    """Which settings are in colour, and `why`, where their names do not say it."""
    grey = len({p.trial_id for p in points}) - len(lines)
    if grey <= 0:
        return ""
    which = "; ".join(line.setting for line in lines)
    return f"In colour, {why}: {which}. Grey: the other {grey}."


def said(points: Sequence[Point], lines: Sequence[Line], measures: Sequence[str], unit: str) -> str:
    """The highlighted values in words."""
    parts = []
    for line in lines:
        for point in of(points, line.trial_id):
            found = [f"{short(m)} {rate(point[m].value or 0)}" for m in measures if point[m].value is not None]
            parts.append(f"{line.name}, {where(point)}: {', '.join(found)} {unit}" if found else "")
    return "; ".join(part for part in parts if part)
