"""The heat map of a sweep: two settings against each other, one panel for each value of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.patches import Rectangle

from yapbench import axes as names_of
from yapbench import captions
from yapbench.figure import CARD, INK, MUTED, WIDTHS, Figure, Sheet, draw, nothing
from yapbench.measures import Point
from yapbench.plots.lines import where
from yapbench.words import interval, rate

PREFERRED = ("window_ms", "batch_buckets")
"""Settings that go on the two axes when both vary."""
MOST_PANELS = 9


def heat_map(points: Sequence[Point], *, measure: str = "latency_p50_ms", unit: str = "ms") -> Figure:
    """One number in every cell of the sweep; the interval is in each cell's hover text."""
    title = captions.best_setting(points, measure)
    known = [p for p in points if p[measure].value]
    if not known:
        return nothing("heat", title=title, reason="No request was answered.")
    across, down, panels = _layout(points)
    values = np.array([p[measure].value for p in known if p.valid] or [p[measure].value for p in known], dtype=float)
    low, high = np.log(values.min()), np.log(values.max())

    def share(value: float) -> float:
        return float(np.clip((np.log(value) - low) / (high - low), 0, 1)) if high > low else 0.5

    names = names_of.varying([p.setting for p in points])
    columns, rows = _ticks(points, across), _ticks(points, down)
    count = _per_row([name for name, _ in panels], len(columns))

    def paint(sheet: Sheet) -> None:
        per_row = count[sheet.size]
        grid = _panel_boxes(sheet, len(panels), per_row, rows)
        for number, (name, chosen) in enumerate(panels):
            ax = sheet.canvas.add_axes(grid[number])
            ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
            ax.grid(False)
            ax.set_title(name, fontsize=8.5, color=INK, fontweight="bold", loc="left", pad=4)
            ax.spines[["left", "bottom"]].set_visible(False)
            ax.set_xticks([k + 0.5 for k in range(len(columns))], columns)
            first = number % per_row == 0
            ax.set_yticks([k + 0.5 for k in range(len(rows))], rows if first else [""] * len(rows))
            last = number + per_row >= len(panels)
            ax.set_xlabel(_axis_title(across, points) if last else "")
            for point in chosen:
                x = columns.index(_tick(point, across))
                y = rows.index(_tick(point, down))
                _cell(sheet, ax, x, y, point, measure, unit, share, names_of.label(point.setting, names))
        if down != "trial":
            sheet.canvas.text(0.005, 0.995, _axis_title(down, points), fontsize=8.5, color=MUTED, va="top")

    said = "; ".join(
        f"{names_of.label(p.setting, names)}, {where(p)}: {rate(p[measure].value or 0)} {unit}" for p in known
    )
    heights = {size: _height(len(panels), count[size], len(rows)) for size in count}
    note = f"p50 in {unit}, lower is better; brighter is slower (log scale)."
    if len({p.level for p in points}) > len({p.level for _, chosen in panels for p in chosen}):
        note += f" At {where(panels[0][1][0])}."
    if not all(p.valid for p in known):
        note += " Grey: invalid."
    return draw("heat", paint, title=title, label=f"{title}. {said}", note=note, heights=heights)


def shade(share: float) -> str:
    """A colour for a share 0..1, readable by the colour-blind; it is the same on light and dark pages."""
    return str(matplotlib.colors.to_hex(matplotlib.colormaps["cividis"](0.06 + 0.9 * share)))


