"""Points as rows: wide, with every measure in columns of its own, and long, with one row for each measure.

The wide form is for spreadsheets and pivot tables; the long one also says why a number is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from yapbench import measures, stats
from yapbench.export import trials
from yapbench.export.columns import FLAG, NUMBER, TEXT, WHOLE, Column, is_tail, of_measure, unit_of
from yapbench.export.shared import Shared
from yapbench.export.tables import Table
from yapbench.measures import Point
from yapbench.obtained import streamed
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.streams import measures as of_streams

_WHICH: Final = (
    Column("load", TEXT, "load profile: closed, ramp, soak, poisson or burst"),
    Column("level", NUMBER, "its level: clients or streams at a time, arrivals per second, or how many at once", ""),
)
_REPEAT: Final = Column("repeat", WHOLE, "which round over all levels, from 0")
_VERDICT: Final = Column("verdict", TEXT, "VALID, DISTURBED, or INVALID: an invalid point has no part in any claim")
_SLO: Final = Column("slo_ms", NUMBER, "latency target of the goodput")
_BELIEVED: Final = (
    Column("repeats", WHOLE, "rounds that the point is made of"),
    Column("n", WHOLE, "counted utterances, failed ones included"),
    Column("failed", WHOLE, "those of them that did not end well"),
    Column("failures", TEXT, "how many by type"),
    _VERDICT,
    Column("reasons", TEXT, "why it is not VALID"),
)
_HARNESS: Final = {
    "lateness_p50_ms": "how late the client sent: median over requests, or frames",
    "lateness_p99_ms": "the same, 99 % within",
    "lateness_max_ms": "the latest",
    "loop_lag_p99_ms": "how long the load process kept what had arrived waiting, 99 % within",
    "steal_percent": "of all cores, time that the host gave to somebody else",
    "others_percent": "of all cores, time spent on neither the server nor the load",
}
_IDENTITY: Final = (
    Column("sweep", TEXT, "name of the sweep's folder"),
    Column("trial_id", TEXT, "the trial that the point is from"),
)
_LONG: Final = (
    Column("measure", TEXT, "name of the measure"),
    Column("value", NUMBER, "its value, in the unit beside it", ""),
    Column("low", NUMBER, "lower end of its 95 % interval", ""),
    Column("high", NUMBER, "upper end of its 95 % interval", ""),
    Column("samples", WHOLE, "samples behind it"),
    Column("indicative", FLAG, "a tail from too few samples to be relied upon"),
    Column("unit", TEXT, "unit of the value"),
    Column("missing", TEXT, "why there is no value, or no interval"),
)

BY_REPEAT: Final = "by_repeat"
OWN: Final = tuple(column.name for column in (*_IDENTITY, *_WHICH, _REPEAT, *_BELIEVED, *_LONG, _SLO)) + tuple(_HARNESS)
"""Names that no column of a setting can have."""


def by_repeat(trial: TrialData, pooled: Sequence[Point]) -> list[Point]:
    """The points of each repeat alone. Those of a trial with one repeat are the `pooled` ones."""
    rows = trial.utterances
    if rows["repeat"].nunique() == 1:
        return [replace(point, repeat=int(rows["repeat"].iloc[0])) for point in pooled]
    if streamed(trial.info):  # as summary.json has them
        return of_streams.points_by_repeat(trial, replicates=measures.REPLICATES_OF_STREAMS)
    return measures.points_by_repeat(trial)


def wide(name: str, found: Sequence[Point], shared: Shared) -> Table:
    """One row for each point.

    What tells the points apart comes first, then the measures, then what is the same everywhere and where it was run.
    """
    columns = [
        *_IDENTITY,
        *shared.varying,
        *_WHICH,
        *([_REPEAT] if name == BY_REPEAT else []),
        *_BELIEVED,
        *(column for measure, meaning in shared.measures.items() for column in of_measure(measure, meaning)),
        _SLO,
        *(Column(key, NUMBER, meaning) for key, meaning in _HARNESS.items()),
        *shared.fixed,
        *trials.POINT_FACTS,
    ]
    rows = []
    for point in found:
        row = _head(point, shared) | _values(point, shared.measures) | {"slo_ms": point.slo_ms}
        row |= trials.facts(shared.infos[point.trial_id], trials.POINT_FACTS)
        rows.append(row | {key: _rounded(getattr(point.validity, key)) for key in _HARNESS})
    return Table.of(name, columns, rows)


def long(name: str, found: Sequence[Point], shared: Shared) -> Table:
    """One row for each measure of each point; of the settings those that vary."""
    which = [_REPEAT] if name.startswith(BY_REPEAT) else []
    columns = [*_IDENTITY, *shared.varying, *_WHICH, *which, _VERDICT, *_LONG]
    rows = [_head(point, shared) | _one(measure, point[measure]) for point in found for measure in shared.measures]
    return Table.of(name, columns, rows)


def _head(point: Point, shared: Shared) -> dict[str, Any]:
    return {
        "sweep": shared.sweep,
        "trial_id": point.trial_id,
        **trials.settings(shared.infos[point.trial_id], shared.settings),
        "load": point.kind,
        "level": point.level,
        "repeat": point.repeat,
        "repeats": point.repeats,
        "n": point.n,
        "failed": sum(point.failures.values()),
        "failures": ", ".join(f"{count} {outcome}" for outcome, count in sorted(point.failures.items())),
        "verdict": str(point.validity.verdict),
        "reasons": "; ".join(point.validity.reasons),
    }


def _values(point: Point, measured: Iterable[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in measured:
        value = point[name]
        row |= {name: _rounded(value.value), f"{name}_low": _rounded(value.low), f"{name}_high": _rounded(value.high)}
        row |= {f"{name}_n": value.n}
        row |= {f"{name}_indicative": value.indicative} if is_tail(name) else {}
    return row


def _one(name: str, value: Estimate) -> dict[str, Any]:
    bounds = {"value": _rounded(value.value), "low": _rounded(value.low), "high": _rounded(value.high)}
    return {
        "measure": name,
        **bounds,
        "samples": value.n,
        "indicative": value.indicative,
        "unit": unit_of(name),
        "missing": value.reason or None,
    }


def _rounded(value: float | None) -> float | None:
    """As summary.json has it, so that bytes do not hang on the last bit."""
    return None if value is None else stats.significant(value)
