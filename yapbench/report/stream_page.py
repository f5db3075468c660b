"""A page of streams: end of speech to final, first words, failures, the client's own proof, and the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench import axes, plots, text
from yapbench.captions import Number
from yapbench.captions import resources as resources_caption
from yapbench.figure import Figure
from yapbench.findings import Finding
from yapbench.measures import Point
from yapbench.obtained import model_name, setting_of
from yapbench.plots.lines import highlighted, where
from yapbench.report.gather import Gathered
from yapbench.report.rows import Cell, percent
from yapbench.store import TrialData
from yapbench.streams import captions, key_numbers
from yapbench.streams import findings as of_streams
from yapbench.streams.captions import SCRIPTED, Manner
from yapbench.streams.measures import MEASURES as OF_STREAMS
from yapbench.streams.measures import TAKEN_OVER
from yapbench.validity import Verdict

THING: Final = "stream"
FAILED: Final = "failed"
OWN: Final = "stream_section.html.j2"
METHOD: Final = "stream_method.html.j2"
MEASURES: Final = {
    **OF_STREAMS,
    **dict.fromkeys(TAKEN_OVER, "as of requests"),
    "ok_share": "share of all counted streams that ended well",
    "cpu_percent": "CPU time of the server's whole process tree; 100 % is one core",
    "rss_peak_mib": "largest resident memory of the server's process tree",
    "vram_peak_mib": "largest GPU memory of the server's process tree",
}
MOST_WORD_ROWS: Final = 12

_COLUMNS: Final = (
    ("eos_p50_ms", "EOS p50, ms"),
    ("eos_p95_ms", "EOS p95, ms"),
    ("eos_p99_ms", "EOS p99, ms"),
    ("eos_due_p50_ms", "EOS due p50, ms"),
    ("flush_p50_ms", "flush p50, ms"),
    ("ttfp_p50_ms", "TTFP p50, ms"),
    ("ttfp_p95_ms", "TTFP p95, ms"),
    ("rtfx", "RTFx"),
    ("goodput_share", "in time, %"),
    ("audio_s_per_s", "audio s/s"),
    ("partial_rate", "partials/s"),
    ("wer", "WER, %"),
    ("substitutions", "S, %"),
    ("deletions", "D, %"),
    ("insertions", "I, %"),
    ("cpu_s_per_audio_s", "CPU s/audio s"),
    ("rss_peak_mib", "RSS, MiB"),
)
_ONLY_WHERE_KNOWN: Final = ("rtfx", "eos_due_p50_ms", "flush_p50_ms")


def columns(points: Sequence[Point]) -> Sequence[tuple[str, str]]:
    """Those for other ways of streaming are left out where no point has them."""
    known = {name for point in points for name in _ONLY_WHERE_KNOWN if point[name].value is not None}
    return [(name, title) for name, title in _COLUMNS if name not in _ONLY_WHERE_KNOWN or name in known]


def headline(points: Sequence[Point], *, failed: int = 0) -> str:
    """How many streams keep to the SLO."""
    return of_streams.headline(points, failed=failed)


def findings(points: Sequence[Point]) -> list[Finding]:
    """Everything else."""
    return of_streams.of_streams(points)


def numbers(gathered: Gathered) -> list[Number]:
    """Streams within the SLO, EOS, TTFP, WER."""
    return key_numbers.numbers(gathered.points, gathered.slo_ms, server=_server(gathered))


def figures(gathered: Gathered) -> list[Figure]:
    """The times of each policy and pace apart; then what holds for all of them, and the trial that tells most."""
    found: list[Figure] = []
    for manner, mine in captions.manners(gathered.points).items():
        found += _of_manner(gathered, manner, mine)
    found += [plots.failures_by_type(gathered.points), plots.frame_lateness(gathered.points)]
    shown = _telling(gathered)
    if shown is not None:
        points = [p for p in gathered.points if p.trial_id == shown.info["trial_id"]]
        words = axes.label(setting_of(shown.info), gathered.axes) if gathered.axes else ""
        found.append(plots.session_timeline(shown, named=_named(shown, gathered)))
        title = resources_caption(points)
        found.append(plots.resources_over_time(shown, title=f"{title} ({words})" if words else title))
    return found


def _of_manner(gathered: Gathered, manner: Manner, points: Sequence[Point]) -> list[Figure]:
    if not manner.pace:
        return [plots.rtfx_by_level(points)]
    mine = {point.trial_id for point in points}
    trials = [trial for trial in gathered.done if trial.info["trial_id"] in mine]
    lines = highlighted(points, by=f"{captions.felt(points)}_p50_ms")
    trade = plots.look_ahead_trade(points, eos=manner.eos, slo_ms=gathered.slo_ms)
    found = [
        *([trade] if trade is not None else []),
        plots.eos_by_level(points, eos=manner.eos, slo_ms=gathered.slo_ms),
        plots.ttfp_by_level(points, eos=manner.eos),
        plots.ecdf(
            trials,
            eos=manner.eos,
            measure=captions.felt(points),
            slo_ms=gathered.slo_ms,
            lines=lines if len(trials) > 1 else (),
        ),
    ]
    soaks = [trial for trial in trials if _kind(trial) == "soak"][: plots.MOST_SOAKS]
    since = captions.felt(points)
    return [*found, *(plots.latency_over_time(t, measure=since, named=_named(t, gathered)) for t in soaks)]


def _named(trial: TrialData, gathered: Gathered) -> str:
    """What a trial is called beside its policy and pace."""
    names = [name for name in gathered.axes if name not in of_streams.NOT_COMPARED]
    return axes.label(setting_of(trial.info), names) if names else ""


def own(gathered: Gathered) -> dict[str, Any]:
    """Words right and wrong at the lightest and the heaviest load, and what normalised them."""
    rows = _word_rows(gathered.points, gathered.axes)
    languages = {
        str(value) if value is not None else None
        for trial in gathered.done
        for value in trial.utterances["language"][trial.utterances["reference"].notna()].unique()
    }
    return {
        "word_rows": rows[:MOST_WORD_ROWS],
        "loads": max((1 if row.lightest == row.heaviest else 2 for row in rows), default=1),
        "words_left_out": max(0, len(rows) - MOST_WORD_ROWS),
        "norms": sorted({text.norm_version(language) for language in languages}),
        "scripted": _scripted(gathered),
    }


@dataclass(frozen=True)
class _Words:
    name: str
    lightest: str
    cells: list[Cell]
    """WER, S, D, I at the lightest load, then WER at the heaviest."""
    heaviest: str


def _word_rows(points: Sequence[Point], names: Sequence[str]) -> list[_Words]:
    rows = []
    for trial in dict.fromkeys(p.trial_id for p in points):
        mine = sorted((p for p in points if p.trial_id == trial and p.valid), key=lambda p: p.level)
        if not mine or all(p["wer"].value is None for p in mine):
            continue
        light, heavy = mine[0], mine[-1]
        cells = [percent(light[name]) for name in ("wer", "substitutions", "deletions", "insertions")]
        rows.append(
            _Words(axes.label(light.setting, names), where(light), [*cells, percent(heavy["wer"])], where(heavy))
        )
    return rows


def notes(gathered: Gathered) -> list[str]:
    """What must be said of scripted words, and of models that stand in for others."""
    models = dict.fromkeys(model_name(trial.info) for trial in gathered.trials)
    said = [_scripted(gathered), *(captions.STAND_INS.get(model, "") for model in models)]
    return [f"{one[0].upper()}{one[1:]}." for one in said if one]


def badges(gathered: Gathered) -> list[str]:
    """That audio was not sent in real time, or that the load generator did not prove itself."""
    found = list(captions.manners(gathered.points))
    some = "" if len(found) < 2 else "in part "
    paces = [f"{some}{manner.pace_words}" for manner in found if manner.pace_words]
    return [*paces, *_of_certificates(gathered)]


def _of_certificates(gathered: Gathered) -> list[str]:
    stored = [trial.info.get("certificate") for trial in gathered.trials]
    verdicts = dict.fromkeys(str(one.get("verdict")) for one in stored if isinstance(one, dict))
    bad = [f"load generator's certificate {verdict}" for verdict in verdicts if verdict != Verdict.VALID]
    return [*bad, *(["load generator not calibrated"] if None in stored else [])]


def how(gathered: Gathered) -> list[str]:
    """Policies, frames and wires."""
    found = captions.manners(gathered.points)
    policies = dict.fromkeys(manner.words for manner in found)
    frames = [axes.plain(v) for v in axes.values([p.setting for p in gathered.points], "frame_ms") if v is not None]
    return [*policies, *([f"frames of {' and '.join(frames)} ms"] if frames else [])]


def _server(gathered: Gathered) -> str:
    obtained = gathered.info.get("obtained") or {}
    return str(obtained.get("server") or gathered.info.get("server") or "")


def _scripted(gathered: Gathered) -> str:
    return SCRIPTED.get(_server(gathered), "")


def _kind(trial: TrialData) -> str:
    return str((trial.info.get("load") or {}).get("kind", ""))


def _telling(gathered: Gathered) -> TrialData | None:
    """The trial with the largest share of failures; without any, the one whose heaviest load answers soonest."""

    def share(point: Point) -> float:
        return sum(point.failures.values()) / point.n if point.n else 0.0

    points = [p for p in gathered.points if p.n]
    if not points:
        return None
    worst = max(points, key=lambda p: (share(p), p.trial_id))
    first = next(iter(captions.manners(points).values()))
    heaviest = [p for p in first if p.level == max(p.level for p in first)]
    soonest = min(heaviest, key=lambda p: (p["eos_p50_ms"].value or float("inf"), p.trial_id))
    chosen = worst if share(worst) else soonest
    return next((trial for trial in gathered.done if trial.info["trial_id"] == chosen.trial_id), None)
