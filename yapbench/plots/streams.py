"""Figures of streams against the load: end of speech to final, onset to first words, and speed without a clock.

Each shows one end-of-speech policy at one pace, which stand in its title: times of others are other times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from yapbench import axes as names_of
from yapbench.figure import FAINT, GOOD, MUTED, Figure, Sheet, draw, end_labels, nothing, write
from yapbench.measures import SLO_MS, Point
from yapbench.plots.lines import Line, grey, highlighted, note, of, said
from yapbench.plots.strokes import line as stroke
from yapbench.plots.strokes import load_axes, readable_log, tips
from yapbench.streams import captions
from yapbench.streams.captions import Manner

_LEGEND = "Solid: p50 with its 95 % interval. Dashed: p95 with whiskers, hollow where n is too small for it."
_FASTEST = "the settings that answer soonest"
ALONE = "this setting"
"""What axes.label calls a setting when nothing varies."""


def eos_by_level(points: Sequence[Point], *, eos: str = "commit", slo_ms: float = SLO_MS) -> Figure:
    """From the end of speech in the audio to the last final, p50 and p95 against the load, with the target.

    Takes the points of the policy `eos`. Raises ValueError where they have several paces.
    """
    mine, manner = _alike(points, eos)
    since = captions.felt(mine)
    title = f"{captions.within(mine, slo_ms)} · {manner.words}"
    axis = {"eos": "end of speech to final, ms", "eos_due": "end message due to final, ms"}[since]
    missing = "" if since == "eos" else " The corpus does not say where speech ends: counted from the end message."
    return _times(mine, since, manner, title=title, axis=axis, slo_ms=slo_ms, more=missing)


def ttfp_by_level(points: Sequence[Point], *, eos: str = "commit") -> Figure:
    """From the onset of speech to the first partial with words, p50 and p95 against the load.

    Takes the points of the policy `eos`. Raises ValueError where they have several paces.
    """
    mine, manner = _alike(points, eos)
    title = f"{captions.first_words(mine)} · {manner.words}"
    return _times(mine, "ttfp", manner, title=title, axis="onset of speech to first words, ms")


def answers_by_level(points: Sequence[Point]) -> Figure:
    """From a file's last byte handed over to its text, p50 and p95 against the load. Takes the points of uploads."""
    mine, manner = _alike(points, "file")
    title = f"{captions.answers(mine)} · {manner.words}"
    return _times(mine, "flush", manner, title=title, axis="file sent to its text, ms")


def rtfx_by_level(points: Sequence[Point]) -> Figure:
    """Audio seconds per second of processing, of streams sent as fast as they were accepted: not real time."""
    mine = [p for p in points if not captions.manner_of(p).pace]
    manner = Manner("", 0.0).pace_words
    key = "rtfx-file" if any(captions.manner_of(p).eos == "file" for p in mine) else "rtfx"
    title = f"{captions.speed(mine)} · {manner}"
    if not any(p["rtfx"].value for p in mine):
        return nothing(
            key, title=title, reason=_why(mine, "rtfx", "No audio was sent as fast as accepted."), manner=manner
        )
    lines = highlighted(mine, by="rtfx")

    def paint(sheet: Sheet) -> None:
        ax, levels = load_axes(sheet, mine, [line for line in lines if line.name != ALONE])
        for same in grey(mine, lines):
            stroke(ax, same, levels, "rtfx", FAINT)
        labels = []
        for line in lines:
            own = of(mine, line.trial_id)
            end = stroke(ax, own, levels, "rtfx", line.colour, band=True)
            labels += [(end, line.name, line.colour)] if end and line.name != ALONE else []
            tips(sheet, ax, own, levels, line.setting, ("rtfx",), "x")
        ax.set_ylim(0, None)
        ax.set_ylabel("RTFx: audio s per s of processing")
        end_labels(ax, labels)

    return draw(key, paint, title=title, label=f"{title}. {said(mine, lines, ('rtfx',), 'x')}", note=note(mine, lines))


def _alike(points: Sequence[Point], eos: str) -> tuple[list[Point], Manner]:
    mine = [p for p in points if captions.manner_of(p).eos == eos]
    found = list(captions.manners(mine))
    if len(found) > 1:
        paces = ", ".join(names_of.plain(manner.pace) for manner in found)
        raise ValueError(f"paces {paces} cannot share a chart: draw the points of one")
    return mine, found[0] if found else Manner(eos, 1.0)


def _times(
    points: Sequence[Point],
    name: str,
    manner: Manner,
    *,
    title: str,
    axis: str,
    slo_ms: float | None = None,
    more: str = "",
) -> Figure:
    key, half, tail = f"{name}-{manner.key}", f"{name}_p50_ms", f"{name}_p95_ms"
    if not any(p[half].value is not None for p in points):
        return nothing(key, title=title, reason=_why(points, half, "No stream ended well."), manner=manner.words)
    lines = highlighted(points, by=half)
    named = [line for line in lines if line.name != ALONE]
    known = [p[m].value for p in points for m in (half, tail) if p[m].value is not None]
    logarithmic = min(value for value in known if value is not None) > 0

    def paint(sheet: Sheet) -> None:
        ax, levels = load_axes(sheet, points, named, suffix=" p95" if sheet.wide or not named else "")
        ax.set_yscale("log" if logarithmic else "linear")
        for same in grey(points, lines):
            stroke(ax, same, levels, half, FAINT)
        labels: list[tuple[float, str, str]] = []
        for line in lines:
            labels += _setting(sheet, ax, of(points, line.trial_id), levels, line, half, tail)
        if logarithmic:
            readable_log(ax, slo_ms)
        if slo_ms is not None:
            _target(ax, slo_ms)
        ax.set_ylabel(f"{axis}{' (log scale)' if logarithmic else ''}")
        end_labels(ax, labels)

    text = f"{_LEGEND} {note(points, lines, why=_FASTEST)}".strip()
    label = f"{title}. {said(points, lines, (half, tail), 'ms')}"
    return draw(key, paint, title=title, label=label, note=f"{text}{more}", manner=manner.words)


def _setting(
    sheet: Sheet,
    ax: Axes,
    points: Sequence[Point],
    levels: Mapping[float, float],
    line: Line,
    half: str,
    tail: str,
) -> list[tuple[float, str, str]]:
    """Both percentiles of one setting; returns the labels of their ends."""
    middle = stroke(ax, points, levels, half, line.colour, band=True)
    high = stroke(ax, points, levels, tail, line.colour, dashes=True, whiskers=True)
    tips(sheet, ax, points, levels, line.setting, (half, tail), "ms")
    name = "" if line.name == ALONE else f"{line.name} "
    labels = [(middle, line.name if name else "p50", line.colour)] if middle is not None else []
    room = sheet.wide or not name  # on a phone the names of the dashed lines would take the chart's place
    return [*labels, (high, f"{name}p95", line.colour)] if high is not None and room else labels


def _target(ax: Axes, slo_ms: float) -> None:
    ax.axhspan(ax.get_ylim()[0], slo_ms, color=GOOD, zorder=0, linewidth=0)
    ax.axhline(slo_ms, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    text = f"target {names_of.plain(float(slo_ms))} ms"
    write(ax, text, (0, slo_ms), of=("axes fraction", "data"), by=(4, 3), color=MUTED, fontsize=8)


def _why(points: Sequence[Point], measure: str, otherwise: str) -> str:
    """The reason that most points give for having no value."""
    reasons = [p[measure].reason for p in points if p[measure].reason]
    if not reasons:
        return otherwise
    most = max(sorted(set(reasons)), key=reasons.count)
    return f"{most[:1].upper()}{most[1:]}."
