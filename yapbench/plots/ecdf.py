"""The figure of all times of a level, not only of its percentiles: which share of the streams had ended by then.

Reads stored rows; a stream that failed never ended well, so its line stays below 100 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from yapbench import axes as names_of
from yapbench.figure import MUTED, SERIES, Figure, Sheet, draw, nothing, write
from yapbench.monitoring.counters import Samples
from yapbench.obtained import setting_of
from yapbench.plots.legend import height, write_legend
from yapbench.plots.lines import Line
from yapbench.schema import Phase
from yapbench.store import TrialData
from yapbench.streams.captions import Manner
from yapbench.streams.times import TIMES, Stream, times_ms
from yapbench.validity import Verdict, judge, spans_of

MOST_LINES: Final = len(SERIES)
_AXES: Final = {
    "eos": "end of speech to last final",
    "eos_due": "end message due to last final",
    "flush": "end message sent to last final",
    "ttfp": "onset of speech to first words",
}
_MOST_STEPS: Final = 220
"""Points of a line: more than a chart of this size shows."""


@dataclass(frozen=True)
class _Line:
    name: str
    values_ms: NDArray[np.float64]
    """(k,) ascending; of the streams that have this time."""
    n: int
    """Counted streams, failed ones included."""
    valid: bool
    colour: str = ""


def ecdf(
    trials: TrialData | Sequence[TrialData],
    *,
    eos: str = "commit",
    measure: str = "eos",
    pace: float | None = None,
    slo_ms: float | None = None,
    lines: Sequence[Line] = (),
) -> Figure:
    """The share of streams whose `measure` (a name of streams.times.TIMES) came within a time: one line a level.

    Of several trials: one line each, under the heaviest load that all of them have. Takes trials of the policy `eos`
    and, where it is given, of one `pace`. At most as many lines as there are colours, of several trials those of
    `lines` where they are given, in their colours; how many are left out is said.
    Raises ValueError where several paces are left.
    """
    given = [trials] if isinstance(trials, TrialData) else list(trials)
    mine = [t for t in given if t.info["status"] == "done" and _how(t).eos == eos and pace in (None, _how(t).pace)]
    manners = {_how(trial) for trial in mine}
    if len(manners) > 1:
        raise ValueError("trials of several paces cannot share a chart: name one")
    manner = manners.pop() if manners else Manner(eos, 1.0 if pace is None else pace)
    key = f"ecdf-{measure}-{manner.key}"
    found, chosen = _of_levels(mine[0], measure) if len(mine) == 1 else _of_trials(mine, measure, lines)
    kept = [line for line in found if line.values_ms.size]
    if not kept:
        title = f"{TIMES[measure].capitalize()}: all times · {manner.words}"
        return nothing(key, title=title, reason=_reason(mine, measure), manner=manner.words)
    shown = [_coloured(line, SERIES[n]) for n, line in enumerate(_chosen(kept))]
    legend = [(f"{line.name} ({'' if line.valid else 'invalid, '}n {line.n})", line.colour) for line in shown]
    title = f"{_said([line for line in shown if line.valid])} · {manner.words}"

    def paint(sheet: Sheet) -> None:
        width, tall = sheet.canvas.get_size_inches()
        head = height(legend, sheet.size) + 0.08
        ax = sheet.canvas.add_axes((0.56 / width, 0.44 / tall, 1 - 0.72 / width, 1 - (0.44 + head) / tall))
        far = max(float(np.quantile(line.values_ms, 0.995)) for line in shown)
        near = min([0.0, *(float(line.values_ms[0]) for line in shown)])
        for line in shown:
            x, y = _steps(line)
            ax.plot(
                [*x, far * 1.08],
                [*y, y[-1]],
                color=line.colour,
                linewidth=1.8 if line.valid else 1.0,
                drawstyle="steps-post",
                zorder=3 if line.valid else 4,
            )
            for share in (50, 95):
                value = _quantile(line, share)
                if value is not None:
                    sheet.tip_at(ax, value, share, f"{line.name}: {share} % of {line.n} streams within {value:.0f} ms")
        if slo_ms is not None and slo_ms < far * 1.08:
            ax.axvline(slo_ms, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            text = f"target {names_of.plain(float(slo_ms))} ms"
            write(ax, text, (slo_ms, 0), of=("data", "axes fraction"), by=(3, 3), color=MUTED)
        ax.set(xlim=(near, far * 1.08), ylim=(0, 103))
        ax.set_yticks([0, 25, 50, 75, 95], ["0", "25", "50", "75", "95 %"])
        ax.set_xlabel(f"{_AXES.get(measure, measure.replace('_', ' '))}, ms")
        write_legend(sheet, legend)

    left_out = len(mine if len(mine) > 1 else kept) - len(shown)
    note = f"{chosen} A stream that failed has no time: its line ends below 100 %."
    note += f" Left out for room: {left_out} more." if left_out else ""
    note += "" if all(line.valid for line in shown) else " Grey: invalid."
    label = f"{title}. " + "; ".join(_said([line]) for line in shown)
    heights = {size: 2.95 + height(legend, size) for size in ("wide", "phone")}
    return draw(key, paint, title=title, label=label, note=note, manner=manner.words, heights=heights)


def _how(trial: TrialData) -> Manner:
    stream = (trial.info.get("load") or {}).get("stream") or {}
    return Manner(str(stream.get("eos", "")), float(stream.get("pace", 1.0)))


def _of_levels(trial: TrialData, measure: str) -> tuple[list[_Line], str]:
    kind = str(trial.info["load"].get("kind", "closed"))
    lines = [_line(trial, level, measure, names_of.level_words(kind, level, streams=True)) for level in _levels(trial)]
    return lines, "One line for each load level."


def _of_trials(trials: Sequence[TrialData], measure: str, lines: Sequence[Line]) -> tuple[list[_Line], str]:
    common = set.intersection(*(set(_levels(trial)) for trial in trials)) if trials else set()
    if not common:
        return [], ""
    level = max(common)
    settings = [setting_of(trial.info) for trial in trials]
    names = names_of.varying(settings)
    named = {line.trial_id: (line.name, line.colour) for line in lines}
    own = {str(t.info["trial_id"]): (names_of.label(s, names), "") for t, s in zip(trials, settings, strict=True)}
    chosen = [(t, *(named or own)[t.info["trial_id"]]) for t in trials if t.info["trial_id"] in (named or own)]
    words = names_of.level_words(str(trials[0].info["load"].get("kind", "closed")), level, streams=True)
    found = [replace(_line(t, level, measure, name), colour=colour) for t, name, colour in chosen]
    return sorted(found, key=lambda line: line.name), f"One line for each setting, at {words}."


def _levels(trial: TrialData) -> list[float]:
    steady = trial.utterances[trial.utterances["phase"] == Phase.STEADY]
    return sorted({float(level) for level in steady["level"]})


def _line(trial: TrialData, level: float, measure: str, name: str) -> _Line:
    rows = trial.utterances
    rows = rows[(rows["level"] == level) & (rows["phase"] == Phase.STEADY)]
    times = [times_ms(Stream.of(row))[measure].value for row in rows.to_dict("records")]
    cores = (trial.info.get("machine") or {}).get("cores")
    judged = judge(rows, Samples.of(trial.machine), spans_of(trial.info, level, None), cores=cores)
    known = np.sort([value for value in times if value is not None]).astype(np.float64)
    return _Line(name, known, len(rows), judged.verdict is not Verdict.INVALID)


def _chosen(lines: Sequence[_Line]) -> list[_Line]:
    """As many as there is room for: the first, the last and evenly between; invalid ones only where room is left."""
    places = [k for k, line in enumerate(lines) if line.valid]
    picked = {places[round(k)] for k in np.linspace(0, len(places) - 1, min(MOST_LINES, len(places)))}
    others = [k for k, line in enumerate(lines) if not line.valid]
    return [lines[k] for k in sorted([*picked, *others[: MOST_LINES - len(picked)]])]


def _coloured(line: _Line, otherwise: str) -> _Line:
    """Invalid ones are grey, as everywhere."""
    return replace(line, colour=(line.colour or otherwise) if line.valid else MUTED)


def _reason(trials: Sequence[TrialData], measure: str) -> str:
    for trial in trials:
        for row in trial.utterances.to_dict("records"):
            why = times_ms(Stream.of(row))[measure].reason
            if why and not why.startswith("outcome"):
                return f"{why[:1].upper()}{why[1:]}."
    return "No stream ended well."


def _steps(line: _Line) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """(x in ms, share in %), thinned out evenly in x's rank."""
    shares = 100 * np.arange(1, line.values_ms.size + 1) / line.n
    keep = np.unique(np.linspace(0, line.values_ms.size - 1, min(_MOST_STEPS, line.values_ms.size)).round().astype(int))
    return np.concatenate([line.values_ms[:1], line.values_ms[keep]]), np.concatenate([[0.0], shares[keep]])


def _quantile(line: _Line, share: float) -> float | None:
    """When `share` % of all counted streams had ended; None: they never did."""
    place = int(np.ceil(share / 100 * line.n)) - 1
    return float(line.values_ms[place]) if 0 <= place < line.values_ms.size else None


def _said(lines: Sequence[_Line]) -> str:
    """When half of the streams had ended, of the soonest and the latest line."""

    def half_ms(line: _Line) -> float:
        found = _quantile(line, 50)
        return math.inf if found is None else found

    if not lines:
        return "No valid point: all times"
    ordered = sorted(lines, key=half_ms)
    ends = ordered[:1] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    if len(ordered) > 1 and f"{half_ms(ends[0]):.0f}" == f"{half_ms(ends[1]):.0f}" != "inf":
        return f"Half had ended after {half_ms(ends[0]):.0f} ms in all {len(ordered)} lines"
    parts = [
        f"{half_ms(line):.0f} ms ({line.name})" if half_ms(line) < math.inf else f"never ({line.name})" for line in ends
    ]
    return f"Half had ended after {' to '.join(parts)}"
