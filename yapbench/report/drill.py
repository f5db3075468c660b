"""Each trial of a page in full: its setting, what ran, its files, the command that repeats it, and every number it has.

Knows trial.json and points; computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench import axes, store, traces
from yapbench.measures import Point
from yapbench.obtained import compile_words
from yapbench.plots.lines import where
from yapbench.report.gather import Gathered
from yapbench.report.rows import DASH
from yapbench.stats import Estimate
from yapbench.store import TrialData

_TOLD: Final = ("device", "dtype", "backend", "decoder", "look_ahead_ms", "chunk_ms", "parameters")
"""Of what the server said of itself: the facts that do not change from one request to the next."""


@dataclass(frozen=True)
class Column:
    """One load level."""

    load: str
    n: int
    verdict: str
    reasons: str


@dataclass(frozen=True)
class Line:
    """One measure at every level: (value, interval and n) each."""

    measure: str
    cells: list[tuple[str, str]]


@dataclass(frozen=True)
class Detail:
    """One trial on the page; all text."""

    trial_id: str
    setting: str
    status: str
    facts: list[tuple[str, str]]
    files: list[tuple[str, str]]
    """(address, name)."""
    reproduce: str
    columns: list[Column]
    lines: list[Line]
    untold: list[tuple[str, str]]
    """(reason, measures that have no value at any level)."""

    @property
    def heading(self) -> str:
        """The line that is seen while it is closed."""
        failed = sum(column.verdict != "VALID" for column in self.columns)
        points = f"{len(self.columns)} point{'' if len(self.columns) == 1 else 's'}"
        return f"{points}, {failed} not VALID" if failed else points


def details(gathered: Gathered, notebook: str) -> list[Detail]:
    """Every trial, finished ones first. `notebook`: what each one's executed notebook is called, beside the page."""
    return [_detail(trial, gathered, notebook) for trial in gathered.trials]


def _detail(trial: TrialData, gathered: Gathered, notebook: str) -> Detail:
    points = sorted((p for p in gathered.points if p.trial_id == trial.info["trial_id"]), key=lambda p: p.level)
    return Detail(
        trial_id=str(trial.info["trial_id"]),
        setting=axes.label(gathered.setting(trial), gathered.axes),
        status=str(trial.info["status"]),
        facts=_facts(trial, gathered, points),
        files=_files(trial, notebook),
        reproduce=str(trial.info.get("reproduce") or ""),
        columns=[Column(where(p), p.n, str(p.validity.verdict), "; ".join(p.validity.reasons)) for p in points],
        lines=_lines(points),
        untold=_untold(points),
    )


def _facts(trial: TrialData, gathered: Gathered, points: Sequence[Point]) -> list[tuple[str, str]]:
    info = trial.info
    failures: dict[str, int] = {}
    for point in points:
        for name, count in point.failures.items():
            failures[name] = failures.get(name, 0) + count
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(failures.items()))
    asked = sum(point.n for point in points)
    none = f"none of {asked}" if points else f"{DASH} nothing was counted"
    failure = info.get("failure") or {}
    return [
        *([("Failed", f"{failure.get('code', 'unknown')}: {failure.get('message', '')}")] if failure else []),
        ("Asked", _pairs({k: v for k, v in (info.get("asked") or {}).items() if k not in ("out_dir", "sweep")})),
        ("Obtained", _obtained(info.get("obtained") or {})),
        ("Failures", f"{said} of {asked}" if said else none),
        ("Certificate", _certificate(info)),
        ("Began", _began(info)),
    ]


def _pairs(values: Mapping[str, Any]) -> str:
    return " · ".join(axes.words(name, value) for name, value in sorted(values.items())) or f"{DASH} not stored"


def _obtained(status: Mapping[str, Any]) -> str:
    model = status.get("model") or {}
    names = [str(model.get(name) or "") for name in ("model_id", "revision")] if isinstance(model, dict) else []
    told = {name: status[name] for name in _TOLD if status.get(name) not in (None, "none")}
    parts = [" ".join(filter(None, names)), _pairs(told) if told else "", compile_words(status)]
    return " · ".join(filter(None, parts)) or f"{DASH} the server did not say"


def _certificate(info: Mapping[str, Any]) -> str:
    if "certificate" not in info:
        return f"{DASH} not stored"
    found = info["certificate"]
    if not isinstance(found, dict):
        return "not calibrated"
    return (
        f"{str(found.get('verdict', 'unknown')).lower()}, made {str(found.get('made_at', ''))[:16].replace('T', ' ')}"
    )


def _began(info: Mapping[str, Any]) -> str:
    began = str(info.get("started_at") or "")[:19].replace("T", " ")
    ready = info.get("server_ready_s")
    parts = [
        began or f"{DASH} not stored",
        *([f"server ready after {float(ready):.1f} s"] if ready is not None else []),
        *([f"{float(info['duration_s']):.0f} s in all"] if info.get("duration_s") is not None else []),
    ]
    return ", ".join(parts)


def _files(trial: TrialData, notebook: str) -> list[tuple[str, str]]:
    names = [notebook, store.TRIAL, "summary.json", store.UTTERANCES_FILE, store.MACHINE_FILE, traces.FILE]
    there = {path.name for path in trial.folder.iterdir()}
    if "notebook.ipynb" in there:  # from which the page of another name will be made
        there.add(notebook)
    return [(f"{trial.folder.name}/{name}", name) for name in names if name in there]


def _lines(points: Sequence[Point]) -> list[Line]:
    names = list(points[0].values) if points else []
    return [
        Line(name, [_cell(point[name], point.n) for point in points])
        for name in names
        if any(point[name].value is not None for point in points)
    ]


def _cell(value: Estimate, asked: int) -> tuple[str, str]:
    """The value; its interval, and its n where that is not the point's own."""
    if value.value is None:
        return DASH, value.reason
    bounds = f"{digits(value.low)}–{digits(value.high)}" if value.low is not None and value.high is not None else ""
    n = f"n {value.n}" if value.n != asked else ""
    return digits(value.value), ", ".join(filter(None, (bounds, n, "indicative" if value.indicative else "")))


def _untold(points: Sequence[Point]) -> list[tuple[str, str]]:
    reasons: dict[str, list[str]] = {}
    for name in points[0].values if points else ():
        if all(point[name].value is None for point in points):
            reasons.setdefault(points[0][name].reason or "not known", []).append(name)
    return [(reason, ", ".join(names)) for reason, names in reasons.items()]


def digits(value: float) -> str:
    """Three digits that count, as far as they stand behind the point."""
    size = abs(value)
    return f"{value:.{max(0, 2 - math.floor(math.log10(size)))}f}" if 0 < size < 100 else f"{value:.0f}"
