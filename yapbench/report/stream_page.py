"""A page of streams: end of speech to final, first words, failures, the client's own proof, and the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench import axes, text
from yapbench.captions import Number
from yapbench.figure import Figure
from yapbench.findings import Finding
from yapbench.measures import MEASURES as REQUESTS
from yapbench.measures import Point
from yapbench.obtained import model_name
from yapbench.plots.lines import where
from yapbench.report import ramp, stream_figures
from yapbench.report.gather import Gathered
from yapbench.report.rows import Cell, cell, percent
from yapbench.streams import captions, cost, key_numbers, work
from yapbench.streams import findings as of_streams
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
    "gpu_percent": REQUESTS["gpu_percent"],
    "power_w": REQUESTS["power_w"],
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
    ("gpu_percent", "GPU, %"),
    ("power_w", "GPU power, W"),
    ("energy_wh_per_audio_h", "Wh/audio h"),
    ("cost_per_audio_h", "price/audio h"),
)
_ONLY_WHERE_KNOWN: Final = (
    *("rtfx", "eos_due_p50_ms", "flush_p50_ms"),
    *("gpu_percent", "power_w", "energy_wh_per_audio_h", "cost_per_audio_h"),
)


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
    currency = cost.currency_of(trial.info for trial in gathered.done)
    return key_numbers.numbers(
        gathered.points, gathered.slo_ms, server=stream_figures.server_of(gathered), currency=currency
    )


def figures(gathered: Gathered) -> list[Figure]:
    """In the order of the page."""
    return stream_figures.figures(gathered)


def own(gathered: Gathered) -> dict[str, Any]:
    """Each ramp as a table; what an hour of audio costs; words right and wrong under the lightest and the heaviest
    load, and their norms.
    """
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
        "scripted": stream_figures.scripted(gathered),
        "costs": _costs(gathered),
        "ramps": ramp.ramps(gathered),
        "ramps_left_out": ramp.left_out(gathered),
        "currency": cost.currency_of(trial.info for trial in gathered.done),
    }


@dataclass(frozen=True)
class _Cost:
    name: str
    load: str
    """The heaviest within the SLO."""
    price: Cell
    cautious: Cell
    """At 60 % of that load."""
    energy: Cell
    power: Cell


def _costs(gathered: Gathered) -> list[_Cost]:
    """Of each setting of live audio that keeps to the SLO; empty where neither a price nor an energy is known."""
    rows = []
    for manner, mine in captions.manners(gathered.points).items():
        kept = captions.capacity(mine, gathered.slo_ms) if manner.pace == 1 else None
        for point in kept.kept.values() if kept else ():
            if point is None:
                continue
            price, energy = point["cost_per_audio_h"], point["energy_wh_per_audio_h"]
            if price.value is None and energy.value is None:
                continue
            cautious = price.scaled(1 / cost.CAUTIOUS_SHARE)
            cells = cell(price, digits=3), cell(cautious, digits=3), cell(energy), cell(point["power_w"], digits=0)
            rows.append(_Cost(axes.label(point.setting, gathered.axes), where(point), *cells))
    return sorted(rows, key=lambda row: (row.price.sort, row.energy.sort, row.name))


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
    said = [stream_figures.scripted(gathered), *(captions.STAND_INS.get(model, "") for model in models)]
    return [f"{one[0].upper()}{one[1:]}." for one in said if one]


def badges(gathered: Gathered) -> list[str]:
    """That audio was not sent in real time, or not equal work done, or that the load generator did not prove itself."""
    found = captions.manners(gathered.points)
    some = "" if len(found) < 2 else "in part "
    paces = [f"{some}{manner.pace_words}" for manner in found if manner.pace_words]
    apart = [work.unequal(mine) for manner, mine in found.items() if manner.pace]
    return [*paces, *(one.badge for one in apart if one is not None), *of_certificates(gathered)]


def of_certificates(gathered: Gathered) -> list[str]:
    """That the load generator did not prove itself."""
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
