"""Two sweeps side by side, each cell of notebook 90_compare one method. It gives no verdict."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd

from yapbench import axes, parameters, store
from yapbench.errors import UsageError
from yapbench.export import MARK
from yapbench.export.reading import Exported
from yapbench.figure import Figure, nothing
from yapbench.markup import Markup
from yapbench.results import table
from yapbench.side_by_side import figures, tables
from yapbench.side_by_side.pairs import Matched, Pair, matched
from yapbench.side_by_side.ratios import cells
from yapbench.streams.times import TIMES
from yapbench.words import at, capital, number

_OF_STREAMS: Final = ("eos_p50_ms", "eos_p95_ms", "ttfp_p50_ms", "wer", "audio_s_per_s", "cpu_percent", "ok_share")
_OF_REQUESTS: Final = ("latency_p50_ms", "latency_p95_ms", "rps", "cpu_ms_per_request", "ok_share")
_OTHERWISE: Final = {"eos_p50_ms": "eos_due_p50_ms", "eos_p95_ms": "eos_due_p95_ms"}
"""Of a corpus that does not say when speech ends."""
_EACH: Final = ("eos_ms", "eos_due_ms", "processing_s", "latency_ms")
"""Columns of `by_utterance` whose distribution is shown where no metric says which."""
_STATISTIC: Final = re.compile(r"_(p\d+|mean)(?=_ms$|$)")
_MEANINGS: Final = {f"{name}_ms": meaning for name, meaning in TIMES.items()} | {
    "latency_ms": "from when a request was meant to be sent to its answer",
    "sent_ms": "from the first byte sent to the answer",
}
_NOTHING: Final = Markup("<p>No point stands in both sweeps.</p>")
MOST_NAMES: Final = 6
"""Settings without a partner that are named; of more, how many."""


class SideBySide:
    """Two exports; each method shows one thing about both. Raises UsageError for a choice that there is not."""

    def __init__(
        self,
        before: Exported,
        after: Exported,
        *,
        folders: Sequence[Path] = (),
        metrics: Sequence[str] = (),
        level: float | None = None,
        setting: object = 1,
    ) -> None:
        if before.streams is not after.streams:
            kinds = ["streams" if side.streams else "requests" for side in (before, after)]
            raise UsageError(f"before are {kinds[0]}, after are {kinds[1]}: they have other numbers")
        self.before, self.after = before, after
        self._folders = list(folders) or [before.folder, after.folder]
        known = [name for name in before.units if name in after.units and f"{name}_low" in before.units]
        for name in metrics:
            if name not in known:
                raise UsageError.unknown("metric", name, known)
        self.metrics = list(metrics) or self._usual()
        self._level, self._setting = level, setting

    @cached_property
    def matched(self) -> Matched:
        """Which settings stand in both."""
        return matched(self.before.points, self.after.points)

    @property
    def pairs(self) -> list[Pair]:
        """The settings with a load level that both sides have."""
        return [pair for pair in self.matched.pairs if pair.levels]

    def conclusion(self) -> Markup:
        """What there is to lay side by side, and what stands in its way."""
        count, points = len(self.pairs), sum(len(pair.levels) for pair in self.pairs)
        settings = "setting stands" if count == 1 else "settings stand"
        head = f"{capital(number(count))} {settings} in both, with {points or 'no'} point{'' if points == 1 else 's'}"
        items = "".join(f"<li>{html.escape(line)}</li>" for line in self._cautions())
        return Markup(f"<h3>{html.escape(head)}</h3><ul>{items}</ul>")

    def facts(self) -> Markup:
        """Where both come from."""
        return tables.facts(self.before, self.after)

    def differences(self) -> Markup:
        """Which settings have other values after than before."""
        return tables.differences(self.matched.differences)

    def settings(self) -> Markup:
        """The settings that stand in both, by their numbers, and those that do not."""
        if not self.pairs:
            return _NOTHING
        rows = [
            [str(place), html.escape(pair.name), ", ".join(at(pair.before, level) for level in pair.levels)]
            for place, pair in enumerate(self.pairs, 1)
        ]
        return table(["", "setting", "at"], rows)

    def table(self) -> Markup:
        """Every metric at every common point, with intervals and ratios."""
        if not self.pairs:
            return _NOTHING
        shown = [
            tables.numbers(
                cells(self.pairs, name), meaning=self.before.meanings[name], unit=self.before.units[name]
            ).markup
            for name in self.metrics
        ]
        return Markup("".join(shown))

    def by_load(self) -> Markup:
        """A figure for each metric, against the load."""
        if not self.pairs:
            return _NOTHING
        drawn = [figures.by_load(self.pairs, name, unit=self.before.units[name]) for name in self.metrics]
        return Markup("".join(figure._repr_html_() for figure in drawn))

    def ecdf(self) -> Figure:
        """All utterances of one point: of the chosen setting, at the chosen or the heaviest common level."""
        if not self.pairs:
            return nothing("beside-ecdf", title="All utterances of one point", reason="No point stands in both sweeps.")
        pair = self._chosen()
        level = max(pair.levels) if self._level is None else parameters.number("level", self._level)
        if level not in pair.levels:
            raise UsageError(f"level {level:g} is not one of {', '.join(f'{known:g}' for known in pair.levels)}")
        place = pair.levels.index(level)
        points = {"before": pair.before[place], "after": pair.after[place]}
        sides = {
            side: (point, exported.utterances(point.trial_id, level))
            for (side, point), exported in zip(points.items(), (self.before, self.after), strict=True)
        }
        column = self._column([rows for _, rows in sides.values()])
        where = f"{pair.name}, {at(pair.before, level)}"
        return figures.ecdf(sides, column, where=where, meaning=_MEANINGS.get(column, column))

    def command(self) -> str:
        """The command that says whether a difference is one; it reads the sweeps themselves."""
        return shlex.join(["yapbench", "compare", *(str(_sweep_of(folder)) for folder in self._folders)])

    def _cautions(self) -> list[str]:
        found = self.matched
        points = [point for pair in self.pairs for point in (*pair.before, *pair.after)]
        invalid = sum(not point.valid for point in points)
        said = {
            "Both hold the same measurements.": self.before.points == self.after.points,
            "The machine is another one: times differ for that reason too.": self._differ("cpu_model", "cores", "gpus"),
            "Other audio was sent: neither times nor words compare.": self._differ("corpus_sha256"),
            "The latency target is another one, and with it what counts as goodput.": self._differ("slo_ms"),
            f"{invalid} of their {len(points)} points are invalid: no ratio is told of them.": bool(invalid),
        }
        return [
            *(line for line, so in said.items() if so),
            *(
                f"No value in common: {axes.title(one.name)}, {one.before} before, {one.after} after."
                for one in found.nothing_shared
            ),
            *_listed("Without a result before", self.before.left_out),
            *_listed("Without a result after", self.after.left_out),
            *_listed("Only before", found.only_before),
            *_listed("Only after", found.only_after),
            *_listed("Several trials of one setting on a side, left out", found.ambiguous),
            *_listed("No common load level", [pair.name for pair in found.pairs if not pair.levels]),
        ]

    def _differ(self, *columns: str) -> bool:
        return bool(tables.differing(self.before, self.after, *columns))

    def _usual(self) -> list[str]:
        """The usual metrics of which either side knows something, or all of them where nothing is known."""
        usual = _OF_STREAMS if self.before.streams else _OF_REQUESTS
        points = [point for side in (self.before, self.after) for point in side.points]

        def known(name: str) -> bool:
            return any(name in point.values and point[name].value is not None for point in points)

        chosen = [name if known(name) or name not in _OTHERWISE else _OTHERWISE[name] for name in usual]
        return [name for name in chosen if known(name)] or list(usual)

    def _column(self, sides: Iterable[pd.DataFrame]) -> str:
        """The column of `by_utterance` behind the first metric that has one, else the usual one that has values."""
        frames = list(sides)
        wanted = [_STATISTIC.sub("", name) for name in self.metrics if _STATISTIC.search(name)]
        there = [name for name in (*wanted, *_EACH) if all(name in rows for rows in frames)]
        full = (name for name in there if any(rows[name].notna().any() for rows in frames))
        return next(full, there[0])

    def _chosen(self) -> Pair:
        if not isinstance(self._setting, int) or not 1 <= self._setting <= len(self.pairs):
            raise UsageError(f"setting {self._setting!r} is not one of the {len(self.pairs)} that stand in both")
        return self.pairs[self._setting - 1]


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """One line; empty where there is nothing to name."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return [f"{what}: {'; '.join(names[:MOST_NAMES])}{more}."] if names else []


def _sweep_of(folder: Path) -> Path:
    """The sweep's folder where an export lies in it, else the folder itself."""
    parent = folder.resolve().parent
    inside = (folder / MARK).exists() and any((child / store.TRIAL).exists() for child in parent.iterdir())
    return parent if inside else folder
