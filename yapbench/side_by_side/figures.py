"""Figures of two sweeps beside each other: a measure against the load, and all times of one point.

Knows points and exported rows; computes nothing but which share had ended by when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from yapbench import axes as names_of
from yapbench.figure import CARD, MUTED, SERIES, Figure, Sheet, draw, nothing
from yapbench.measures import Point
from yapbench.plots.legend import height, write_legend
from yapbench.plots.strokes import readable_log
from yapbench.side_by_side.pairs import Pair
from yapbench.side_by_side.ratios import cells, interval, number, said
from yapbench.words import at, capital

MOST_PAIRS: Final = len(SERIES)
_WIDE_RANGE: Final = 20.0
"""From such a ratio of the largest to the smallest value on, a scale is logarithmic."""
_MOST_STEPS: Final = 220
_APART: Final = 0.012
"""How far the two sides stand off their level, of the axis' length, so that intervals do not cover each other."""


def by_load(pairs: Sequence[Pair], metric: str, *, unit: str) -> Figure:
    """One metric against the load: each pair a colour, before dashed and hollow, after solid."""
    key, shown = f"beside-{metric}", pairs[:MOST_PAIRS]
    title = said(cells(pairs, metric))
    points = [point for pair in shown for point in (*pair.before, *pair.after)]
    known = [p[metric].value for p in points if p[metric].value is not None]
    if not known:
        return nothing(key, title=title, reason="Neither side has a value.")
    low, high = min(v for v in known if v is not None), max(v for v in known if v is not None)
    logarithmic = low > 0 and high / low > _WIDE_RANGE
    levels = {level: float(place) for place, level in enumerate(sorted({p.level for p in points}))}
    legend = [("before", SERIES[1]), ("after", SERIES[0])]
    if len(shown) > 1:
        legend = [(pair.name, SERIES[place]) for place, pair in enumerate(shown)]

    def paint(sheet: Sheet) -> None:
        ax = _axes(sheet, legend)
        ax.set_yscale("log" if logarithmic else "linear")
        for place, pair in enumerate(shown):
            after = SERIES[place]
            before = after if len(shown) > 1 else SERIES[1]
            _stroke(sheet, ax, pair.before, levels, metric, before, side="before", unit=unit)
            _stroke(sheet, ax, pair.after, levels, metric, after, side="after", unit=unit)
        if logarithmic:
            readable_log(ax, None)
        elif low >= 0:
            ax.set_ylim(0, None)
        ax.set_xticks(list(levels.values()), [names_of.plain(level) for level in levels])
        margin = 0.12 * max(1, len(levels) - 1)
        ax.set_xlim(-margin, max(levels.values()) + margin)
        ax.set_xlabel(names_of.level_title(points[0].kind, streams=points[0].streams))
        ax.set_ylabel(f"{metric}{'' if unit == '1' else f', {unit}'}{' (log scale)' if logarithmic else ''}")
        write_legend(sheet, legend)

    left = f" Left out for room: {len(pairs) - len(shown)} more settings." if len(pairs) > len(shown) else ""
    note = f"Dashed and hollow: before. Solid: after. Bars: 95 % intervals.{left}"
    note += " Grey crosses: invalid." if any(not p.valid for p in points) else ""
    note += " Grey rims: only indicative." if any(p.valid and p[metric].indicative for p in points) else ""
    heights = {size: 2.95 + height(legend, size) for size in ("wide", "phone")}
    return draw(key, paint, title=title, label=f"{title}. {_in_words(shown, metric)}", note=note, heights=heights)


