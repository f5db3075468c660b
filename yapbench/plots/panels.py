"""Small charts of measures against the load, side by side or, on a phone, below each other.

For measures that may be 0 or negative, which a logarithmic chart cannot show. Knows points and measures by name; does
not know what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from yapbench import axes as names_of
from yapbench.figure import CARD, FAINT, GOOD, INK, MUTED, Figure, Sheet, draw, end_labels, nothing, write
from yapbench.measures import Point
from yapbench.plots.legend import height, write_legend
from yapbench.plots.lines import Line, grey, note, of, where
from yapbench.stats import Estimate

ALONE = "this setting"
"""What axes.label calls a setting when nothing varies."""

_NAME_INCHES = 0.2
"""Room for the name above a chart."""


@dataclass(frozen=True)
class Panel:
    """One chart: the first measure as a solid line with its band, a second one dashed."""

    title: str
    """Of the y axis; where there are several panels, above each."""
    measures: tuple[str, ...]
    words: tuple[str, ...]
    """What each measure is called in hover texts: "first seen, p50"."""
    unit: str = ""
    factor: float = 1.0
    digits: int = 1
    limit: float | None = None
    """What lies below is good, in the unit of the axis."""
    limit_words: str = ""

    def told(self, value: Estimate) -> str:
        """ "3.1 % (2.0–4.0)"."""
        number = f"{self.factor * (value.value or 0.0):.{self.digits}f}{f' {self.unit}' if self.unit else ''}"
        if value.low is None or value.high is None:
            return f"{number} (no interval)"
        return f"{number} ({self.factor * value.low:.{self.digits}f}–{self.factor * value.high:.{self.digits}f})"


def by_level(
    key: str,
    points: Sequence[Point],
    lines: Sequence[Line],
    panels: Sequence[Panel],
    *,
    title: str,
    manner: str,
    how: str,
    why: str,
) -> Figure:
    """All panels, the settings of `lines` in colour. `how`: how to read it; `why`: these lines are in colour.

    A figure without a chart where no point has the first panel's first measure.
    """
    first = panels[0].measures[0]
    if not any(p[first].value is not None for p in points):
        return nothing(key, title=title, reason=reason_of(points, first), manner=manner)
    named = [(line.name, line.colour) for line in lines if line.name != ALONE]
    legend = named if len(panels) > 1 else []

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        several = len(panels) > 1
        head = (height(legend, sheet.size) if legend else 0.06) + (_NAME_INCHES if several else 0)
        ends = 0.2 + 0.078 * max((len(name) for name, _ in named), default=0) if not legend and named else 0.1
        columns = len(panels) if sheet.wide else 1
        left, gap = (0.36, 0.4) if several else (0.5, 0.0)
        foot = 0.42 + (_NAME_INCHES if several and not sheet.wide else 0)
        across = (wide - left - min(ends, 0.45 * wide) - gap * (columns - 1)) / columns
        up = (tall - head - foot * (len(panels) // columns)) / (len(panels) // columns)
        for number, panel in enumerate(panels):
            column, row = (number, 0) if sheet.wide else (0, number)
            x, y = left + column * (across + gap), tall - head - (row + 1) * up - row * foot
            ax = sheet.canvas.add_axes((x / wide, y / tall, across / wide, up / tall))
            labels = _paint(sheet, ax, panel, points, lines)
            if several:
                write(ax, panel.title, (0, 1), by=(-14, 5), color=MUTED, fontsize=8.5)
            else:
                ax.set_ylabel(panel.title)
            if sheet.wide or not several:  # on a phone the table of all points holds the numbers of small charts
                _tips(sheet, ax, panel, points, lines)
            if not legend:
                end_labels(ax, labels)
        if legend:
            write_legend(sheet, legend)

    heights = {"wide": 3.1, "phone": 2.7 if len(panels) == 1 else 1.9 * len(panels) + _NAME_INCHES}
    said = "; ".join(filter(None, (_said(points, line, panel) for panel in panels for line in lines)))
    return draw(
        key,
        paint,
        title=title,
        label=f"{title}. {said}",
        note=f"{how} {note(points, lines, why=why)}".strip(),
        manner=manner,
        heights={size: tall + (height(legend, size) if legend else 0) for size, tall in heights.items()},
    )


def reason_of(points: Sequence[Point], measure: str) -> str:
    """The reason that most points give for having no value."""
    reasons = [p[measure].reason for p in points if p[measure].reason]
    most = max(sorted(set(reasons)), key=reasons.count) if reasons else "no stream ended well"
    return f"{most[:1].upper()}{most[1:]}."


def _paint(
    sheet: Sheet, ax: Axes, panel: Panel, points: Sequence[Point], lines: Sequence[Line]
) -> list[tuple[float, str, str]]:
    """Draw one panel; returns the names at the ends of its solid lines."""
    levels = _levels(points)
    _behind(ax, grey(points, lines), levels, panel)
    labels = []
    for line in lines:
        own = of(points, line.trial_id)
        for number, measure in enumerate(panel.measures):
            end = _line(ax, own, levels, panel, measure, line.colour, dashes=number > 0)
            if not number and end is not None and line.name != ALONE:
                labels.append((end, line.name, line.colour))
    values = [bound for p in points for m in panel.measures for bound in _reach(p[m]) if p.valid]
    top, bottom = max([*values, 0.0]) * panel.factor, min([*values, 0.0]) * panel.factor
    top = max(top, 1.15 * (panel.limit or 0.0)) or 1.0
    ax.set_ylim(1.08 * bottom, 1.08 * top)
    margin = 0.12 * max(1, len(levels) - 1)
    ax.set_xlim(-margin, max(levels.values()) + margin)
    ax.set_xticks(list(levels.values()), [names_of.plain(level) for level in levels])
    ax.set_xlabel(names_of.level_title(points[0].kind, streams=points[0].streams))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    if panel.limit is not None:
        ax.axhspan(min(0.0, 1.08 * bottom), panel.limit, color=GOOD, zorder=0, linewidth=0)
        ax.axhline(panel.limit, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        write(ax, panel.limit_words, (0, panel.limit), of=("axes fraction", "data"), by=(3, 3), color=MUTED, fontsize=8)
    return labels


def _behind(ax: Axes, settings: Sequence[Sequence[Point]], levels: Mapping[float, float], panel: Panel) -> None:
    """The first measure of settings that have no colour, in one stroke that is broken between them."""
    measure, x, y = panel.measures[0], [], []
    for points in settings:
        known = [p for p in points if p.valid and p[measure].value is not None]
        x += [*(levels[p.level] for p in known), math.nan]
        y += [*(panel.factor * (p[measure].value or 0.0) for p in known), math.nan]
    if x:
        marker = "o" if len(levels) == 1 else None
        ax.plot(x, y, color=FAINT, linewidth=1.2, marker=marker, markersize=3, zorder=1)


def _reach(value: Estimate) -> list[float]:
    return [bound for bound in (value.low, value.value, value.high) if bound is not None]


def _line(
    ax: Axes,
    points: Sequence[Point],
    levels: Mapping[float, float],
    panel: Panel,
    measure: str,
    colour: str,
    *,
    dashes: bool,
) -> float | None:
    """One measure of one setting; invalid points are grey crosses off the line. Returns the line's last value."""
    known = [p for p in points if p[measure].value is not None]
    for point in (p for p in known if not p.valid):
        ax.plot([levels[point.level]], [panel.factor * (point[measure].value or 0.0)], "x", color=MUTED, markersize=5)
    valid = [p for p in known if p.valid]
    if not valid:
        return None
    x, y = [levels[p.level] for p in valid], [panel.factor * (p[measure].value or 0.0) for p in valid]
    width, style = (1.5, (0, (3, 2))) if dashes else (2.2, "-")
    ax.plot(x, y, color=colour, linewidth=width, linestyle=style, marker="o", markersize=4.5, zorder=3, clip_on=False)
    few = [k for k, point in enumerate(valid) if point[measure].indicative]
    if few:
        hollow_x, hollow_y = [x[k] for k in few], [y[k] for k in few]
        ax.plot(hollow_x, hollow_y, "o", color=CARD, markeredgecolor=MUTED, markersize=4.5, zorder=4)
    bounds = [[panel.factor * bound for bound in (p[measure].low, p[measure].high) if bound is not None] for p in valid]
    if not dashes and len(valid) > 1 and all(len(pair) == 2 for pair in bounds):
        edge = [*(low for low, _ in bounds), *(high for _, high in reversed(bounds))]
        ax.fill([*x, *reversed(x)], edge, color=colour, alpha=0.13, linewidth=0, clip_on=False)
    elif not dashes:
        for across, pair in zip(x, bounds, strict=True):
            ax.plot([across] * len(pair), pair, color=colour, linewidth=1.6)
    return y[-1]


