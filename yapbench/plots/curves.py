"""Figures against the load: latency and throughput, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from yapbench import axes as names_of
from yapbench import captions
from yapbench.figure import FAINT, GOOD, MUTED, Figure, Sheet, draw, end_labels, nothing, write
from yapbench.measures import SLO_MS, Point
from yapbench.plots.lines import grey, highlighted, note, of, said
from yapbench.plots.strokes import line as stroke
from yapbench.plots.strokes import load_axes, readable_log, tips


def latency_by_level(points: Sequence[Point], *, slo_ms: float = SLO_MS) -> Figure:
    """p50 and p95 against the load, log scale, with the target and the band below it."""
    title = captions.latency(points, slo_ms)
    if not any(p["latency_p50_ms"].value for p in points):
        return nothing("latency", title=title, reason="No request was answered.")
    lines = highlighted(points)

    def paint(sheet: Sheet) -> None:
        ax, levels = load_axes(sheet, points, lines, suffix=" p95")
        ax.set_yscale("log")
        labels = []
        for point in grey(points, lines):
            stroke(ax, point, levels, "latency_p50_ms", FAINT)
        for line in lines:
            mine = of(points, line.trial_id)
            ends = stroke(ax, mine, levels, "latency_p50_ms", line.colour, band=True)
            tail = stroke(ax, mine, levels, "latency_p95_ms", line.colour, dashes=True)
            labels += [(ends, line.name, line.colour)] if ends else []
            labels += [(tail, f"{line.name} p95", line.colour)] if tail else []
            tips(sheet, ax, mine, levels, line.setting, ("latency_p50_ms", "latency_p95_ms"), "ms")
        readable_log(ax, slo_ms)
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
        ax, levels = load_axes(sheet, points, lines)
        for point in grey(points, lines):
            stroke(ax, point, levels, "rps", FAINT)
        labels = []
        for line in lines:
            mine = of(points, line.trial_id)
            end = stroke(ax, mine, levels, "rps", line.colour, band=True)
            labels += [(end, line.name, line.colour)] if end else []
            tips(sheet, ax, mine, levels, line.setting, ("rps",), "requests/s")
        ax.set_ylim(0, None)
        ax.set_ylabel("answers per second")
        end_labels(ax, labels)

    label = f"{title}. " + said(points, lines, ("rps",), "requests/s")
    return draw("throughput", paint, title=title, label=label, note=note(points, lines))