def ecdf(sides: Mapping[str, tuple[Point, pd.DataFrame]], column: str, *, where: str, meaning: str) -> Figure:
    """Which share of the utterances of a point had ended by when, before and after.

    `sides`: by "before" and "after" the point and its counted rows of `by_utterance`. A failed one never ended.
    """
    key = f"beside-ecdf-{column}"
    values = {side: np.sort(rows[column].dropna().to_numpy(dtype=np.float64)) for side, (_, rows) in sides.items()}
    counts = {side: len(rows) for side, (_, rows) in sides.items()}
    title = f"{_half(values, counts, column)} · {where}"
    if not any(found.size for found in values.values()):
        return nothing(key, title=title, reason="No utterance of either side has this time.")
    colours = {"before": SERIES[1], "after": SERIES[0]}
    invalid = [side for side, (point, _) in sides.items() if not point.valid]
    colours |= dict.fromkeys(invalid, MUTED)
    legend = [(f"{side} ({'invalid, ' if side in invalid else ''}n {counts[side]})", colours[side]) for side in sides]

    def paint(sheet: Sheet) -> None:
        ax = _axes(sheet, legend)
        far = max(float(np.quantile(found, 0.995)) for found in values.values() if found.size) * 1.08
        near = min([0.0, *(float(found[0]) for found in values.values() if found.size)])
        for side, found in values.items():
            x, y = _steps(found, counts[side])
            style = (0, (4, 2)) if side == "before" else "-"
            ax.plot([*x, far], [*y, *y[-1:]], color=colours[side], linestyle=style, drawstyle="steps-post")
        ax.set(xlim=(near, far), ylim=(0, 103))
        ax.set_yticks([0, 25, 50, 75, 95], ["0", "25", "50", "75", "95 %"])
        ax.set_xlabel(column.removesuffix("_ms").replace("_", " ") + (", ms" if column.endswith("_ms") else ""))
        write_legend(sheet, legend)

    note = f"{capital(meaning)}. Dashed: before. A failed utterance has no time: its line ends below 100 %."
    heights = {size: 2.95 + height(legend, size) for size in ("wide", "phone")}
    return draw(key, paint, title=title, label=title, note=note, heights=heights)


def _axes(sheet: Sheet, legend: Sequence[tuple[str, str]]) -> Axes:
    wide, tall = sheet.canvas.get_size_inches()
    head = height(legend, sheet.size) + 0.08
    return sheet.canvas.add_axes((0.62 / wide, 0.44 / tall, 1 - 0.78 / wide, 1 - (0.44 + head) / tall))


def _stroke(
    sheet: Sheet,
    ax: Axes,
    points: Sequence[Point],
    levels: Mapping[float, float],
    metric: str,
    colour: str,
    *,
    side: str,
    unit: str,
) -> None:
    """One side of a pair: a line through its valid points, with whiskers and hover texts."""
    is_before = side == "before"
    style: dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 1.5} if is_before else {"linewidth": 2.0}
    known = [point for point in points if point[metric].value is not None]
    off = _APART * max(1, len(levels) - 1) * (-1 if is_before else 1)
    across = {point.level: levels[point.level] + off for point in known}
    valid = [point for point in known if point.valid]
    ax.plot([across[p.level] for p in valid], [p[metric].value or 0.0 for p in valid], color=colour, **style)
    for point in known:
        x, found = across[point.level], point[metric]
        y = found.value or 0.0
        rim = MUTED if found.indicative or not point.valid else colour
        if not point.valid:
            ax.plot([x], [y], "x", color=MUTED, markersize=5)
        else:
            face = CARD if is_before or found.indicative else colour
            ax.plot([x], [y], "o", color=face, markeredgecolor=rim, markersize=4.5, zorder=4)
        if point.valid and found.low is not None and found.high is not None:
            ax.plot([x, x], [found.low, found.high], color=rim, linewidth=1.1, alpha=0.8, zorder=2)
        tail = " INVALID" if not point.valid else " indicative only" if found.indicative else ""
        bounds = f"{interval(found) or 'no interval'}; n {found.n}"
        spoken = f"{number(y)}{'' if unit == '1' else f' {unit}'}"
        sheet.tip_at(ax, x, y, f"{side}, {at([point], point.level)}: {metric} {spoken} ({bounds}){tail}")


def _in_words(pairs: Sequence[Pair], metric: str) -> str:
    parts = []
    for cell in cells(pairs, metric):
        one, other = (number(value.value) if value.value is not None else "not known" for value in cell.values)
        parts.append(f"{cell.pair.name}, {at([cell.before], cell.before.level)}: {one} before, {other} after")
    return "; ".join(parts)


def _steps(ascending: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(value, share in % of `n`), thinned out evenly in rank; empty for no value."""
    if not ascending.size:
        return ascending, ascending
    rank = np.unique(np.linspace(0, ascending.size - 1, min(_MOST_STEPS, ascending.size)).round().astype(int))
    shares = 100.0 * (rank + 1) / n
    return np.concatenate([ascending[:1], ascending[rank]]), np.concatenate([[0.0], shares])


def _half(values: Mapping[str, NDArray[np.float64]], counts: Mapping[str, int], column: str) -> str:
    """When half of the utterances had ended, failed ones included."""
    parts = []
    for side, found in values.items():
        place = int(np.ceil(0.5 * counts[side])) - 1
        reached = 0 <= place < found.size
        unit = " ms" if column.endswith("_ms") else ""
        parts.append(f"{number(float(found[place]))}{unit} {side}" if reached else f"never {side}")
    return f"{column}: half within {' and '.join(parts)}"