def ink_on(colour: str) -> str:
    """Black or white, whichever has the higher contrast on `colour`."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    luminance = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"


def _layout(points: Sequence[Point]) -> tuple[str, str, list[tuple[str, list[Point]]]]:
    """Names for the two axes ("level" and "trial" besides settings) and the panels with their names."""
    names = names_of.varying([p.setting for p in points])
    levels = sorted({p.level for p in points})
    if len(names) >= 2:
        pair = PREFERRED if set(PREFERRED) <= set(names) else names[:2]
        others = [n for n in names if n not in pair]
        # Where there are too many panels for all the loads, the heaviest one tells most.
        for shown in (points, [p for p in points if p.level == levels[-1]]):
            panels: dict[str, list[Point]] = {}
            for point in sorted(shown, key=lambda p: (_sort_key(points, p, others), p.level)):
                words = [names_of.words(n, point.setting.get(n)) for n in others]
                words += [where(point)] if len({p.level for p in shown}) > 1 else []
                panels.setdefault(", ".join(words), []).append(point)
            if len(panels) <= MOST_PANELS:
                return pair[0], pair[1], list(panels.items())
    if len(names) == 1:
        return "level", names[0], [("", list(points))]
    return "level", "trial", [("", list(points))]


def _per_row(names: Sequence[str], columns: int) -> dict[str, int]:
    """Panels side by side, by size of the sheet: as many as leave room for their names."""
    room = {size: int(width // (0.2 + 0.075 * max(map(len, names)))) for size, width in WIDTHS.items()}
    wide = 2 if len(names) == 4 else 3
    most = {"wide": wide, "phone": 1 if columns > 3 else 2}
    return {size: max(1, min(most[size], room[size], len(names))) for size in most}


def _sort_key(points: Sequence[Point], point: Point, names: Sequence[str]) -> list[int]:
    ranked = [[names_of.plain(v) for v in names_of.values((p.setting for p in points), n)] for n in names]
    return [values.index(names_of.plain(point.setting.get(n))) for n, values in zip(names, ranked, strict=True)]


def _tick(point: Point, axis: str) -> str:
    if axis == "level":
        return names_of.plain(point.level)
    return point.trial_id if axis == "trial" else names_of.plain(point.setting.get(axis))


def _ticks(points: Sequence[Point], axis: str) -> list[str]:
    if axis == "level":
        return [names_of.plain(level) for level in sorted({p.level for p in points})]
    if axis == "trial":
        return sorted({p.trial_id for p in points})
    return [names_of.plain(value) for value in names_of.values((p.setting for p in points), axis)]


def _axis_title(axis: str, points: Sequence[Point]) -> str:
    return names_of.level_title(points[0].kind) if axis == "level" else names_of.title(axis)


def _height(panels: int, per_row: int, rows: int) -> float:
    deep = -(-panels // per_row)
    return 0.62 + deep * (0.34 + max(0.3, 0.36 if rows < 4 else 0.27) * rows)


def _panel_boxes(
    sheet: Sheet, panels: int, per_row: int, rows: Sequence[str]
) -> list[tuple[float, float, float, float]]:
    """(left, bottom, width, height) of each panel as shares of the canvas."""
    width, height = sheet.canvas.get_size_inches()
    left = (0.14 + 0.07 * max(len(row) for row in rows)) / width
    deep = -(-panels // per_row)
    gap, bottom, top = 0.14 / width, 0.4 / height, 0.22 / height
    each = (1 - left - 0.05 / width - gap * (per_row - 1)) / per_row
    tall = (1 - bottom - top) / deep
    return [
        (
            left + (k % per_row) * (each + gap),
            bottom + (deep - 1 - k // per_row) * tall + (0.06 / height if k // per_row < deep - 1 else 0),
            each,
            tall - 0.34 / height,
        )
        for k in range(panels)
    ]


def _cell(
    sheet: Sheet,
    ax: Any,
    x: int,
    y: int,
    point: Point,
    measure: str,
    unit: str,
    share: Callable[[float], float],
    setting: str,
) -> None:
    value = point[measure]
    colour = shade(share(value.value)) if value.value and point.valid else "#8a8a8a"
    text = f"{value.value:.0f}" if value.value and value.value >= 100 else f"{value.value:.1f}" if value.value else "–"
    box = ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=CARD, linewidth=1.5))
    words = (
        f"{rate(value.value)} {unit} ({interval(value) or 'no interval'}; n {value.n})" if value.value else value.reason
    )
    sheet.tip(box, f"{setting}, {where(point)}: {words}{'' if point.valid else ' INVALID'}")
    ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=8.5, color=ink_on(colour))
