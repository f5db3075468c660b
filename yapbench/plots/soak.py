"""The figure of a long run: each stream's time against when it ended, so that a slow drift shows. Reads rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from yapbench.figure import INK, SERIES, Figure, Sheet, draw, nothing
from yapbench.plots.outcomes import look
from yapbench.schema import Phase
from yapbench.store import TrialData
from yapbench.streams.captions import Manner
from yapbench.streams.times import TIMES, Stream, times_ms

STRETCHES: Final = 24
MOST_DOTS: Final = 1500
MOST_SOAKS: Final = 4
"""So many trials of one kind have this figure on a page."""


def latency_over_time(trial: TrialData, *, measure: str = "eos", named: str = "") -> Figure:
    """`measure` (a name of streams.times.TIMES) of every counted stream over time, its median by stretch; failures.

    `named`: what the trial is called among others.
    """
    stream = (trial.info.get("load") or {}).get("stream") or {}
    manner = Manner(str(stream.get("eos", "commit")), float(stream.get("pace", 1.0)))
    rows = trial.utterances[trial.utterances["phase"] == Phase.STEADY].sort_values("ended_ns").to_dict("records")
    found = [(row, times_ms(Stream.of(row))[measure].value) for row in rows]
    ended = [(int(row["ended_ns"]), value) for row, value in found if value is not None]
    if len(ended) < 2:
        title = f"Over time: too little ended well · {manner.words}"
        return nothing(
            f"soak-{trial.info['trial_id']}", title=title, reason="Too few streams ended well.", manner=manner.words
        )
    zero_ns = min(int(row["intended_ns"]) for row in rows)
    minutes = np.array([(at - zero_ns) / 60e9 for at, _ in ended])
    values = np.array([value for _, value in ended], dtype=np.float64)
    edges = np.linspace(0, minutes[-1], min(STRETCHES, max(2, len(ended) // 10)) + 1)
    stretch = np.clip(np.digitize(minutes, edges) - 1, 0, len(edges) - 2)
    middles = [(k, float(np.median(values[stretch == k]))) for k in range(len(edges) - 1) if (stretch == k).any()]
    failures = [
        ((int(row["ended_ns"]) - zero_ns) / 60e9, str(row["outcome"])) for row in rows if row["outcome"] != "ok"
    ]
    said = f"{named}: {_drift(values, minutes).lower()}" if named else _drift(values, minutes)
    title = f"{said} · {manner.words}"

    def paint(sheet: Sheet) -> None:
        ax = sheet.canvas.add_axes(
            (0.56 / sheet.canvas.get_figwidth(), 0.15, 1 - 0.66 / sheet.canvas.get_figwidth(), 0.8)
        )
        step = -(-len(values) // MOST_DOTS)
        ax.plot(minutes[::step], values[::step], ".", color=SERIES[0], markersize=2.2, alpha=0.45, zorder=2)
        at = [(edges[k] + edges[k + 1]) / 2 for k, _ in middles]
        ax.plot(at, [value for _, value in middles], color=INK, linewidth=1.8, zorder=3)
        for x, (_, value) in zip(at, middles, strict=True):
            sheet.tip_at(ax, x, value, f"minute {x:.1f}: median {value:.0f} ms")
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, 0), high)
        for x, outcome in failures:
            ax.plot([x], [high], look(outcome).mark, color=look(outcome).colour, markersize=5, clip_on=False, zorder=4)
        ax.set(xlim=(0, minutes[-1]), xlabel="minutes since the first stream began")
        ax.set_ylabel(f"{measure.replace('_due', ', due').upper()}, ms")

    note = f"Dots: single streams ({len(values)}). Line: median of each of {len(edges) - 1} stretches."
    note += f" Marks at the top: {len(failures)} failures." if failures else " No stream failed."
    label = f"{title}. {TIMES[measure]}: " + ", ".join(f"{value:.0f}" for _, value in middles) + " ms"
    return draw(f"soak-{trial.info['trial_id']}", paint, title=title, label=label, note=note, manner=manner.words)


def _drift(values: np.ndarray, minutes: np.ndarray) -> str:
    """The medians of the first and the last third, and no more: single streams say nothing of a drift."""
    first = float(np.median(values[minutes <= minutes[-1] / 3]))
    last = float(np.median(values[minutes >= minutes[-1] * 2 / 3]))
    return f"Half of the finals within {first:.0f} ms in the first third, {last:.0f} ms in the last"
