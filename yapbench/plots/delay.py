"""The figure of a model's delay: when first words and finals come against it, a line for each load.

Knows curves; computes no number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from yapbench import axes as names_of
from yapbench.figure import CARD, MUTED, SERIES, Figure, Sheet, draw, write
from yapbench.measures import SLO_MS, Point
from yapbench.plots.legend import height, write_legend
from yapbench.plots.panels import hover
from yapbench.stats import Estimate
from yapbench.streams import captions, delay, look_ahead
from yapbench.streams.delay import Curve
from yapbench.words import interval, ms

_NAME_INCHES = 0.2
"""Room for the name above a chart."""


@dataclass(frozen=True)
class _Panel:
    title: str
    time: str
    """`eos`, `eos_due` or `ttfp`."""

    @property
    def measures(self) -> tuple[str, str]:
        return f"{self.time}_p50_ms", f"{self.time}_p95_ms"


def times_by_delay(points: Sequence[Point], *, eos: str = "commit", slo_ms: float = SLO_MS) -> Figure | None:
    """Onset to first words, and end of speech to final, p50 and p95 against the delay; both panels begin at 0.

    Takes the points of the policy `eos` and of live audio. None where no delay varies.
    """
    mine = [p for p in points if captions.manner_of(p).eos == eos and captions.manner_of(p).pace == 1]
    every = delay.curves(mine)
    trades = look_ahead.trades(mine)
    if not every or not trades:
        return None
    found, manner, since = every[: len(SERIES)], captions.manner_of(mine[0]), captions.felt(mine)
    final = {"eos": "end of speech to final, ms", "eos_due": "end message due to final, ms"}[since]
    panels = [_Panel(final, since)]
    if any(p["ttfp_p50_ms"].value is not None for curve in found for p in curve.points):
        panels.insert(0, _Panel("onset of speech to first words, ms", "ttfp"))
    legend = [(curve.name, SERIES[k]) for k, curve in enumerate(found)]
    title = f"{look_ahead.caption(trades)} · {manner.words}"

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        head = height(legend, sheet.size) + _NAME_INCHES
        beside = len(panels) if sheet.wide else 1
        below = len(panels) // beside
        left, gap, foot = 0.46, 0.5, 0.42 if sheet.wide else 0.42 + _NAME_INCHES
        across = (wide - left - 0.12 - gap * (beside - 1)) / beside
        up = (tall - head - foot * below) / below
        for number, panel in enumerate(panels):
            column, row = (number, 0) if sheet.wide else (0, number)
            x, y = left + column * (across + gap), tall - head - (row + 1) * up - row * foot
            ax = sheet.canvas.add_axes((x / wide, y / tall, across / wide, up / tall))
            _paint(sheet, ax, panel, found, slo_ms if panel.time == since else None)
            write(ax, panel.title, (0, 1), by=(-14, 5), color=MUTED, fontsize=8.5)
            ax.set_xlabel("delay, ms")
        write_legend(sheet, legend)

    heights = {"wide": 3.1, "phone": 2.3 * len(panels) + _NAME_INCHES}
    said = "; ".join(f"{curve.name}: {_said(curve, panels)}" for curve in found)
    return draw(
        f"delay-{manner.key}",
        paint,
        title=title,
        label=f"{title}. {said}",
        note=_note(found, len(every) - len(found)),
        manner=manner.words,
        heights={size: tall + height(legend, size) for size, tall in heights.items()},
    )


def _note(found: Sequence[Curve], left_out: int) -> str:
    commit = captions.manner_of(found[0].points[0]).eos == "commit"
    ends = " At the end the model makes the steps of the delay at once, at its own speed." if commit else ""
    more = f" Left out for room: {left_out} more." if left_out else ""
    return (
        "Solid: p50 with its 95 % interval. Rings: p95, grey where n is too small for it. Dotted: the delay itself, "
        f"before which no word can be seen.{ends} Each delay in the setting of the rest that answers soonest.{more}"
    )


def _paint(sheet: Sheet, ax: Axes, panel: _Panel, found: Sequence[Curve], target_ms: float | None) -> None:
    half, tail = panel.measures
    delays = sorted({value for curve in found for value in curve.delays_ms})
    tips: list[tuple[float, float, str]] = []
    for number, curve in enumerate(found):
        colour = SERIES[number]
        marks = [(x, p) for x, p in zip(curve.delays_ms, curve.points, strict=True) if p[half].value is not None]
        xs, ys = [x for x, _ in marks], [point[half].value or 0.0 for _, point in marks]
        ax.plot(xs, ys, color=colour, linewidth=2.0, marker="o", markersize=4.5, zorder=3)
        for (x, point), y in zip(marks, ys, strict=True):
            bounds = [bound for bound in (point[half].low, point[half].high) if bound is not None]
            ax.plot([x] * len(bounds), bounds, color=colour, linewidth=1.4, alpha=0.75, zorder=2)
            late = point[tail]
            if late.value is not None:
                edge = MUTED if late.indicative else colour
                ax.plot([x], [late.value], "o", color=CARD, markeredgecolor=edge, markersize=4.5, zorder=4)
            tips.append((x, y, f"{curve.name}, delay {names_of.plain(x)} ms: p50 {_told(point[half])}; {_tail(late)}"))
    if panel.time == "ttfp":
        ax.plot([0, delays[-1]], [0, delays[-1]], color=MUTED, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    ax.set_ylim(0, 1.08 * max(ax.get_ylim()[1], 1.0))
    ax.set_xlim(0, 1.06 * delays[-1])
    ax.set_xticks(delays, [names_of.plain(value) for value in delays])
    if target_ms is not None and target_ms < ax.get_ylim()[1]:
        ax.axhline(target_ms, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        text = f"target {names_of.plain(target_ms)} ms"
        write(ax, text, (0, target_ms), of=("axes fraction", "data"), by=(3, 3), color=MUTED, fontsize=8)
    for x, y, words in tips:
        hover(sheet, ax, (x, y), words)


def _said(curve: Curve, panels: Sequence[_Panel]) -> str:
    parts = []
    for panel in panels:
        told = [
            f"{names_of.plain(x)} ms: {_told(point[panel.measures[0]])}"
            for x, point in zip(curve.delays_ms, curve.points, strict=True)
            if point[panel.measures[0]].value is not None
        ]
        parts.append(f"{panel.title.removesuffix(', ms')}, p50, by delay: {', '.join(told)}")
    return ". ".join(parts)


def _told(value: Estimate) -> str:
    return f"{ms(value.value or 0.0)} ms ({interval(value) or 'no interval'}; n {value.n})"


def _tail(value: Estimate) -> str:
    if value.value is None:
        return "no p95"
    return f"p95 {ms(value.value)} ms{' indicative only' if value.indicative else ''}"