def _levels(points: Sequence[Point]) -> Mapping[float, float]:
    """Places of the load levels, evenly spaced."""
    return {level: float(k) for k, level in enumerate(sorted({p.level for p in points}))}


def _tips(sheet: Sheet, ax: Axes, panel: Panel, points: Sequence[Point], lines: Sequence[Line]) -> None:
    levels = _levels(points)
    for line in lines:
        for point in of(points, line.trial_id):
            for measure, words in zip(panel.measures, panel.words, strict=True):
                value = point[measure]
                if value.value is None:
                    continue
                tail = " INVALID" if not point.valid else " indicative only" if value.indicative else ""
                text = f"{line.setting}, {where(point)}: {words} {panel.told(value)}; n {value.n}{tail}"
                hover(sheet, ax, (levels[point.level], panel.factor * value.value), text)


def hover(sheet: Sheet, ax: Axes, at: tuple[float, float], text: str) -> None:
    """As `Sheet.tip_at` in a third of the bytes: the dot of a line, no marker. To be called when the limits are set."""
    left, right = ax.get_xlim()
    x, y = at
    unseen: dict[str, Any] = {"color": INK, "linewidth": 15, "alpha": 0.0, "zorder": 9, "clip_on": False}
    (dot,) = ax.plot([x, x + 1e-4 * (right - left)], [y, y], **unseen)
    sheet.tip(dot, text)


def _said(points: Sequence[Point], line: Line, panel: Panel) -> str:
    """The first measure of one setting in words."""
    first = panel.measures[0]
    parts = [f"{where(p)} {panel.told(p[first])}" for p in of(points, line.trial_id) if p[first].value is not None]
    return f"{line.name}, {panel.words[0]}: {', '.join(parts)}" if parts else ""
