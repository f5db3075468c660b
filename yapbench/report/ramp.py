"""Concurrency ramps as the page shows them: a table for each setting that was tried under three loads or more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from yapbench import axes, devices
from yapbench.measures import Point
from yapbench.plots.lines import highlighted, where
from yapbench.report.gather import Gathered
from yapbench.report.rows import Cell, cell
from yapbench.stats import Estimate
from yapbench.streams import captions, ramp
from yapbench.streams.ramp import Column
from yapbench.words import interval

MOST: Final = 4
"""Tables of one manner: of more settings those that the figures draw in colour."""


@dataclass(frozen=True)
class RampCell(Cell):
    """A number with its interval beside it, not only in the hint."""

    range: str = ""


@dataclass(frozen=True)
class Row:
    """One load."""

    words: str
    valid: bool
    n: int
    cells: list[RampCell]
    failed: int
    failures: str


@dataclass(frozen=True)
class Ramp:
    """One setting."""

    name: str
    """Empty where nothing varies."""
    load: str
    columns: list[Column]
    rows: list[Row]


def ramps(gathered: Gathered) -> list[Ramp]:
    """In the order of the page's figures."""
    return [_of(gathered, mine) for group in _chosen(gathered) for mine in group]


def left_out(gathered: Gathered) -> int:
    """Settings with a ramp that have no table."""
    return len(_all(gathered.points)) - sum(map(len, _chosen(gathered)))


def _all(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Every ramp's points, lightest load first, by trial."""
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda p: p.level):
        found.setdefault(point.trial_id, []).append(point)
    return {trial: mine for trial, mine in found.items() if ramp.is_ramp(mine)}


def _chosen(gathered: Gathered) -> list[list[list[Point]]]:
    """The ramps that are shown, manner by manner."""
    groups = []
    for manner, points in captions.manners(gathered.points).items():
        every = _all(points)
        if len(every) > MOST:
            lines = highlighted(points, by=f"{captions.felt(points)}_p50_ms" if manner.pace else "rtfx")
            every = {line.trial_id: every[line.trial_id] for line in lines if line.trial_id in every}
        groups.append(list(every.values()))
    return groups


def _of(gathered: Gathered, points: list[Point]) -> Ramp:
    trial = next(one for one in gathered.done if one.info["trial_id"] == points[0].trial_id)
    found = devices.during(trial, [point.level for point in points])
    columns = ramp.columns(points, found)
    rows = [
        Row(
            words=where(point),
            valid=point.valid,
            n=point.n,
            cells=[_cell(one.value(point, gpus), one) for one in columns],
            failed=sum(point.failures.values()),
            failures=", ".join(f"{count} {name.replace('_', ' ')}" for name, count in point.failures.items()),
        )
        for point, gpus in zip(points, found, strict=True)
    ]
    name = axes.label(points[0].setting, gathered.axes) if gathered.axes else ""
    return Ramp(name, axes.level_title(points[0].kind, streams=True), columns, rows)


def _cell(value: Estimate, column: Column) -> RampCell:
    shown = cell(value, factor=column.factor, digits=column.digits)
    bounds = interval(value.scaled(column.factor)) if value.value is not None else ""
    return RampCell(shown.text, shown.sort, shown.hint, shown.faint, bounds)
