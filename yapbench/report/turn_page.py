"""A page of requests and answers: latency, throughput, batches, and turn decisions against their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from yapbench import axes, captions, plots
from yapbench import findings as of_requests
from yapbench.captions import Number
from yapbench.figure import Figure
from yapbench.findings import Finding
from yapbench.measures import MEASURES as MEASURES
from yapbench.measures import Point
from yapbench.obtained import ENGINE, STAND_INS, model_name
from yapbench.report.gather import Gathered, decided_as
from yapbench.report.rows import cell, percent

THING: Final = "request"
FAILED: Final = "not answered"
OWN: Final = "turn_section.html.j2"
METHOD: Final = "turn_method.html.j2"

_COLUMNS: Final = (
    ("latency_p50_ms", "p50, ms"),
    ("latency_p95_ms", "p95, ms"),
    ("latency_p99_ms", "p99, ms"),
    ("rps", "answers/s"),
    ("goodput_share", "in time, %"),
    ("queue_ms", "queue, ms"),
    ("inference_ms", "model, ms"),
    ("batch_size", "batch"),
    ("cpu_ms_per_request", "CPU ms/req"),
    ("rss_peak_mib", "RSS, MiB"),
)


def columns(points: Sequence[Point]) -> Sequence[tuple[str, str]]:
    """The same for every sweep."""
    return _COLUMNS


def headline(points: Sequence[Point], *, failed: int = 0) -> str:
    """The strongest finding that the data supports."""
    return of_requests.headline(points, failed=failed)


def findings(points: Sequence[Point]) -> list[Finding]:
    """What the headline does not say already."""
    said = of_requests.headline(points)
    return [finding for finding in of_requests.of_settings(points) if finding.text != said]


def numbers(gathered: Gathered) -> list[Number]:
    """Latency, most served, most in time, turns decided right."""
    return captions.numbers(gathered.points, gathered.decisions, gathered.slo_ms)


def figures(gathered: Gathered) -> list[Figure]:
    """Curves, engines where they vary, the heat map, queueing, batches, and resources of the trial that served most."""
    points = gathered.points
    best = max(points, key=lambda p: (p.valid, p["rps"].value or 0), default=None)
    shown = next((t for t in gathered.done if best and t.info["trial_id"] == best.trial_id), None)
    found = [
        plots.latency_by_level(points, slo_ms=gathered.slo_ms),
        plots.throughput_by_level(points),
        *([plots.engines_compared(points)] if ENGINE in gathered.axes else []),
        plots.heat_map(points),
        plots.queue_and_inference(points),
        plots.batch_sizes(points),
    ]
    if shown is not None:
        words = axes.label(gathered.setting(shown), gathered.axes)
        title = captions.resources([p for p in points if p.trial_id == shown.info["trial_id"]])
        found.append(plots.resources_over_time(shown, title=f"{title} ({words})" if gathered.axes else title))
    return found


def own(gathered: Gathered) -> dict[str, Any]:
    """Turn decisions, each model on each audio by itself."""
    return {
        "decided": [_decided(gathered, said) for said in gathered.decisions],
        "corpus_note": (gathered.info.get("corpus") or {}).get("note", ""),
    }


def notes(gathered: Gathered) -> list[str]:
    """What must be said of models that stand in for others."""
    names = dict.fromkeys(model_name(trial.info) for trial in gathered.trials)
    return [f"{STAND_INS[name][0].upper()}{STAND_INS[name][1:]}." for name in names if name in STAND_INS]


def badges(gathered: Gathered) -> list[str]:
    """None of its own."""
    return []


def how(gathered: Gathered) -> list[str]:
    """Nothing more: a request is sent as it is."""
    return []


def _decided(gathered: Gathered, said: str) -> dict[str, Any]:
    """One model's turn decisions on one audio for the page; they are named where there are several."""
    found = gathered.decisions[said]
    name = said if len(gathered.decisions) > 1 else ""
    trials = sum(decided_as(trial, gathered.done) == said for trial in gathered.done)
    return {
        "model": name,
        "stand_in": STAND_INS.get(said.partition(",")[0], ""),
        "figure": plots.turn_probabilities(found, trials=trials, model=name),
        "decisions": found,
        "accuracy": percent(found.accuracy),
        "auc": cell(found.auc, digits=3),
    }
