"""Figures of candidates: word errors against the time to the final, and what an hour of audio costs.

Knows candidates and computes no number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from yapbench.choose import sentences
from yapbench.choose.candidate import Candidate
from yapbench.choose.choice import Choice
from yapbench.choose.verdict import number_of
from yapbench.figure import FAINT, GOOD, INK, MUTED, SERIES, Figure, Sheet, draw, nothing, spread, write
from yapbench.plots.panels import hover
from yapbench.stats import Estimate
from yapbench.streams.captions import WORLDS

LINES: Final = "Lines: 95 % intervals."
_ROW_INCHES: Final = 0.42
_FEWEST_INCHES: Final = 1.1


def words_and_times(choice: Choice) -> Figure:
    """WER against EOS p95 of each live candidate at the load that it carries, its N* beside its name."""
    live = [one for one in choice.candidates if not one.apart and not one.files]
    shown = [one for one in live if _known(one, "wer") and _known(one, "eos_p95_ms")]
    key, head = "choose-words", _words_title(shown)
    if not shown:
        return nothing(key, title=head, reason="No live candidate has both numbers.")

    def paint(sheet: Sheet) -> None:
        wide, tall = sheet.canvas.get_size_inches()
        longest = max(len(_label(one)) for one in shown)
        right = min(0.45 * wide, 0.1 + 0.071 * longest)
        ax = sheet.canvas.add_axes((0.55 / wide, 0.5 / tall, 1 - (0.6 + right) / wide, 1 - 0.6 / tall))
        _frame(ax, shown, choice.slo_ms)
        for one in shown:
            at, up = number_of(one, "eos_p95_ms"), number_of(one, "wer")
            colour = _colour(choice, one)
            _cross(ax, at, up, colour)
            ax.plot([at.value or 0.0], [up.value or 0.0], "o", color=colour, markersize=8, zorder=4)
            hover(sheet, ax, (at.value or 0.0, up.value or 0.0), _words(one, choice))
        _names(ax, choice, shown)

    aside = [one.name for one in choice.candidates if one not in shown]
    left_out = f" Not drawn: {sentences.listed(aside)}." if aside else ""
    return draw(
        key,
        paint,
        title=head,
        label=f"{head}. {'; '.join(_words(one, choice) for one in shown)}",
        note=f"Each at the load that it carries (N* streams); down and left is better. {LINES} "
        f"Dashed: the target of {choice.slo_ms:g} ms.{left_out}",
        heights={"wide": 3.3, "phone": 2.9},
    )


def costs(choice: Choice) -> Figure:
    """What an hour of audio costs by each candidate, the cheapest on top."""
    known = [one for one in choice.candidates if not one.apart and _known(one, "cost")]
    shown = sorted(known, key=lambda one: (number_of(one, "cost").value or 0.0, one.name))
    key, head = "choose-cost", _cost_title(shown, choice)
    if not shown:
        return nothing(key, title=head, reason="Of no candidate is it known how much audio it carries.")
    tall = max(_FEWEST_INCHES, _ROW_INCHES * len(shown)) + 0.5

    def paint(sheet: Sheet) -> None:
        wide, high = sheet.canvas.get_size_inches()
        left = min(0.42 * wide, 0.15 + 0.075 * max(len(one.name) for one in shown))
        ax = sheet.canvas.add_axes((left / wide, 0.45 / high, 1 - (left + 0.2) / wide, 1 - 0.5 / high))
        rows = range(len(shown))[::-1]
        for row, one in zip(rows, shown, strict=True):
            found = number_of(one, "cost")
            colour = _colour(choice, one)
            ax.barh([row], [found.value or 0.0], height=0.5, color=colour, alpha=0.85, zorder=2)
            if found.known:
                ax.plot([found.low or 0.0, found.high or 0.0], [row, row], color=INK, linewidth=1.3, zorder=3)
            hover(sheet, ax, (found.value or 0.0, row), f"{one.name}: {sentences.told('cost', found, choice.terms)}")
        ax.set_yticks(list(rows), [one.name for one in shown])
        ax.set_ylim(-0.6, len(shown) - 0.4)
        ax.set_xlim(0, 1.08 * max(_ends(number_of(one, "cost"))[-1] for one in shown))
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.grid(visible=False, axis="y")
        ax.set_xlabel(f"an hour of audio, {choice.terms.unit}")

    aside = [one.name for one in choice.candidates if one not in shown]
    left_out = f" Not known: {sentences.listed(aside)}." if aside else ""
    return draw(
        key,
        paint,
        title=head,
        label=f"{head}. "
        + "; ".join(f"{one.name}: {sentences.told('cost', number_of(one, 'cost'), choice.terms)}" for one in shown),
        note=f"{choice.terms.words}. Live servers by N* streams, files by audio finished per second. {LINES} "
        f"One that begins at 0: no load was too much, so the cost is at most that.{left_out}",
        heights={"wide": tall, "phone": tall},
    )


def _words_title(shown: Sequence[Candidate]) -> str:
    if len(shown) < 2:
        return "Word errors and time to the final"
    return _in_world(
        shown, f"{_first(shown, 'wer')} has the lowest WER, {_first(shown, 'eos_p95_ms')} the soonest finals"
    )


def _cost_title(shown: Sequence[Candidate], choice: Choice) -> str:
    if len(shown) < 2:
        return "What an hour of audio costs"
    text = f"An hour of audio costs least by {_first(shown, 'cost')}"
    return _in_world(
        shown, f"{text}: {sentences.told('cost', number_of(shown[0], 'cost'), choice.terms).partition('audio ')[2]}"
    )


def _first(shown: Sequence[Candidate], name: str) -> str:
    """The best by a number; of one that is not shown to be better, that it is so by the number alone."""
    ranked = sorted(shown, key=lambda one: (number_of(one, name).value or 0.0, one.name))
    best = number_of(ranked[0], name)
    alone = any(best.overlaps(number_of(other, name)) for other in ranked[1:])
    return f"{ranked[0].name}{' (by the number alone)' if alone else ''}"


def _in_world(shown: Sequence[Candidate], text: str) -> str:
    worlds = list(dict.fromkeys(WORLDS[one.model] for one in shown if one.model in WORLDS))
    return f"{worlds[0]}, {text[0].lower() if text.startswith('An ') else text[0]}{text[1:]}" if worlds else text


def _known(one: Candidate, name: str) -> bool:
    return number_of(one, name).value is not None


def _colour(choice: Choice, one: Candidate) -> str:
    place = list(choice.candidates).index(one)
    return SERIES[place] if place < len(SERIES) else FAINT


def _label(one: Candidate) -> str:
    return f"{one.name} · N* {one.streams_words}" if one.streams.value is not None else one.name


def _words(one: Candidate, choice: Choice) -> str:
    numbers = ", ".join(sentences.told(name, number_of(one, name), choice.terms) for name in ("eos_p95_ms", "wer"))
    return f"{_label(one)}: {numbers}"


def _ends(found: Estimate) -> list[float]:
    return [end for end in (found.low, found.value, found.high) if end is not None]


def _frame(ax: Axes, shown: Sequence[Candidate], slo_ms: float) -> None:
    times = [end for one in shown for end in _ends(number_of(one, "eos_p95_ms"))]
    errors = [end for one in shown for end in _ends(number_of(one, "wer"))]
    ax.set_xlim(0, 1.06 * max([*times, slo_ms]))
    ax.set_ylim(0, 1.1 * max([*errors, 1.0]))
    ax.axvline(slo_ms, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    ax.axvspan(0, slo_ms, color=GOOD, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel("end of speech to final, p95, ms")
    ax.set_ylabel("WER, %")


def _cross(ax: Axes, at: Estimate, up: Estimate, colour: str) -> None:
    if at.known:
        ax.plot([at.low or 0.0, at.high or 0.0], [up.value or 0.0] * 2, color=colour, linewidth=1.4, zorder=3)
    if up.known:
        ax.plot([at.value or 0.0] * 2, [up.low or 0.0, up.high or 0.0], color=colour, linewidth=1.4, zorder=3)


def _names(ax: Axes, choice: Choice, shown: Sequence[Candidate]) -> None:
    """To the right of the axes, each at the height of its mark, without overlap."""
    _, top = ax.get_ylim()
    wanted = [(number_of(one, "wer").value or 0.0) / top for one in shown]
    gap = 13.0 / (ax.get_window_extent().height / ax.figure.dpi * 72)
    for place, one in zip(spread(wanted, gap, gap / 2, 1 - gap / 4), shown, strict=True):
        bold: dict[str, Any] = {"color": _colour(choice, one), "fontweight": "bold", "fontsize": 8.5, "va": "center"}
        write(ax, _label(one), (1, place), by=(7, 0), **bold)
