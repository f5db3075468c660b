"""Figures against the load: latency and throughput, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from yapbench import axes as names_of
from yapbench import captions
from yapbench.figure import CARD, FAINT, GOOD, MUTED, Figure, Sheet, draw, end_labels, nothing, write
from yapbench.measures import SLO_MS, Point
from yapbench.plots.lines import Line, grey, highlighted, note, of, said, short, where
from yapbench.words import interval, rate


def latency_by_level(points: Sequence[Point], *, slo_ms: float = SLO_MS) -> Figure:
    """p50 and p95 against the load, log scale, with the target and the band below it."""
    title = captions.latency(points, slo_ms)
    if not any(p["latency_p50_ms"].value for p in points):
        return nothing("latency", title=title, reason="No request was answered.")
    lines = highlighted(points)

    def paint(sheet: Sheet) -> None:
        ax, levels = _load_axes(sheet, points, lines, suffix=" p95")
        ax.set_yscale("log")
        labels = []
        for point in grey(points, lines):
            _line(ax, point, levels, "latency_p50_ms", FAINT)
        for line in lines:
            mine = of(points, line.trial_id)
            ends = _line(ax, mine, levels, "latency_p50_ms", line.colour, band=True)
            tail = _line(ax, mine, levels, "latency_p95_ms", line.colour, dashes=True)
            labels += [(ends, line.name, line.colour)] if ends else []
            labels += [(tail, f"{line.name} p95", line.colour)] if tail else []
            _tips(sheet, ax, mine, levels, line.setting, ("latency_p50_ms", "latency_p95_ms"), "ms")
        _readable_log(ax, slo_ms)
        ax.axhspan(ax.get_ylim()[0], slo_ms, color=GOOD, zorder=0, linewidth=0)
        ax.axhline(slo_ms, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        write(
            ax,
            f"target {names_of.plain(float(slo_ms))} ms",
            (0, slo_ms),
            of=("axes fraction", "data"),
            by=(4, 3),
            color=MUTED,
            fontsize=8,
        )
        ax.set_ylabel("latency, ms (log scale)")
        end_labels(ax, labels)

    legend = "Solid: p50 with its 95 % interval. Dashed: p95, hollow where n is too small to be more than indicative."
    label = f"{title}. " + said(points, lines, ("latency_p50_ms", "latency_p95_ms"), "ms")
    return draw("latency", paint, title=title, label=label, note=f"{legend} {note(points, lines)}".strip())


def throughput_by_level(points: Sequence[Point]) -> Figure:
    """Answers per second against the load, with intervals."""
    title = captions.throughput(points)
    if not any(p["rps"].value for p in points):
        return nothing("throughput", title=title, reason="No request was answered.")
    lines = highlighted(points)

    def paint(sheet: Sheet) -> None:
        ax, levels = _load_axes(sheet, points, lines)
        for point in grey(points, lines):
            _line(ax, point, levels, "rps", FAINT)
        labels = []
        for line in lines:
            mine = of(points, line.trial_id)
            end = _line(ax, mine, levels, "rps", line.colour, band=True)
            labels += [(end, line.name, line.colour)] if end else []
            _tips(sheet, ax, mine, levels, line.setting, ("rps",), "requests/s")
        ax.set_ylim(0, None)
        ax.set_ylabel("answers per second")
        end_labels(ax, labels)

    label = f"{title}. " + said(points, lines, ("rps",), "requests/s")
    return draw("throughput", paint, title=title, label=label, note=note(points, lines))


def _load_axes(
    sheet: Sheet, points: Sequence[Point], lines: Sequence[Line], *, suffix: str = ""
) -> tuple[Axes, Mapping[float, float]]:
    """Axes with the load levels evenly spaced, and room for the names at the lines' ends."""
    longest = max((len(line.name + suffix) for line in lines), default=0)
    inches = min(0.45 * sheet.canvas.get_figwidth(), 0.18 + longest * 0.078)
    left = 0.52 / sheet.canvas.get_figwidth()
    width = 1 - left - inches / sheet.canvas.get_figwidth()
    ax = sheet.canvas.add_axes((left, 0.15, width, 0.81))
    levels = {level: float(k) for k, level in enumerate(sorted({p.level for p in points}))}
    ax.set_xticks(list(levels.values()), [names_of.plain(level) for level in levels])
    margin = 0.12 * max(1, len(levels) - 1)
    ax.set_xlim(-margin, max(levels.values()) + margin)
    ax.set_xlabel(names_of.level_title(points[0].kind))
    return ax, levels


def _line(
    ax: Axes,
    points: Sequence[Point],
    levels: Mapping[float, float],
    measure: str,
    colour: str,
    *,
    band: bool = False,
    dashes: bool = False,
) -> float | None:
    """One measure of one setting. Invalid points are grey crosses off the line. Returns the line's last value."""
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
    return y[-1]


def _tips(
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


def _readable_log(ax: Axes, target: float) -> None:
    """Ticks at 1, 2 and 5 with plain numbers; the target is always in view, and the scale spans at least a factor 4."""
    low, high = ax.get_ylim()
    low, high = min(low, target / 1.5), max(high, target * 1.3)
    scale = 10.0 ** math.floor(math.log10(low))
    ax.set_ylim(max(tick * scale for tick in (0.5, 1, 2, 5) if tick * scale <= low), high)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 500 else (1,)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
