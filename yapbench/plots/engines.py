"""What computes, compared: each model, dtype and compile state with its latency alone and its throughput under load.

Takes each engine in the setting that suits it best; knows no server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from yapbench import axes as names_of
from yapbench import captions
from yapbench.figure import MUTED, SERIES, Figure, Sheet, draw, nothing
from yapbench.measures import Point
from yapbench.obtained import ENGINE
from yapbench.words import interval, rate


@dataclass(frozen=True)
class _Panel:
    measure: str
    unit: str
    title: str
    best: Mapping[str, Point]
    """By engine."""


def engines_compared(points: Sequence[Point]) -> Figure:
    """p50 at the lightest load and answers per second at the heaviest, one row an engine, with intervals."""
    title = captions.engines(points)
    levels = sorted({p.level for p in points})
    kind = points[0].kind if points else "closed"
    light = _best(points, levels[0], "latency_p50_ms") if levels else {}
    heavy = _best(points, levels[-1], "rps") if levels else {}
    if not light or not heavy:
        return nothing("engines", title=title, reason="No engine was measured at a valid point.")
    panels = (
        _Panel("latency_p50_ms", "ms", f"p50, ms, {names_of.level_words(kind, levels[0])}", light),
        _Panel("rps", "requests/s", f"answers/s, {names_of.level_words(kind, levels[-1])}", heavy),
    )
    engines = sorted({*light, *heavy}, key=lambda name: -(heavy[name]["rps"].value or 0) if name in heavy else 0)

    def paint(sheet: Sheet) -> None:
        width, height = sheet.canvas.get_size_inches()
        left = min(0.42, (0.12 + 0.072 * max(len(name) for name in engines)) / width) if sheet.wide else 0.02
        gap = 0.05
        each = (1 - left - gap - 0.02) / 2
        for number, panel in enumerate(panels):
            box = (left + number * (each + gap), 0.1 / height, each, 1 - 0.42 / height)
            ax = sheet.canvas.add_axes(box)
            _paint_panel(sheet, ax, panel, engines, named=number == 0)

    said = "; ".join(f"{name}: {', '.join(_said(panel, name) for panel in panels)}" for name in engines)
    note = "Each engine in its own best setting of the rest; lines are 95 % intervals. Invalid points take no part."
    row = {"wide": 0.3, "phone": 0.42}
    heights = {size: 0.6 + row[size] * len(engines) for size in row}
    return draw("engines", paint, title=title, label=f"{title}. {said}", note=note, heights=heights)


def _best(points: Sequence[Point], level: float, measure: str) -> dict[str, Point]:
    """Each engine's best valid point at a level: the lowest latency, the highest rate."""
    found: dict[str, Point] = {}
    sign = -1 if measure == "rps" else 1
    at_level = [p for p in points if p.level == level and p.valid and p[measure].value]
    for point in sorted(at_level, key=lambda p: (sign * (p[measure].value or 0), p.trial_id)):
        found.setdefault(str(point.setting.get(ENGINE)), point)
    return found


def _said(panel: _Panel, engine: str) -> str:
    point = panel.best.get(engine)
    return f"{rate(point[panel.measure].value or 0)} {panel.unit}" if point else f"no valid point ({panel.title})"


def _paint_panel(sheet: Sheet, ax: Axes, panel: _Panel, engines: Sequence[str], *, named: bool) -> None:
    longest = max((p[panel.measure].value or 0) for p in panel.best.values())
    for row, name in enumerate(engines):
        if named and not sheet.wide:  # a phone has no room beside the bars
            ax.text(0, row - 0.34, name, fontsize=8, color=MUTED, va="bottom")
        if name not in panel.best:
            ax.text(0, row, " no valid point", va="center", fontsize=8, color=MUTED)
            continue
        value = panel.best[name][panel.measure]
        number = value.value or 0.0
        (bar,) = ax.barh(row, number, height=0.56, color=SERIES[row % len(SERIES)], linewidth=0)
        if value.low is not None and value.high is not None:
            ax.plot([value.low, value.high], [row, row], color=MUTED, linewidth=1.4, solid_capstyle="butt")
        setting = panel.best[name].setting
        words = names_of.label(setting, [n for n in ("batch_buckets", "window_ms", "sessions") if n in setting])
        sheet.tip(bar, f"{name}: {rate(number)} {panel.unit} ({interval(value) or 'no interval'}; {words})")
        ax.text(max(number, value.high or 0) + 0.02 * longest, row, rate(number), va="center", fontsize=8.5)
    ax.set(xlim=(0, longest * 1.24), ylim=(len(engines) - 0.45, -0.62))
    ax.set_yticks(range(len(engines)), list(engines) if named and sheet.wide else [""] * len(engines))
    ax.set_xticks([])
    ax.grid(False)
    ax.spines[["bottom", "left"]].set_visible(False)
    ax.set_title(panel.title, fontsize=8.5, color=MUTED, loc="left", pad=4)
