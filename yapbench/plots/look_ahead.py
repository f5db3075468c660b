"""The figure of look-ahead or delay: word errors against the time to the final and to first words, a mark for each.

Knows marks; computes no number of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes

from yapbench import axes as names_of
from yapbench.figure import CARD, MUTED, SERIES, Figure, Sheet, draw, nothing, write
from yapbench.measures import SLO_MS, Point
from yapbench.obtained import DELAY, LOOK_AHEAD
from yapbench.plots.legend import height, write_legend
from yapbench.stats import Estimate
from yapbench.streams import captions, look_ahead
from yapbench.streams.look_ahead import Mark, Trade
from yapbench.words import at

_LETTER_POINTS = 4.6
"""Width of a letter of a mark's name."""
_NAME_POINTS = 10.0
"""Height of a name."""

_KEYS: Final = {LOOK_AHEAD: "look-ahead", DELAY: "delay-wer"}
_AT_THE_END: Final = {
    LOOK_AHEAD: "finals do not, for the client says that no more will come",
    DELAY: "at the end its steps are made at once",
}


@dataclass(frozen=True)
class _Panel:
    title: str
    time: Callable[[Mark], Estimate]
    slow: Callable[[Mark], Estimate] | None = None
    """The time's p95, where it is shown."""
    target_ms: float | None = None


def look_ahead_trade(points: Sequence[Point], *, eos: str = "commit", slo_ms: float = SLO_MS) -> Figure | None:
    """WER against end of speech to final, and against onset to first words, each look-ahead a mark with both intervals.

    Takes the points of the policy `eos` and of live audio. None where no look-ahead and no delay varies.
    """
    mine = [p for p in points if captions.manner_of(p).eos == eos and captions.manner_of(p).pace == 1]
    found = look_ahead.trades(mine)[: len(SERIES)]
    if not found:
        return None
    manner = captions.manner_of(mine[0])
    key = f"{_KEYS[found[0].axis]}-{manner.key}"
    title = f"{look_ahead.caption(found)} · {manner.words}"
    marks = [mark for trade in found for mark in trade.marks]
    scored = [mark for mark in marks if mark.wer.value is not None]
    if not scored and found[0].axis == DELAY:
        return None  # delay.py's figure shows its times
    if not scored:
        return nothing(key, title=title, reason=f"No WER: {marks[0].wer.reason}.", manner=manner.words)
    since = {"eos": "end of speech to final, p50, ms", "eos_due": "end message due to final, p50, ms"}[marks[0].since]
    panels = [_Panel(since, lambda mark: mark.final, lambda mark: mark.slow_final, slo_ms)]
    if any(mark.first.value is not None for mark in scored):
        panels.append(_Panel("onset of speech to first words, p50, ms", lambda mark: mark.first))
    legend = [(trade.name, SERIES[k]) for k, trade in enumerate(found)] if len(found) > 1 else []

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        head = height(legend, sheet.size) if legend else 0.08
        beside = len(panels) if sheet.wide else 1
        below = 1 if sheet.wide else len(panels)
        left, foot, gap = 0.46, 0.42, 0.3
        across = (wide - left - 0.1 - gap * (beside - 1)) / beside
        up = (tall - head - foot * below) / below
        for number, panel in enumerate(panels):
            column, row = (number, 0) if sheet.wide else (0, number)
            x = left + column * (across + gap)
            y = tall - head - (row + 1) * up - row * foot
            ax = sheet.canvas.add_axes((x / wide, y / tall, across / wide, up / tall))
            _paint(sheet, ax, panel, found)
            ax.set_xlabel(panel.title)
            if not sheet.wide or not number:
                ax.set_ylabel("WER, %")
            else:
                ax.set_yticklabels([])
        write_legend(sheet, legend)

    names = "; ".join(mark.words for mark in marks)
    heights = {"wide": 3.1, "phone": 2.5 * len(panels)}
    return draw(
        key,
        paint,
        title=title,
        label=f"{title}. {names}",
        note=_note(found, slo_ms, look_ahead.left_out(mine, found)),
        manner=manner.words,
        heights={size: tall + (height(legend, size) if legend else 0) for size, tall in heights.items()},
    )


