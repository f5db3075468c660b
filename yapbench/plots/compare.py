"""What changed from one side to the other: each number a dot with its interval, against the band that does not matter.

Knows judged lines; decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from yapbench.compare import sentences
from yapbench.compare.comparison import Line
from yapbench.compare.family import Verdict
from yapbench.figure import CARD, GOOD, GRID, INK, MUTED, SERIES, Figure, Sheet, draw, write
from yapbench.plots.legend import height, write_legend

MOST: Final = 24
_ROW_INCHES: Final = 0.37
_FOOT_INCHES: Final = 0.5
_STEPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 400, 900)
_COLOURS: Final = {Verdict.WORSE: SERIES[1], Verdict.BETTER: SERIES[2], Verdict.SAME: INK, Verdict.OPEN: MUTED}
_NAMES: Final = {
    Verdict.WORSE: "worse",
    Verdict.BETTER: "better",
    Verdict.SAME: "no difference",
    Verdict.OPEN: "not shown (hollow)",
}


def changes(lines: Sequence[Line], *, key: str, what: str, manner: str = "") -> Figure:
    """One row for each of `lines`, all of them ratios or all of them differences; worst first.

    `what` begins the title, and `manner`, how the utterances were streamed, ends it. Ratios stand on a log scale that
    is labelled in per cent.
    """
    shown = lines[:MOST]
    ratios = shown[0].effect.metric.is_ratio
    title = " · ".join(filter(None, (f"{what}: {sentences.counts(lines)}", manner)))
    legend = [(_NAMES[v], _COLOURS[v]) for v in Verdict if any(line.judged.verdict is v for line in shown)]
    reach = 1.12 * max(max(abs(line.judged.low), abs(line.judged.high), line.judged.band) for line in shown)

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        head, right = height(legend, sheet.size), 0.86
        box = (0.08 / wide, _FOOT_INCHES / tall, (wide - 0.08 - right) / wide, (tall - head - _FOOT_INCHES) / tall)
        ax = sheet.canvas.add_axes(box)
        ax.set(xlim=(-reach, reach), ylim=(len(shown) - 0.35, -0.65), yticks=[])
        ax.grid(False)
        ax.spines["left"].set_visible(False)
        ticks = _ticks(reach, ratios=ratios)
        ax.set_xticks([at for at, _ in ticks], [text for _, text in ticks])
        ax.set_xlabel("change from before to after, % (log scale)" if ratios else "change from before to after, points")
        for row, line in enumerate(shown):
            _row(sheet, ax, row, line, reach)
        write_legend(sheet, legend)

    rows = _ROW_INCHES * len(shown) + _FOOT_INCHES
    heights = {size: rows + height(legend, size) for size in ("wide", "phone")}
    said = "; ".join(f"{_name(line)}: {_words(line)}" for line in shown)
    left = f" The {len(lines) - MOST} that changed least are in the table only." if len(lines) > MOST else ""
    note = (
        "Thick: 95 % interval of the number alone. Thin: the interval that holds for all numbers of this comparison at "
        f"once. Green band: changes too small to matter.{left}"
    )
    return draw(key, paint, title=title, label=f"{title}. {said}", note=note, manner=manner, heights=heights)


def _row(sheet: Sheet, ax: Axes, row: int, line: Line, reach: float) -> None:
    judged, size = line.judged, line.effect.size
    colour = _COLOURS[judged.verdict]
    ax.add_patch(
        Rectangle((-judged.band, row - 0.03), 2 * judged.band, 0.36, facecolor=GOOD, edgecolor="none", zorder=0)
    )
    at = row + 0.15
    ax.plot([0, 0], [row - 0.03, row + 0.33], color=MUTED, linewidth=0.8, zorder=1)
    ax.plot([-reach, reach], [at, at], color=GRID, linewidth=0.6, zorder=0)
    ends = [min(reach, max(-reach, bound)) for bound in (judged.all_low, judged.all_high)]
    ax.plot(ends, [at, at], color=colour, linewidth=0.9, zorder=3, solid_capstyle="butt")
    ax.plot([judged.low, judged.high], [at, at], color=colour, linewidth=2.6, zorder=3, solid_capstyle="butt")
    face = CARD if judged.verdict is Verdict.OPEN else colour
    ax.plot([size], [at], "o", color=face, markeredgecolor=colour, markersize=5.5, zorder=4)
    strong = judged.verdict in (Verdict.WORSE, Verdict.BETTER)
    longest = 96 if sheet.wide else 58
    name = _name(line)
    short = name if len(name) <= longest else f"{name[: longest - 1]}…"
    write(ax, short, (0, row - 0.22), of=("axes fraction", "data"), by=(0, 0), va="center", fontsize=7.8, color=INK)
    write(
        ax,
        sentences.change(line.effect.metric, size),
        (1, at),
        of=("axes fraction", "data"),
        by=(6, 0),
        va="center",
        fontsize=8,
        color=colour,
        fontweight="bold" if strong else "normal",
    )
    sheet.tip_at(ax, size, at, f"{name}: {_words(line)}")


def _name(line: Line) -> str:
    return f"{line.effect.metric.title} · {line.place.words}"


def _words(line: Line) -> str:
    change = sentences.change(line.effect.metric, line.effect.size)
    return f"{sentences.verdict(line)}, {change} ({sentences.numbers(line)})"


def _ticks(reach: float, *, ratios: bool) -> list[tuple[float, str]]:
    """Places and texts, at most four on each side of 0 and not too near each other."""
    if not ratios:
        step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if 100 * reach / s <= 4), 100.0)
        most = int(100 * reach / step)
        return [(k * step / 100, f"{k * step:+g}" if k else "0") for k in range(-most, most + 1)]
    found = [(0.0, "0")]
    for sign in (1, -1):
        last = 0.0
        for step in _STEPS:
            if sign < 0 and step >= 100:
                break
            at = math.log1p(sign * step / 100)
            if abs(at) <= reach and abs(at) - last >= 0.2 * reach:
                found.append((at, f"{sign * step:+d}"))
                last = abs(at)
    return sorted(found)
