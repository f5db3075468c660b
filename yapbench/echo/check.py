"""What echo was told to say against what was measured, level by level: the instrument, looked at by itself.

Knows a finished trial and its script; the closed forms are echo_known.py's. A time that has none (queue mode, drawn
delays, an end that the server finds) is left out, never guessed.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from yapbench.echo import script as echo_script
from yapbench.echo.known import Known
from yapbench.echo.script import Told
from yapbench.markup import Markup
from yapbench.pacing.streaming import StreamOptions
from yapbench.results import table
from yapbench.schema import Phase
from yapbench.store import TrialData
from yapbench.streams.measures import Measured, measure
from yapbench.streams.times import Stream
from yapbench.trial import Trial


@dataclass(frozen=True)
class Check:
    """One number at one load level; of times the median over all counted utterances (words) that ended well."""

    level: float
    what: str
    n: int
    known: float
    measured: float
    off: float
    """Measured minus known; of times the median of each utterance's (word's) own difference."""
    unit: str

    def words(self, *values: float) -> list[str]:
        """With the unit."""
        return [f"{value:.2f} {self.unit}" for value in values]


def checks(trial: Trial, data: TrialData) -> list[Check]:
    """Everything that is known beforehand of a trial of echo; [] for a server that has no script of ours."""
    options = trial.profile.stream
    if trial.script is None or options is None:
        return []
    script = echo_script.script_of(trial.corpus, trial.script)
    known = _known(trial, script, options)
    counted = data.utterances[data.utterances["phase"] == Phase.STEADY]
    found = []
    for level, rows in counted.groupby("level"):
        pairs = [(str(row["utterance_id"]), measure(Stream.of(row))) for row in rows.to_dict("records")]
        well = [(known[name], one) for name, one in pairs if one.stream.ok]
        found += _times(float(str(level)), well, trial.settings, options) + _words(float(str(level)), well)
    return found


def check_table(trial: Trial, data: TrialData) -> Markup:
    """The same for a cell."""
    rows = [
        [f"{one.level:g}", html.escape(one.what), str(one.n), *one.words(one.known, one.measured), *one.words(one.off)]
        for one in checks(trial, data)
    ]
    if not rows:
        return Markup("<p>Nothing is known beforehand: the server has no script that this trial wrote.</p>")
    return table(["load", "what", "n", "must be", "measured", "off by"], rows)


def _known(trial: Trial, script: Mapping[str, Told], options: StreamOptions) -> dict[str, Known]:
    delays = {name: float(trial.settings.get(name, 0.0)) for name in ("delay_ms", "partial_delay_ms")}
    return {one.id: Known(utterance=one, told=script[one.id], options=options, **delays) for one in trial.corpus}


def _times(
    level: float, well: list[tuple[Known, Measured]], settings: Mapping[str, Any], options: StreamOptions
) -> list[Check]:
    if options.eos != "commit" or not options.pace or settings.get("delay_sigma"):
        return []
    timed = [(known, one) for known, one in well if known.utterance.words]
    found = [
        _check(level, "onset to first words, median", ((k.ttfp_ms, one.times["ttfp"].value) for k, one in timed)),
        _check(level, "end of a word to its being seen, median", _emissions(timed)),
    ]
    late_partials = settings.get("partial_delay_ms", 0) > settings.get("delay_ms", 0)  # finals wait behind them
    if not settings.get("service_ms") and not late_partials:
        found.append(
            _check(level, "end of speech to final, median", ((k.eos_ms, one.times["eos"].value) for k, one in well))
        )
    return [check for check in found if check is not None]


def _emissions(timed: list[tuple[Known, Measured]]) -> Iterable[tuple[float, float | None]]:
    for known, one in timed:
        seen = [emission.first_ms for emission in one.emissions if emission.first_ms is not None]
        if len(seen) == len(known.emissions_ms):  # other words than the script's say nothing of its times
            yield from zip(known.emissions_ms, seen, strict=True)


def _check(level: float, what: str, pairs: Iterable[tuple[float, float | None]]) -> Check | None:
    both = np.array([(known, found) for known, found in pairs if found is not None], dtype=np.float64).reshape(-1, 2)
    if not len(both):
        return None
    known, found = np.median(both, axis=0)
    return Check(level, what, len(both), float(known), float(found), float(np.median(both[:, 1] - both[:, 0])), "ms")


def _words(level: float, well: list[tuple[Known, Measured]]) -> list[Check]:
    scored = [(known, one.score.words.errors) for known, one in well if one.score is not None]
    words = sum(errors.reference for _, errors in scored)
    if not words:
        return []
    planted = 100 * sum(len(known.told.wrong) for known, _ in scored) / words
    measured = 100 * sum(errors.total for _, errors in scored) / words
    return [Check(level, "word errors", len(scored), planted, measured, measured - planted, "%")]
