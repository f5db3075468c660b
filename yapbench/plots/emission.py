"""Figures of when words are seen: against the load, and by setting under the heaviest load, first and for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yapbench import axes as names_of
from yapbench.figure import CARD, INK, SERIES, Figure, Sheet, draw, nothing
from yapbench.measures import Point
from yapbench.plots.legend import height, write_legend
from yapbench.plots.lines import highlighted
from yapbench.plots.panels import Panel, by_level, reason_of
from yapbench.plots.wer import LONGEST_BESIDE, MOST_ROWS
from yapbench.streams import captions, titles
from yapbench.words import at, interval, ms, rate

KINDS: Final = (("emission", "first seen", 0, -0.14), ("emission_stable", "seen for good", 1, 0.14))
"""(measure, what is said of it, its colour's place in SERIES, rows below the setting's own)."""


def emission_by_level(points: Sequence[Point]) -> Figure:
    """From the end of a word until it is first seen, p50 and p90 against the load; points of one manner."""
    manner = captions.manner_of(points[0])
    title = f"{titles.emission_with_load(points)} · {manner.words}"
    measures, words = ("emission_p50_ms", "emission_p90_ms"), ("first seen, p50", "first seen, p90")
    panel = Panel("end of a word to first seen, ms", measures, words, "ms")
    return by_level(
        f"emission-{manner.key}",
        points,
        highlighted(points, by=f"{captions.felt(points)}_p50_ms"),
        [panel],
        title=title,
        manner=manner.words,
        how="Solid: half of the words, with its 95 % interval. Dashed: 90 % of them. Below 0: seen before its end.",
        why="the settings that answer soonest",
    )


def emission_by_setting(points: Sequence[Point]) -> Figure:
    """First seen and seen for good, p50 to p90, a row for each setting under the heaviest load that is valid."""
    manner = captions.manner_of(points[0])
    key, title = f"emission-settings-{manner.key}", f"{titles.emission(points)} · {manner.words}"
    found = titles.heaviest(points, "emission_p50_ms")
    if not found:
        return nothing(key, title=title, reason=reason_of(points, "emission_p50_ms"), manner=manner.words)
    shown, names = found[:MOST_ROWS], names_of.varying([p.setting for p in points])
    labels = [names_of.label(p.setting, names) if names else at([p], p.level) for p in shown]
    legend = [(f"● {word}", SERIES[place]) for _, word, place, _ in KINDS]
    ends = [p[f"{kind}_{q}_ms"].value or 0.0 for p in shown for kind, *_ in KINDS for q in ("p50", "p90")]

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        beside = sheet.wide and max(map(len, labels)) <= LONGEST_BESIDE
        left = (0.14 + 0.073 * max(map(len, labels))) / wide if beside else 0.02
        head = height(legend, sheet.size)
        ax = sheet.canvas.add_axes((left, 0.42 / tall, 0.98 - left, 1 - (0.44 + head) / tall))
        low, high = min([0.0, *ends]), max(ends)
        ax.set_xlim(low - 0.02 * (high - low), high + 0.26 * (high - low))
        for row, point in enumerate(shown):
            for kind, word, place, below in KINDS:
                _pair(sheet, point, kind, (row + below, SERIES[place]), f"{labels[row]}: {word}")
            if not beside:
                ax.text(low, row - 0.34, labels[row], va="bottom", fontsize=8)
        ax.set_ylim(len(shown) - 0.45, -0.55 if beside else -0.95)
        ax.set_yticks(range(len(shown)) if beside else [], labels if beside else [])
        ax.grid(False, axis="y")
        ax.set_xlabel("end of a word to when it is seen, ms")
        write_legend(sheet, legend)

    said = "; ".join(f"{label}: {_words(point)}" for label, point in zip(labels, shown, strict=True))
    more = f" Left out for room: the {len(found) - len(shown)} slowest." if len(found) > len(shown) else ""
    note = f"At {at(shown[:1], shown[0].level)}. Dot: half of the words; ring: 90 % of them. Soonest first."
    each = {"wide": 0.36 if max(map(len, labels)) <= LONGEST_BESIDE else 0.5, "phone": 0.5}
    heights = {size: 0.62 + height(legend, size) + row * max(2, len(shown)) for size, row in each.items()}
    return draw(
        key, paint, title=title, label=f"{title}. {said}", note=f"{note}{more}", manner=manner.words, heights=heights
    )


def _pair(sheet: Sheet, point: Point, kind: str, place: tuple[float, str], text: str) -> None:
    """From p50 to p90 on one line, with both numbers behind it."""
    ax, (y, colour) = sheet.canvas.axes[0], place
    half, most = point[f"{kind}_p50_ms"], point[f"{kind}_p90_ms"]
    if half.value is None or most.value is None:
        return
    ax.plot([half.value, most.value], [y, y], color=colour, linewidth=1.4, alpha=0.7, zorder=2)
    ax.plot([half.value], [y], "o", color=colour, markersize=5, zorder=4)
    ax.plot([most.value], [y], "o", color=CARD, markeredgecolor=colour, markersize=4.5, zorder=4)
    numbers = f"{ms(half.value)} · {ms(most.value)}"
    ax.annotate(
        numbers, (most.value, y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=7.5, color=colour
    )
    (unseen,) = ax.plot([half.value, most.value], [y, y], color=INK, linewidth=12, alpha=0.0, zorder=9)
    shares = ((half, "half"), (most, "90 %"))
    told = ", ".join(f"{share} within {rate(value.value or 0.0)} ms ({interval(value)})" for value, share in shares)
    sheet.tip(unseen, f"{text}: {told}; {half.n} words")


def _words(point: Point) -> str:
    parts = []
    for kind, word, *_ in KINDS:
        half, most = point[f"{kind}_p50_ms"].value, point[f"{kind}_p90_ms"].value
        if half is not None and most is not None:
            parts.append(f"{word} p50 {ms(half)} ms, p90 {ms(most)} ms")
    return ", ".join(parts)
