"""How failures look in every figure: a colour, a mark and a pattern for each type; and the figure of their shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes

from yapbench import axes as names_of
from yapbench import stats
from yapbench.figure import INK, MUTED, SERIES, Figure, Sheet, draw, nothing
from yapbench.measures import Point
from yapbench.plots.legend import Item, height, write_legend
from yapbench.plots.lines import where
from yapbench.schema import Outcome
from yapbench.streams import captions

MOST_ROWS: Final = 12
"""Points that have a bar each; where there are more, the settings of a load level share one."""


@dataclass(frozen=True)
class Look:
    """Of one type of failure; no two types share all three."""

    colour: str
    mark: str
    pattern: str = ""


LOOKS: Final[Mapping[str, Look]] = {
    Outcome.TIMEOUT: Look(SERIES[1], "X"),
    Outcome.REJECTED: Look(SERIES[4], "s"),
    Outcome.NO_FINAL: Look(SERIES[3], "D"),
    Outcome.SERVER_ERROR: Look(SERIES[2], "^"),
    Outcome.SERVER_DIED: Look(SERIES[0], "v"),
    Outcome.DEADLINE: Look(SERIES[1], "<", "////"),
    Outcome.REFUSED: Look(SERIES[4], "P", "////"),
    Outcome.WRONG_RESULT: Look(SERIES[3], "*", "////"),
    Outcome.PROTOCOL: Look(SERIES[2], ">", "////"),
    Outcome.BAD_REQUEST: Look(SERIES[0], "p", "////"),
    Outcome.CLIENT_LATE: Look(SERIES[1], "h", "...."),
}
OTHER: Final = Look(MUTED, "x")


def look(outcome: str) -> Look:
    """How a type of failure is drawn."""
    return LOOKS.get(outcome, OTHER)


@dataclass(frozen=True)
class _Row:
    name: str
    n: int
    failures: Mapping[str, int]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def high(self) -> float:
        """The upper end of the share's interval."""
        if not self.failed:
            return stats.upper_bound_of_none(self.n)
        return stats.fraction(self.failed, self.n).high or 0.0

    @property
    def words(self) -> str:
        """ "3.1 % (1.2–7.8)", or the largest share that none seen leaves likely."""
        if not self.failed:
            return f"none of {self.n}, at most {captions.percent(stats.upper_bound_of_none(self.n))}"
        share = stats.fraction(self.failed, self.n).scaled(100)
        return f"{share.value or 0:.1f} % ({share.low or 0:.1f}–{share.high or 0:.1f})"


def failures_by_type(points: Sequence[Point]) -> Figure:
    """The share of counted streams that failed, by type, for each load; 95 % interval, or the bound of none seen."""
    title = captions.failures(points)
    rows, pooled = _rows(points, pool=len(points) > MOST_ROWS or not any(p.failures for p in points))
    said = "; ".join(f"{row.name}: {row.words}{_types(row)}" for row in rows)
    if not rows:
        return nothing("failures", title=title, reason="No stream was counted.")
    types = sorted({name for row in rows for name in row.failures}, key=lambda name: -sum(_of(rows, name)))
    most = max(100 * row.high for row in rows)

    def paint(sheet: Sheet) -> None:
        width, tall = sheet.canvas.get_size_inches()
        beside = sheet.wide and max(len(row.name) for row in rows) <= 34
        left = (0.14 + 0.073 * max(len(row.name) for row in rows)) / width if beside else 0.02
        head = height(_legend(types), sheet.size)
        ax = sheet.canvas.add_axes((left, 0.4 / tall, 0.99 - left, 1 - (0.42 + head) / tall))
        longest = 0.3 + 0.068 * max(len(row.words) for row in rows)
        room = max(0.25, 1 - longest / ((0.99 - left) * width))
        for number, row in enumerate(rows):
            _bar(sheet, ax, number, row, types, thick=0.66 if beside else 0.4)
            if not beside:
                ax.text(0, number - 0.26, row.name, va="bottom", fontsize=8)
        ax.set(xlim=(0, most / room), ylim=(max(2, len(rows)) - 0.5, -0.6 if beside else -0.85))
        ax.set_yticks(range(len(rows)) if beside else [], [row.name for row in rows] if beside else [])
        ax.grid(False, axis="y")
        ax.set_xlabel("% of the counted streams")
        write_legend(sheet, _legend(types))

    per_row = {"wide": 0.3, "phone": 0.42}
    heights = {size: max(1.9, 0.56 + height(_legend(types), size) + each * len(rows)) for size, each in per_row.items()}
    note = "Thin line and brackets: the 95 % interval of the share; where none was seen, up to its 95 % upper bound."
    note += " Each bar holds all settings of that load." if pooled else ""
    return draw("failures", paint, title=title, label=f"{title}. {said}", note=note, heights=heights)


def _rows(points: Sequence[Point], *, pool: bool) -> tuple[list[_Row], bool]:
    """The bars, and whether they hold several settings each. `pool`: one for each load level."""
    names = names_of.varying([p.setting for p in points])
    if not pool:
        labels = [f"{names_of.label(p.setting, names)}, {where(p)}" if names else where(p) for p in points]
        marked = [name if p.valid else f"{name} (invalid)" for name, p in zip(labels, points, strict=True)]
        return [_Row(name, p.n, p.failures) for name, p in zip(marked, points, strict=True)], False
    rows: dict[float, _Row] = {}
    for point in sorted(points, key=lambda p: p.level):
        row = rows.get(point.level, _Row(where(point), 0, {}))
        both = {*row.failures, *point.failures}
        summed = {name: row.failures.get(name, 0) + point.failures.get(name, 0) for name in both}
        rows[point.level] = _Row(row.name, row.n + point.n, dict(sorted(summed.items())))
    return list(rows.values()), bool(names)


def _of(rows: Sequence[_Row], name: str) -> list[int]:
    return [row.failures.get(name, 0) for row in rows]


def _types(row: _Row) -> str:
    found = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in row.failures.items())
    return f" ({found})" if found else ""


def _bar(sheet: Sheet, ax: Axes, number: int, row: _Row, types: Sequence[str], *, thick: float) -> None:
    start = 0.0
    for name in types:
        count = row.failures.get(name, 0)
        share, seen = 100 * count / row.n, look(name)
        if count:
            style: dict[str, Any] = (
                {"color": seen.colour} if not seen.pattern else {"facecolor": "none", "edgecolor": seen.colour}
            )
            (bar,) = ax.barh(number, share, left=start, height=thick, linewidth=0, hatch=seen.pattern, **style)
            sheet.tip(bar, f"{row.name}: {count} of {row.n} {name.replace('_', ' ')} ({share:.1f} %)")
            start += share
    low = 100 * (stats.fraction(row.failed, row.n).low or 0.0)
    colour = INK if row.failed else MUTED
    ax.plot([low, 100 * row.high], [number, number], color=colour, linewidth=1.2, solid_capstyle="butt")
    start = 100 * row.high
    ax.annotate(
        row.words, (start, number), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8, color=colour
    )


def _legend(types: Sequence[str]) -> list[Item]:
    seen = [(look(name), name.replace("_", " ")) for name in types]
    return [(f"{'▨' if one.pattern else '■'} {name}", one.colour) for one, name in seen] or [("no failure", MUTED)]
