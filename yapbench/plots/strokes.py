"""What figures against the load are made of: axes with the levels, a line with its intervals, hover texts.

Knows points and measures by name; does not know what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from yapbench import axes as names_of
from yapbench.figure import CARD, FAINT, MUTED, Sheet
from yapbench.measures import Point
from yapbench.plots.lines import Line, short, where
from yapbench.words import interval, rate


def load_axes(
    sheet: Sheet, points: Sequence[Point], lines: Sequence[Line] = (), *, suffix: str = ""
) -> tuple[Axes, Mapping[float, float]]:
    """Axes with the load levels evenly spaced, and room for the names at the lines' ends."""
    longest = max((len(line.name + suffix) for line in lines), default=len(suffix))
    inches = min(0.45 * sheet.canvas.get_figwidth(), 0.18 + longest * 0.078)
    left = 0.52 / sheet.canvas.get_figwidth()
    width = 1 - left - inches / sheet.canvas.get_figwidth()
    ax = sheet.canvas.add_axes((left, 0.15, width, 0.81))
    levels = {level: float(k) for k, level in enumerate(sorted({p.level for p in points}))}
    ax.set_xticks(list(levels.values()), [names_of.plain(level) for level in levels])
    margin = 0.12 * max(1, len(levels) - 1)
    ax.set_xlim(-margin, max(levels.values()) + margin)
    ax.set_xlabel(names_of.level_title(points[0].kind, streams=points[0].streams))
    return ax, levels


def line(
    ax: Axes,
    points: Sequence[Point],
    levels: Mapping[float, float],
    measure: str,
    colour: str,
    *,
    band: bool = False,
    whiskers: bool = False,
    dashes: bool = False,
) -> float | None:
    """One measure of one setting. Invalid points are grey crosses off the line. Returns the line's last value.

    Intervals are a `band`, or `whiskers`.
    """
    valid = [p for p in points if p.valid and p[measure].value]
    for point in points:
        if not point.valid and point[measure].value:
            ax.plot([levels[point.level]], [float(point[measure].value or 0)], "x", color=MUTED, markersize=5)
    if not valid:
        return None
    x, y = [levels[p.level] for p in valid], [float(p[measure].value or 0) for p in valid]
    thin = colour == FAINT
    width = 1.2 if thin else 1.5 if dashes else 2.2
    ax.plot(x, y, color=colour, linewidth=width, linestyle=(0, (3, 2)) if dashes else "-", zorder=1 if thin else 3)
    for point, across, up in zip(() if thin else valid, x, y, strict=False):
        face, edge = (CARD, MUTED) if point[measure].indicative else (colour, colour)
        ax.plot([across], [up], "o", color=face, markeredgecolor=edge, markersize=4.5, zorder=4)
    if band and all(p[measure].known for p in valid):
        low = [float(p[measure].low or 0) for p in valid]
        high = [float(p[measure].high or 0) for p in valid]
        ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)
        if len(valid) == 1:
            ax.vlines(x, low, high, color=colour, linewidth=2)
    for point, across in zip(valid if whiskers else (), x, strict=False):
        if point[measure].known:
            ends = [float(point[measure].low or 0), float(point[measure].high or 0)]
            faded = MUTED if point[measure].indicative else colour
            ax.plot([across] * 2, ends, color=faded, linewidth=1.1, alpha=0.8, zorder=2)
    return y[-1]


def tips(
    sheet: Sheet,
    ax: Axes,
    points: Sequence[Point],
    levels: Mapping[float, float],
    setting: str,
    measures: Sequence[str],
    unit: str,
) -> None:
    for point in points:
        for measure in measures:
            value = point[measure]
            if value.value:
                head = f"{setting}, {where(point)}: {short(measure)}"
                tail = " INVALID" if not point.valid else " indicative only" if value.indicative else ""
                text = f"{head} {rate(value.value)} {unit} ({interval(value) or 'no interval'}; n {value.n}){tail}"
                sheet.tip_at(ax, levels[point.level], value.value, text)


def readable_log(ax: Axes, target: float | None) -> None:
    """Ticks at 1, 2 and 5 with plain numbers; a target is always in view, and the scale spans at least a factor 4."""
    low, high = ax.get_ylim()
    middle = target or math.sqrt(low * high)
    low, high = min(low, middle / 1.5), max(high, middle * 1.3)
    scale = 10.0 ** math.floor(math.log10(low))
    ax.set_ylim(max(tick * scale for tick in (0.5, 1, 2, 5) if tick * scale <= low), high)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 500 else (1,)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
