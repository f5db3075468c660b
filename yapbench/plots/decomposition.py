"""The figure of where the time to the final goes: mean parts of each point, stacked. Knows levels; joins no trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from yapbench import axes as names_of
from yapbench.figure import INK, SERIES, Figure, Sheet, draw
from yapbench.plots.legend import height, write_legend
from yapbench.plots.lines import where
from yapbench.streams import captions
from yapbench.streams.decomposition import NAMES, PARTS, Level, caption
from yapbench.words import ms

MOST_BARS: Final = 24
"""Of more points only the heaviest level of each setting is drawn."""

LONGEST_BESIDE: Final = 26
"""Characters of a bar's name that fit to its left; longer ones stand above it."""

_COLOURS: Final = {
    "frame": SERIES[4],
    "client": INK,
    "up": SERIES[0],
    "queue": SERIES[3],
    "model": SERIES[2],
    "send": SERIES[1],
    "down": SERIES[0],
}


def parts_of_final(levels: Sequence[Level]) -> Figure:
    """Mean parts of the time from the end of speech to the final, a bar for each point; `levels`: of one manner, not
    empty.
    """
    manner = captions.manner_of(levels[0].point)
    title = f"{caption(levels)} · {manner.words}"
    shown = _shown(levels)
    names = names_of.varying([level.point.setting for level in levels])
    labels = [_label(level, names) for level in shown]
    drawn = [name for name in PARTS if any((level.parts[name].value or 0) > 0 for level in shown)]
    legend = list(dict.fromkeys((f"■ {_ways(name, drawn)}", _COLOURS[name]) for name in drawn))

    def paint(sheet: Sheet) -> None:
        width, tall = sheet.canvas.get_size_inches()
        head, beside = height(legend, sheet.size) + 0.06, sheet.wide and max(map(len, labels)) <= LONGEST_BESIDE
        left = (0.12 + 0.073 * max(map(len, labels))) / width if beside else 0.03
        ax = sheet.canvas.add_axes((left, 0.42 / tall, 0.97 - left, 1 - (0.42 + head) / tall))
        for row, (level, label) in enumerate(zip(shown, labels, strict=True)):
            start = 0.0
            for name in drawn:
                took = max(0.0, level.parts[name].value or 0.0)
                (bar,) = ax.barh(row, took, left=start, height=0.7 if beside else 0.46, color=_COLOURS[name], lw=0)
                sheet.tip(bar, f"{label}: {_value(level, name)} {NAMES[name]}")
                start += took
            if not beside:
                ax.text(0, row - 0.27, label, va="bottom", fontsize=8)
        ax.set_yticks(range(len(shown)) if beside else [], labels if beside else [])
        ax.set(ylim=(len(shown) - 0.5, -0.5 if beside else -0.85), xlim=(0, None))
        ax.grid(False, axis="y")
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("mean from the end of speech to the final, ms")
        write_legend(sheet, legend)

    said = "; ".join(
        f"{label}: {', '.join(f'{_value(level, name)} {NAMES[name]}' for name in PARTS)}"
        for level, label in zip(shown, labels, strict=True)
    )
    row = 0.25 if max(map(len, labels)) <= LONGEST_BESIDE else 0.4
    heights = {
        "wide": max(2.2, 0.55 + height(legend, "wide") + row * len(shown)),
        "phone": max(2.2, 0.55 + height(legend, "phone") + 0.4 * len(shown)),
    }
    return draw(
        f"parts-{manner.key}",
        paint,
        title=title,
        label=f"{title}. {said}",
        note=_note(levels, shown),
        manner=manner.words,
        heights=heights,
    )


def _ways(name: str, drawn: Sequence[str]) -> str:
    """Both ways of the network have one colour and one name: which is which, their places say."""
    return "network, up and down" if {"up", "down"} <= set(drawn) and name in ("up", "down") else NAMES[name]


def _shown(levels: Sequence[Level]) -> list[Level]:
    if len(levels) <= MOST_BARS:
        return list(levels)
    heaviest = {level.point.trial_id: level for level in sorted(levels, key=lambda one: one.point.level)}
    return [level for level in levels if heaviest[level.point.trial_id] is level][:MOST_BARS]


def _label(level: Level, names: Sequence[str]) -> str:
    load = where(level.point)
    return f"{names_of.label(level.point.setting, names)}, {load}" if names else load


def _value(level: Level, name: str) -> str:
    part = level.parts[name]
    bounds = f" ({ms(part.low)}–{ms(part.high)})" if part.low is not None and part.high is not None else ""
    return f"{ms(part.value or 0.0)} ms{bounds}"


def _note(levels: Sequence[Level], shown: Sequence[Level]) -> str:
    """How to read it, and what is not in it."""
    parts = [
        "From the stamps of both sides on one clock, joined by request. Means: those of the parts add up to the mean "
        "of the whole; their intervals stand in the hover texts."
    ]
    negative: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for level in levels:
        negative.update(level.negative)
        left_out.update(level.left_out)
    if negative:
        said = " and ".join(f"{NAMES[name]} ({count} of the streams)" for name, count in sorted(negative.items()))
        parts.append(
            f"Negative in single streams: {said}; a stamp is taken before or after its write, so that two processes "
            "may have them in the other order. They are counted as they are."
        )
    if any((level.parts[name].value or 0.0) < 0 for level in shown for name in PARTS):
        parts.append("A part with a negative mean is not drawn; its number stands in the text.")
    if left_out:
        parts.append(f"Not in it: {', '.join(f'{count} streams ({why})' for why, count in sorted(left_out.items()))}.")
    if len(shown) < len(levels):
        parts.append(f"{len(levels) - len(shown)} lighter points are not drawn.")
    return " ".join(parts)
