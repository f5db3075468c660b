"""The client's own proof: how late its frames left against what it allows itself. Knows verdicts, no server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yapbench import axes as names_of
from yapbench.figure import GOOD, MUTED, SERIES, Figure, Sheet, draw, end_labels, nothing, write
from yapbench.measures import Point
from yapbench.plots.lines import where
from yapbench.plots.strokes import load_axes, readable_log
from yapbench.streams import captions
from yapbench.words import fine_ms

_LEAST_MS: Final = 0.001
"""A lateness of nothing has no place on a log scale."""
_PARTS: Final = (("p50", "lateness_p50_ms"), ("p99", "lateness_p99_ms"), ("latest", "lateness_max_ms"))


def frame_lateness(points: Sequence[Point]) -> Figure:
    """p50, p99 and the latest of all frames handed over, against the load; of several settings the worst."""
    title = captions.lateness(points)
    known = [p for p in points if p.validity.lateness_p99_ms is not None]
    if not known:
        return nothing("lateness", title=title, reason="Audio sent as fast as accepted is due at no time.")
    limit_ms = min(captions.lateness_limit_ms(p) for p in known)
    levels = sorted({p.level for p in known})
    worst = {
        name: [max(getattr(p.validity, field) or 0.0 for p in known if p.level == level) for level in levels]
        for name, field in _PARTS
    }

    def paint(sheet: Sheet) -> None:
        ax, places = load_axes(sheet, known)
        box = ax.get_position()
        ax.set_position((box.x0, box.y0, 1 - box.x0 - 0.5 / sheet.canvas.get_figwidth(), box.height))
        ax.set_yscale("log")
        labels = []
        for (name, values), colour in zip(worst.items(), (SERIES[2], SERIES[0], SERIES[4]), strict=True):
            x, y = [places[level] for level in levels], [max(_LEAST_MS, value) for value in values]
            ax.plot(x, y, color=colour, marker="o", markersize=4.5, linewidth=1.8)
            labels.append((y[-1], name, colour))
            for level, across, up in zip(levels, x, y, strict=True):
                sheet.tip_at(ax, across, up, f"{_at(known, level)}: {name} {up:.3g} ms late")
        readable_log(ax, limit_ms)
        ax.axhspan(ax.get_ylim()[0], limit_ms, color=GOOD, zorder=0, linewidth=0)
        ax.axhline(limit_ms, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        text = f"limit {names_of.plain(limit_ms)} ms"
        write(ax, text, (0, limit_ms), of=("axes fraction", "data"), by=(4, 3), color=MUTED)
        ax.set_ylabel("handed over after due, ms (log scale)")
        end_labels(ax, labels)

    said = "; ".join(
        f"{_at(known, level)}: " + ", ".join(f"{name} {fine_ms(values[k])} ms" for name, values in worst.items())
        for k, level in enumerate(levels)
    )
    several = " Of several settings the worst." if len({p.trial_id for p in known}) > 1 else ""
    note = f"Every frame of every counted stream. The limit is a quarter of a frame's time, 10 ms at most.{several}"
    return draw("lateness", paint, title=title, label=f"{title}. {said}", note=note)


def _at(points: Sequence[Point], level: float) -> str:
    return where(next(p for p in points if p.level == level))