def _note(found: Sequence[Trade], slo_ms: float, left_out: Sequence[str]) -> str:
    load = at([found[0].marks[0].point], found[0].level)
    what = look_ahead.NAMES[found[0].axis]
    kept = f"the heaviest load at which each {what} gives half of its finals within {names_of.plain(slo_ms)} ms"
    marks = [mark for trade in found for mark in trade.marks]
    why = kept if all((mark.final.high or 0.0) <= slo_ms for mark in marks) else "the lightest load"
    tails = " Hollow: p95 of the finals." if any(_shows_tail(mark) for mark in marks) else ""
    commit = captions.manner_of(marks[0].point).eos == "commit"
    waits = f" First words wait for the {what}; {_AT_THE_END[found[0].axis]}."
    missing = f" Without a valid point there: {', '.join(left_out)}." if left_out else ""
    return (
        f"Lower and further left is better. At {load}, {why}. Lines are 95 % intervals.{tails}"
        f"{waits if commit else ''} Each {what} in the setting of the rest that answers soonest.{missing}"
    )


def _shows_tail(mark: Mark) -> bool:
    return mark.slow_final.value is not None and not mark.slow_final.indicative


def _paint(sheet: Sheet, ax: Axes, panel: _Panel, found: Sequence[Trade]) -> None:
    places, tails = [], []
    for number, trade in enumerate(found):
        colour = SERIES[number]
        marks = [m for m in trade.marks if m.wer.value is not None and panel.time(m).value is not None]
        xs = [panel.time(mark).value or 0.0 for mark in marks]
        ys = [mark.wer.value or 0.0 for mark in marks]
        ax.plot(xs, ys, color=colour, linewidth=1.0, alpha=0.45, zorder=1)
        for mark, x, y in zip(marks, xs, ys, strict=True):
            _cross(ax, panel.time(mark), mark.wer, colour)
            if panel.slow is not None and _shows_tail(mark):
                tail = panel.slow(mark).value or 0.0
                ax.plot([x, tail], [y, y], color=colour, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
                tails.append((x, tail, y))
                ax.plot([tail], [y], "o", color=CARD, markeredgecolor=colour, markersize=4.5, zorder=4)
            ax.plot([x], [y], "o", color=colour, markersize=5.5, zorder=5)
            sheet.tip_at(ax, x, y, f"{trade.name}{' · ' if trade.name else ''}{mark.words}")
            places.append((x, y, mark.name, colour))
    highest = max(max(mark.wer.high or 0.0, mark.wer.value or 0.0) for trade in found for mark in trade.marks)
    ax.set_ylim(0, max(1.0, 1.12 * highest))
    ax.set_xlim(0, 1.16 * ax.get_xlim()[1])
    if panel.target_ms is not None and panel.target_ms < ax.get_xlim()[1]:
        ax.axvline(panel.target_ms, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        text = f"target {names_of.plain(panel.target_ms)} ms"
        beyond = panel.target_ms > 0.6 * ax.get_xlim()[1]
        by, side = ((-3, -9), "right") if beyond else ((3, -9), "left")
        write(ax, text, (panel.target_ms, 1), of=("data", "axes fraction"), by=by, ha=side, color=MUTED)
    _name(ax, places, tails)


def _cross(ax: Axes, across: Estimate, up: Estimate, colour: str) -> None:
    """Both intervals, where they are known."""
    x, y = across.value or 0.0, up.value or 0.0
    ends = [((across.low, across.high), (y, y)), ((x, x), (up.low, up.high))]
    for xs, ys in ends:
        if None not in (*xs, *ys):
            ax.plot(xs, ys, color=colour, linewidth=1.3, alpha=0.75, solid_capstyle="butt", zorder=2)  # type: ignore[arg-type]


def _name(
    ax: Axes, places: Sequence[tuple[float, float, str, str]], tails: Sequence[tuple[float, float, float]]
) -> None:
    """The marks' names beside them, where neither a mark, nor a tail (from, to, height), nor another name is."""

    def spot(x: float, y: float) -> tuple[float, float]:
        across, up = ax.transData.transform((x, y)) * 72 / ax.figure.dpi
        return float(across), float(up)

    spots = [spot(x, y) for x, y, *_ in places]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    for x, tail, y in tails:
        (start, up), (end, _) = spot(x, y), spot(tail, y)
        taken.append((start, up - 3, end + 3, up + 3))
    for (x, y, name, colour), (across, up) in zip(places, spots, strict=True):
        width = _LETTER_POINTS * len(name)
        ways = [(7, 4), (7, -13), (-7 - width, 4), (-7 - width, -13), (7, 14), (7, -23), (-7 - width, 14)]
        boxes = [(across + a, up + b, across + a + width, up + b + _NAME_POINTS) for a, b in ways]
        free = [way for way, box in zip(ways, boxes, strict=True) if not any(_meet(box, other) for other in taken)]
        by = free[0] if free else ways[0]
        taken.append(boxes[ways.index(by)])
        write(ax, name, (x, y), of=("data", "data"), by=by, color=colour, fontsize=8, fontweight="bold")


def _meet(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
