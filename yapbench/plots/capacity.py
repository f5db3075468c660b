"""The figure of a search for capacity: every probe, the fit, the target and where they meet; below, their order.

Knows answers; computes no number of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from yapbench.capacity import words
from yapbench.capacity.answer import Answer, Judged, Tried
from yapbench.figure import CARD, GOOD, INK, MUTED, SERIES, Figure, Sheet, draw, nothing, write
from yapbench.plots.legend import Item, height, write_legend
from yapbench.plots.strokes import readable_log
from yapbench.words import ms

HOLDS: Final = SERIES[0]
MISSES: Final = SERIES[1]
_LOG_FROM: Final = 6.0
"""Levels that span this factor are drawn on a log scale."""


def capacity(answer: Answer, *, manner: str = "") -> Figure:
    """Tails by level with their intervals, the isotonic fit, the target; the interval of the capacity as a band.

    `manner`: how the utterances were streamed, in the words of streams.captions; it ends the title.
    """
    title = " · ".join(filter(None, (words.title(answer), manner)))
    timed = [each for each in answer.tried if each.tail_ms is not None]
    if not timed:
        return nothing("capacity", title=title, reason="No probe has a time.", manner=manner)
    legend: list[Item] = [("holds", HOLDS), ("misses", MISSES)]
    if any(not each.valid for each in answer.tried):
        legend.append(("thrown away", MUTED))

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        head = height(legend, sheet.size) + 0.16
        left, right, foot, gap = 0.64, 0.12, 0.42, 0.12
        order = 0.1 + 0.115 * len(answer.tried)
        above = tall - head - foot - order - gap
        box = (left / wide, (foot + order + gap) / tall, 1 - (left + right) / wide, above / tall)
        upper = sheet.canvas.add_axes(box)
        lower = sheet.canvas.add_axes((box[0], foot / tall, box[2], order / tall), sharex=upper)
        _levels_axis(upper, answer)
        _paint_tails(sheet, upper, answer)
        _paint_order(sheet, lower, answer)
        upper.tick_params(labelbottom=False)
        lower.set_xlabel("streams at a time" if answer.since != "latency" else "clients at a time")
        write_legend(sheet, legend)

    rows = "; ".join(f"{each.level}: {ms(each.tail_ms or 0.0)} ms" for each in timed)
    tall = 0.1 + 0.115 * len(answer.tried)
    return draw(
        "capacity",
        paint,
        title=title,
        label=f"{title}. {answer.options.percentile} by probe, in their order: {rows}",
        note=_note(answer),
        manner=manner,
        heights={"wide": 3.3 + tall, "phone": 3.1 + tall},
    )


def _note(answer: Answer) -> str:
    name = answer.options.percentile
    said = f"Above: {name} of each probe (dots), the 95 % interval of all probes of a level (lines), the isotonic fit."
    if answer.claimed is not None:
        said += f" Ring: {words.streams(answer, answer.claimed)}, the level that is claimed."
    if answer.estimate is not None and answer.low is not None and answer.high is not None:
        ended = any(each.broken for each in answer.levels if each.streams == answer.misses)
        failed = "goes from what held to what did not fail yet: it is not the times that end it"
        said += f" The upright band {failed if ended else 'is the interval of where the fit reaches the target'}."
    if any(each.failed for each in answer.tried):
        said += " Crosses: some of its streams failed."
    return f"{said} Below: the probes in their order, first one at the top."


def _levels_axis(ax: Axes, answer: Answer) -> None:
    levels = [each.streams for each in answer.levels]
    low, high = min(levels), max(levels)
    if high / low >= _LOG_FROM:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.25, high * 1.25)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        margin = max(0.6, 0.08 * (high - low))
        ax.set_xlim(low - margin, high + margin)
        ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _paint_tails(sheet: Sheet, ax: Axes, answer: Answer) -> None:
    slo_ms = answer.options.slo_ms
    known = [each for each in answer.levels if each.level.tail_ms is not None and each.fitted_ms is not None]
    ax.set_yscale("log")
    fitted = np.geomspace(known[0].streams, known[-1].streams, 200) if known else np.empty(0)
    ax.plot(fitted, [answer.curve.tail_ms(float(x)) for x in fitted], color=INK, linewidth=1.2, alpha=0.55, zorder=2)
    for each in known:
        if each.bounds is not None:
            colour = MISSES if each.missed else HOLDS
            ends = [each.bounds.low, each.bounds.high]
            ax.plot([each.streams] * 2, ends, color=colour, linewidth=1.2, alpha=0.8, zorder=3)
    by_level = {each.streams: each for each in answer.levels}
    if answer.claimed is not None:
        tail_ms = by_level[answer.claimed].level.tail_ms or 0.0
        ax.plot([answer.claimed], [tail_ms], "o", color="none", markeredgecolor=HOLDS, markersize=13, zorder=4)
    for tried in answer.tried:
        if tried.tail_ms is not None:
            _mark(ax, tried.level, tried.tail_ms, tried)
            sheet.tip_at(ax, tried.level, tried.tail_ms, _tip(answer, tried, by_level[tried.level]))
    readable_log(ax, slo_ms)
    ax.axhspan(ax.get_ylim()[0], slo_ms, color=GOOD, zorder=0, linewidth=0)
    ax.axhline(slo_ms, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    text = f"target {slo_ms:g} ms"
    write(ax, text, (0, slo_ms), of=("axes fraction", "data"), by=(4, 3), color=MUTED)
    ax.set_ylabel(f"{answer.options.percentile}, ms (log scale)")
    if answer.estimate is not None:
        _paint_estimate(ax, answer)


def _paint_estimate(ax: Axes, answer: Answer) -> None:
    """Where the fit reaches the target, with its interval as far as it is known."""
    at = answer.estimate or 0.0
    left, right = ax.get_xlim()
    low, high = answer.low if answer.low is not None else left, answer.high if answer.high is not None else right
    ax.axvspan(low, high, color=MUTED, alpha=0.22, linewidth=0, zorder=1)
    ax.axvline(at, color=INK, linewidth=1.1, zorder=2)
    bounds = f" ({low:.3g}–{high:.3g})" if answer.low is not None and answer.high is not None else ""
    share = (math.log(at / left) / math.log(right / left)) if ax.get_xscale() == "log" else (at - left) / (right - left)
    side = "right" if share > 0.5 else "left"
    write(
        ax,
        f"{at:.3g}{bounds}",
        (at, 1),
        of=("data", "axes fraction"),
        by=(3 if side == "right" else -3, 3),
        ha=side,
        color=INK,
        fontweight="bold",
    )


def _paint_order(sheet: Sheet, ax: Axes, answer: Answer) -> None:
    """The path of the search: one row for each probe."""
    places = list(range(1, len(answer.tried) + 1))
    ax.plot([each.level for each in answer.tried], places, color=MUTED, linewidth=0.8, alpha=0.7, zorder=1)
    by_level = {each.streams: each for each in answer.levels}
    for place, tried in zip(places, answer.tried, strict=True):
        _mark(ax, tried.level, place, tried)
        sheet.tip_at(ax, tried.level, place, _tip(answer, tried, by_level[tried.level]))
    if answer.low is not None and answer.high is not None and answer.estimate is not None:
        ax.axvspan(answer.low, answer.high, color=MUTED, alpha=0.22, linewidth=0, zorder=0)
    ax.set_ylim(len(places) + 0.7, 0.3)
    ax.set_yticks(_ticks(len(places)))
    ax.set_ylabel("probe")


def _ticks(count: int) -> Sequence[int]:
    step = 1 if count <= 4 else 3 if count <= 16 else 10
    return sorted({1, *range(step, count + 1, step)})


def _mark(ax: Axes, x: float, y: float, tried: Tried) -> None:
    if not tried.valid:
        ax.plot([x], [y], "x", color=MUTED, markersize=5, zorder=4)
        return
    colour = MISSES if tried.missed else HOLDS
    mark = "X" if tried.failed else "o"
    ax.plot([x], [y], mark, color=colour, markeredgecolor=CARD, markeredgewidth=0.5, markersize=5.2, zorder=5)


def _tip(answer: Answer, tried: Tried, level: Judged) -> str:
    tail = "no time" if tried.tail_ms is None else f"{answer.options.percentile} {ms(tried.tail_ms)} ms"
    failed = f", {tried.failed} of {tried.n} failed" if tried.failed else f", n {tried.n}"
    doubt = "" if tried.valid else ", thrown away"
    verdict = f"; misses: {level.missed}" if level.missed else "; holds" if tried.valid else ""
    return f"{words.streams(answer, tried.level)} ({tried.reason or 'asked for'}): {tail}{failed}{doubt}{verdict}"
