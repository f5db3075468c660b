"""Figures of words: WER against the load, and what the errors are under the heaviest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yapbench import axes as names_of
from yapbench.figure import SERIES, Figure, Sheet, draw, nothing
from yapbench.measures import Point
from yapbench.plots.legend import height, write_legend
from yapbench.plots.lines import highlighted
from yapbench.plots.panels import Panel, by_level, reason_of
from yapbench.stats import upper_bound_of_none
from yapbench.streams import captions, titles
from yapbench.streams.word_rates import Change
from yapbench.words import at, interval, rate

MOST_ROWS: Final = 12
"""Settings of a figure with a row each: more than a chart has room for."""
LONGEST_BESIDE: Final = 30
"""Characters of a row's name that find room to its left."""

PARTS: Final = (("substitutions", "taken for another", 0), ("deletions", "left out", 1), ("insertions", "added", 4))
"""(measure, what is said of it, its colour's place in SERIES)."""


def wer_by_level(points: Sequence[Point], changes: Sequence[Change] = ()) -> Figure:
    """WER with its interval against the load, points of one manner. `changes`: heavy against light load, paired."""
    manner = captions.manner_of(points[0])
    title = f"{titles.words_with_load(points, changes)} · {manner.words}"
    lines = highlighted(points, by=f"{captions.felt(points)}_p50_ms" if manner.pace else "rtfx")
    panel = Panel("WER, %", ("wer",), ("WER",), "%", 100.0)
    how = f"Band: the 95 % interval, which holds the choice of utterances. {_paired(changes)}".strip()
    why = "the settings that answer soonest" if manner.pace else "the settings that recognise fastest"
    return by_level(f"wer-{manner.key}", points, lines, [panel], title=title, manner=manner.words, how=how, why=why)


def _paired(changes: Sequence[Change]) -> str:
    """What the title's comparison is made of."""
    told = [change for change in changes if change.difference.value is not None]
    if not told:
        return ""
    fewest = min(change.difference.n for change in told)
    text = f"The title compares each of {fewest} or more utterances with itself at the other load."
    if all(change.difference.low == change.difference.high == 0 for change in told):
        bound = captions.percent(upper_bound_of_none(fewest))
        text += f" None differing among {fewest} leaves a share of up to {bound} likely."
    return text


def word_errors(points: Sequence[Point]) -> Figure:
    """Substitutions, deletions and insertions as parts of WER, a bar for each setting under the heaviest load."""
    manner = captions.manner_of(points[0])
    key, title = f"errors-{manner.key}", f"{titles.error_parts(points)} · {manner.words}"
    found = titles.heaviest(points, "wer")
    if not found:
        return nothing(key, title=title, reason=reason_of(points, "wer"), manner=manner.words)
    shown = found[:MOST_ROWS]
    names = names_of.varying([p.setting for p in points])
    labels = [names_of.label(p.setting, names) if names else at([p], p.level) for p in shown]
    legend = [(f"■ {word}", SERIES[place]) for _, word, place in PARTS]
    longest = max(100 * (p["wer"].high or p["wer"].value or 0.0) for p in shown)

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        beside = sheet.wide and max(map(len, labels)) <= LONGEST_BESIDE
        left = (0.14 + 0.073 * max(map(len, labels))) / wide if beside else 0.02
        head = height(legend, sheet.size)
        ax = sheet.canvas.add_axes((left, 0.42 / tall, 0.99 - left, 1 - (0.44 + head) / tall))
        for row, point in enumerate(shown):
            start = 0.0
            for measure, word, place in PARTS:
                share = 100 * (point[measure].value or 0.0)
                (bar,) = ax.barh(
                    row, share, left=start, height=0.62 if beside else 0.42, color=SERIES[place], linewidth=0
                )
                tail = f"{labels[row]}: {rate(share)} % of the words {word}"
                sheet.tip(bar, f"{tail} ({interval(point[measure].scaled(100))}; n {point[measure].n})")
                start += share
            value = point["wer"].scaled(100)
            text = f"{rate(value.value or 0.0)} % ({interval(value) or 'no interval'})"
            ax.annotate(text, (start, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
            if not beside:
                ax.text(0, row - 0.27, labels[row], va="bottom", fontsize=8)
        room = 1 - 1.25 / (wide * (0.99 - left))
        ax.set(xlim=(0, max(longest, 1.0) / max(0.4, room)), ylim=(len(shown) - 0.5, -0.55 if beside else -0.9))
        ax.set_yticks(range(len(shown)) if beside else [], labels if beside else [])
        ax.grid(False, axis="y")
        ax.set_xlabel("% of the reference's words")
        write_legend(sheet, legend)

    said = "; ".join(f"{name}: {_words(point)}" for name, point in zip(labels, shown, strict=True))
    left_out = (
        f" Left out for room: the {len(found) - len(shown)} with the most errors." if len(found) > MOST_ROWS else ""
    )
    note = f"At {at(shown[0:1], shown[0].level)}, fewest errors first; beside each bar WER with its 95 % interval."
    each = {"wide": 0.3 if max(map(len, labels)) <= LONGEST_BESIDE else 0.42, "phone": 0.42}
    heights = {size: 0.62 + height(legend, size) + row * max(2, len(shown)) for size, row in each.items()}
    label, note = f"{title}. {said}", f"{note}{left_out}"
    return draw(key, paint, title=title, label=label, note=note, manner=manner.words, heights=heights)


def _words(point: Point) -> str:
    return ", ".join(f"{100 * (point[measure].value or 0.0):.1f} % {word}" for measure, word, _ in PARTS)
