"""Figures of bars: queue wait against the model call, and the sizes of batches."""

from __future__ import annotations

from collections.abc import Sequence

from yapbench import axes as names_of
from yapbench import captions
from yapbench.figure import SERIES, Figure, Sheet, draw, nothing, write
from yapbench.measures import Point
from yapbench.plots.cells import ink_on, shade
from yapbench.plots.lines import highlighted, of, where

MOST_ROWS = 12
"""Settings that have a bar each, whether or not their requests shared batches."""

LONGEST_BESIDE = 40
"""Characters of a setting that fit to the left of its bar; a longer one stands above it."""


def queue_and_inference(points: Sequence[Point]) -> Figure:
    """Mean wait, model call and rest of each point in colour elsewhere, stacked."""
    title = captions.queueing(points)
    lines = highlighted(points) if points else []
    rows = [p for line in lines for p in of(points, line.trial_id) if p["inference_ms"].value is not None]
    if not rows:
        return nothing("queue", title=title, reason="The server's answers do not say how long they waited.")
    names = {line.trial_id: line.name for line in lines}
    parts = (
        ("queue_ms", "in the queue", SERIES[3]),
        ("inference_ms", "model call", SERIES[2]),
        ("rest_ms", "rest", SERIES[4]),
    )

    def paint(sheet: Sheet) -> None:
        left = _margin(sheet, [f"{names[p.trial_id]}, 8 clients" for p in rows])
        tall = sheet.canvas.get_figheight()
        ax = sheet.canvas.add_axes((left, 0.42 / tall, 0.97 - left, 1 - 0.72 / tall))
        place = {id(p): k + 0.6 * [line.trial_id for line in lines].index(p.trial_id) for k, p in enumerate(rows)}
        for point in rows:
            start = 0.0
            for measure, word, colour in parts:
                took = max(0.0, point[measure].value or 0.0)
                (bar,) = ax.barh(place[id(point)], took, left=start, height=0.78, color=colour, linewidth=0)
                sheet.tip(bar, f"{where(point)}: {took:.1f} ms {word}")
                start += took
        ax.set_yticks(list(place.values()), [f"{names[p.trial_id]}, {where(p)}" for p in rows])
        ax.invert_yaxis()
        ax.grid(False, axis="y")
        ax.set_xlabel("mean per request, ms")
        width, height = sheet.canvas.get_size_inches()
        for k, (_, word, colour) in enumerate(parts):
            place_x = (0.08, 1.2, 2.2)[k] / width
            sheet.canvas.text(
                place_x, 1 - 0.04 / height, f"■ {word}", color=colour, fontsize=8.5, fontweight="bold", va="top"
            )

    said = "; ".join(
        f"{names[p.trial_id]}, {where(p)}: {p['queue_ms'].value or 0:.1f} ms queue, "
        f"{p['inference_ms'].value or 0:.1f} ms model"
        for p in rows
    )
    heights = {size: max(2.4, 0.9 + 0.21 * len(rows) + 0.12 * len(lines)) for size in ("wide", "phone")}
    return draw(
        "queue",
        paint,
        title=title,
        label=f"{title}. {said}",
        note="The settings in colour above." if len(lines) < len({p.trial_id for p in points}) else "",
        heights=heights,
    )


def _margin(sheet: Sheet, labels: Sequence[str]) -> float:
    """Share of the width that the longest label to the left of the axes needs."""
    inches = 0.12 + 0.073 * max((len(text) for text in labels), default=0)
    return min(0.55, inches / sheet.canvas.get_figwidth())


def batch_sizes(points: Sequence[Point]) -> Figure:
    """The share of requests by the size of the batch they were part of, for each setting under the heaviest load."""
    title = captions.batches(points)
    level = max((p.level for p in points if p.batch_sizes), default=None)
    shown = [p for p in points if p.level == level and p.batch_sizes]
    if not shown:
        return nothing("batches", title=title, reason="The server's answers do not say how large the batches were.")
    alone = [p for p in shown if set(p.batch_sizes) == {1}] if len(shown) > MOST_ROWS else []
    shown = [p for p in shown if p not in alone] or shown
    names = names_of.varying([p.setting for p in points])
    labels = [names_of.label(p.setting, names) for p in shown]
    largest = max(size for p in shown for size in p.batch_sizes)

    def paint(sheet: Sheet) -> None:
        beside = sheet.wide and max(map(len, labels)) <= LONGEST_BESIDE
        left = _margin(sheet, labels) if beside else 0.02
        ax = sheet.canvas.add_axes(
            (left, 0.3 / sheet.canvas.get_figheight(), 0.99 - left, 1 - 0.62 / sheet.canvas.get_figheight())
        )
        for row, point in enumerate(shown):
            asked, start = sum(point.batch_sizes.values()), 0.0
            for size, count in sorted(point.batch_sizes.items()):
                share, colour = 100 * count / asked, shade((size - 1) / max(1, largest - 1))
                (bar,) = ax.barh(row, share, left=start, height=0.74 if beside else 0.5, color=colour, linewidth=0)
                sheet.tip(bar, f"{labels[row]}: batches of {size}: {share:.0f} % ({count} of {asked} requests)")
                if share > 5:
                    ax.text(
                        start + share / 2, row, str(size), ha="center", va="center", fontsize=8.5, color=ink_on(colour)
                    )
                start += share
            if not beside:
                ax.text(0, row - 0.3, labels[row], va="bottom", fontsize=8)
        ax.set(xlim=(0, 100), ylim=(len(shown) - 0.5, -0.5 if beside else -0.8))
        ax.set_yticks(range(len(shown)) if beside else [], labels if beside else [])
        ax.grid(False)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
        write(ax, "number in the bar: batch size", (0, 1), by=(0, 5), fontsize=8)

    said = "; ".join(f"{label}: {_shares(p)}" for label, p in zip(labels, shown, strict=True))
    row = 0.25 if max(map(len, labels)) <= LONGEST_BESIDE else 0.36
    heights = {"wide": max(2.2, 0.75 + row * len(shown)), "phone": max(2.2, 0.7 + 0.36 * len(shown))}
    note = f"Share of requests by batch size at {where(shown[0])}."
    if alone and len(shown) != len(alone):
        note += f" Left out: {len(alone)} settings where no request shared a batch."
    return draw("batches", paint, title=title, label=f"{title}. {said}", note=note, heights=heights)


def _shares(point: Point) -> str:
    asked = sum(point.batch_sizes.values())
    return ", ".join(f"size {size} {100 * count / asked:.0f} %" for size, count in sorted(point.batch_sizes.items()))
