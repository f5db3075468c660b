"""The figure of the front: time to the final against WER and against cost, each setting at its best load.

Settings that no other one beats are numbered; knows marks and computes no number of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from yapbench import axes as names_of
from yapbench.figure import CARD, FAINT, INK, MUTED, Figure, Sheet, draw, nothing, write
from yapbench.measures import SLO_MS, Point
from yapbench.plots.legend import height, write_legend
from yapbench.plots.panels import hover
from yapbench.stats import Estimate
from yapbench.streams import captions, pareto
from yapbench.streams.pareto import Front, Mark, Standing
from yapbench.words import at, number

MOST_NAMED: Final = 8
"""Settings of the front that get a name above the chart; the others keep their number and their hover text."""

MOST_TOLD: Final = 10
"""Marks with intervals and a hover text, those of the front first; the table of all points has the numbers of all."""

_LOOKS: Final = {
    Standing.FRONT: (INK, INK, 11),
    Standing.OPEN: (MUTED, CARD, 6),
    Standing.BEATEN: (FAINT, FAINT, 6),
}
"""(colour, face, size in points)."""

Value = Callable[[Mark], Estimate]


def pareto_front(
    points: Sequence[Point], *, slo_ms: float = SLO_MS, currency: str = "", warning: str = ""
) -> Figure | None:
    """EOS x WER x cost of the points of one manner, a mark for each setting at the heaviest load within the SLO.

    None where fewer than two settings were measured. `currency`: of their price; `warning` ends the note.
    """
    found = pareto.front(points, slo_ms, currency=currency)
    if found is None:
        return None
    manner = captions.manner_of(points[0])
    key, title = f"pareto-{manner.key}", f"{pareto.caption(found)} · {manner.words}"
    if not found.marks:
        return nothing(key, title=title, reason=f"{'; '.join(found.left_out)}.", manner=manner.words)
    numbers = {id(mark): k for k, mark in enumerate(found.of(Standing.FRONT), 1)}
    legend = [(f"{numbers[id(mark)]}  {mark.name}", INK) for mark in found.of(Standing.FRONT)[:MOST_NAMED]]
    panels: list[tuple[str, Value]] = [("WER, %", lambda mark: mark.wer)] if found.scored else []
    panels.append((found.cost.axis, lambda mark: mark.cost))

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        head, left, foot, gap = height(legend, sheet.size), 0.52, 0.42, 0.62
        columns = len(panels) if sheet.wide else 1
        rows = len(panels) // columns
        across = (wide - left - 0.1 - gap * (columns - 1)) / columns
        up = (tall - head - foot * rows) / rows
        for place, (name, value) in enumerate(panels):
            column, row = (place, 0) if sheet.wide else (0, place)
            x, y = left + column * (across + gap), tall - head - (row + 1) * up - row * foot
            ax = sheet.canvas.add_axes((x / wide, y / tall, across / wide, up / tall))
            _paint(sheet, ax, found, value, numbers)
            ax.set_xlabel(f"{_time(found)}, ms")
            ax.set_ylabel(name)
        write_legend(sheet, legend)

    heights = {"wide": 3.0, "phone": 2.3 * len(panels)}
    return draw(
        key,
        paint,
        title=title,
        label=f"{title}. {'; '.join(_words(mark, found) for mark in found.marks[:MOST_TOLD])}",
        note=f"{_note(found)} {warning}".strip(),
        manner=manner.words,
        heights={size: tall + height(legend, size) for size, tall in heights.items()},
    )


def _time(found: Front) -> str:
    time, _, percentile = found.measure.removesuffix("_ms").rpartition("_")
    return f"{'end of speech' if time == 'eos' else 'end message due'} to final, {percentile}"


def _note(found: Front) -> str:
    loads = sorted({mark.point.level for mark in found.marks})
    first = at([found.marks[0].point], loads[0])
    best = first if len(loads) == 1 else f"{first} to {at([found.marks[0].point], loads[-1])}"
    text = f"Each setting at the heaviest load within the SLO ({best}); down and left is better. Lines: 95 % intervals."
    near = len(found.of(Standing.OPEN))
    if near:
        text += f" Rings: {number(near)} more, behind by no difference that is shown."
    if found.of(Standing.BEATEN):
        text += " Grey: another setting is nowhere worse and shown to be better."
    if len(found.marks) > MOST_TOLD:
        text += f" Intervals of the first {MOST_TOLD}."
    if not found.scored:
        text += " No words are scored."
    if len(found.of(Standing.FRONT)) > MOST_NAMED:
        text += f" Named above: the first {MOST_NAMED} of the front."
    if found.left_out:
        shown = "; ".join(found.left_out[:3])
        more = len(found.left_out) - 3
        text += f" Left out: {shown}{f' and {more} more' if more > 0 else ''}."
    return text


def _paint(sheet: Sheet, ax: Axes, found: Front, value: Value, numbers: dict[int, int]) -> None:
    values = [bound for mark in found.marks for bound in _reach(value(mark))]
    times = [bound for mark in found.marks for bound in _reach(mark.eos)]
    ax.set_xlim(*_span(times))
    ax.set_ylim(*_span(values))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    for standing, (colour, face, size) in _LOOKS.items():
        mine = found.of(standing)
        x, y = [mark.eos.value or 0.0 for mark in mine], [value(mark).value or 0.0 for mark in mine]
        _intervals(ax, [mark for mark in found.marks[:MOST_TOLD] if mark in mine], value, colour)
        order = 4 + len(_LOOKS) - list(_LOOKS).index(standing)
        named = [k for k, mark in enumerate(mine) if numbers.get(id(mark), MOST_NAMED + 1) <= MOST_NAMED]
        other = [k for k in range(len(mine)) if k not in named]
        for chosen, points in ((other, 6), (named, size)):
            at_x, at_y = [x[k] for k in chosen], [y[k] for k in chosen]
            ax.plot(at_x, at_y, "o", color=face, markeredgecolor=colour, markersize=points, zorder=order)
        for k in named:
            style = {"ha": "center", "va": "center", "color": CARD, "fontweight": "bold", "zorder": order + 1}
            text = names_of.plain(numbers[id(mine[k])])
            write(ax, text, (x[k], y[k]), of=("data", "data"), by=(0, 0), fontsize=7.5, **style)
    for mark in found.marks[:MOST_TOLD]:
        hover(sheet, ax, (mark.eos.value or 0.0, value(mark).value or 0.0), _words(mark, found))


def _intervals(ax: Axes, marks: Sequence[Mark], value: Value, colour: str) -> None:
    """All intervals of both axes in one stroke, broken between them."""
    x: list[float] = []
    y: list[float] = []
    for mark in marks:
        across, up = mark.eos, value(mark)
        if across.low is not None and across.high is not None:
            x += [across.low, across.high, math.nan]
            y += [up.value or 0.0] * 2 + [math.nan]
        if up.low is not None and up.high is not None:
            x += [across.value or 0.0] * 2 + [math.nan]
            y += [up.low, up.high, math.nan]
    ax.plot(x, y, color=colour, linewidth=1.1, alpha=0.6, zorder=2)


def _reach(value: Estimate) -> list[float]:
    return [bound for bound in (value.low, value.value, value.high) if bound is not None]


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis around all values; from 0 where that costs little room, since differences are what counts."""
    low, high = min(values), max(values)
    room = max(high - low, 0.2 * abs(high), 1e-9)
    start = low - 0.16 * room
    return (0.0 if 0 <= low < 0.5 * high or start < 0 <= low else start), high + 0.16 * room


def _words(mark: Mark, found: Front) -> str:
    return f"{mark.words}, {found.cost.words(mark)} ({mark.standing})"
