"""A candidate: one server setting with the load that it carries, and its numbers at that load and at one stream.

Knows trials and searches; judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from yapbench import axes, measures, stats
from yapbench.capacity.answer import Answer, Verdict, answer_of
from yapbench.capacity.observation import observations_of
from yapbench.capacity.options import SearchOptions
from yapbench.choose.comparable import is_of_files, names_of, not_compared
from yapbench.choose.terms import Terms
from yapbench.measures import Point
from yapbench.obtained import model_name
from yapbench.schema import Outcome, Phase
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.streams.captions import ENOUGH_UTTERANCES

NO_LOAD: Final = "no valid load"
FILES: Final = "whole files are sent: nobody speaks, and nothing is shown before the text"


@dataclass(frozen=True)
class Candidate:
    """What is known of one server setting; every number may be missing, with its reason."""

    name: str
    trial_id: str
    model: str
    files: bool
    """It was sent whole files at full speed, not live streams."""
    load: str
    """At which load the numbers were measured: "8 streams"."""
    claimed: bool
    """The search shows that it carries that load."""
    streams: Estimate
    """N*; `high` is infinite where no load was too much."""
    numbers: Mapping[str, Estimate]
    """By the names of use.MEASURES, at that load."""
    alone: Mapping[str, Estimate] = field(default_factory=dict)
    """eos_p50_ms, ttfp_p50_ms and wer at one stream; empty where that was not measured."""
    memory_mib: Estimate = field(default_factory=lambda: Estimate.missing("not measured"))
    on_gpu: bool = False
    """`memory_mib` is GPU memory."""
    audio_s_per_s: Estimate = field(default_factory=lambda: Estimate.missing("not measured"))
    apart: str = ""
    """Why it is not compared with the others."""

    @property
    def streams_words(self) -> str:
        """N* as a table has it."""
        if self.files:
            return "files"
        if self.streams.value is None:
            return self.streams.reason.partition(":")[0]
        return f"{'≥ ' if math.isinf(self.streams.high or 0) else ''}{self.streams.value:.0f}"


def candidates(trials: Sequence[TrialData], points: Sequence[Point], terms: Terms) -> list[Candidate]:
    """Of each finished trial of streams, in their order; `points`: those of all trials over all repeats."""
    names = names_of(trials)
    kept = not_compared([trial.info for trial in trials])
    found = []
    for trial, name, apart in zip(trials, names, kept, strict=True):
        mine = [point for point in points if point.trial_id == trial.info["trial_id"]]
        made = _of_files if is_of_files(trial.info) else _of_search if trial.info.get("search") else _of_levels
        found.append(replace(made(trial, mine, terms), name=name, apart=apart))
    return found


def _of_search(trial: TrialData, points: Sequence[Point], terms: Terms) -> Candidate:
    """At the load that the search claims; without a claim at the heaviest that held by a single look."""
    seen = observations_of(trial)
    answer = answer_of(seen, SearchOptions(**trial.info["search"]))
    thrown = {(float(item.level), item.repeat) for item in seen if not item.valid}
    if thrown:  # a probe of a late client is no part of any number
        points = measures.points_of(_without(trial, thrown))
    level = answer.claimed or answer.holds or (answer.levels[0].streams if answer.levels else None)
    at_load = next((point for point in points if point.level == level), None)
    alone = next((point for point in points if point.level == 1), None)
    streams = streams_of(answer)
    return replace(
        _at(trial, at_load, terms.of_streams(streams), tail=_tail(answer, level)),
        claimed=answer.claimed is not None,
        streams=streams,
        alone=_alone(trial, alone),
    )


def _of_levels(trial: TrialData, points: Sequence[Point], terms: Terms) -> Candidate:
    """Live, at given loads: nothing was searched for, so how many streams it carries is not known."""
    valid = [point for point in points if point.valid]
    streams = Estimate.missing("not known: its loads were given, none was searched for")
    found = _at(trial, max(valid, key=lambda point: point.level, default=None), terms.of_streams(streams))
    return replace(found, streams=streams, alone=_alone(trial, next((p for p in valid if p.level == 1), None)))


def _of_files(trial: TrialData, points: Sequence[Point], terms: Terms) -> Candidate:
    """At the load that finishes most audio."""
    known = [point for point in points if point.valid and point["audio_s_per_s"].value is not None]
    best = max(known, key=lambda point: (point["audio_s_per_s"].value or 0.0, -point.level), default=None)
    rate = best["audio_s_per_s"] if best else Estimate.missing("no valid point finished any audio")
    found = _at(trial, best, terms.of_files(rate))
    without = dict.fromkeys(("eos_p95_ms", "ttfp_p95_ms", "erasure"), Estimate.missing(FILES))
    return replace(found, files=True, streams=Estimate.missing(FILES), numbers={**found.numbers, **without})


def streams_of(answer: Answer) -> Estimate:
    """N* with its interval: the claim, and where the fit through all probes reaches the target."""
    if answer.verdict is Verdict.BELOW:
        return Estimate.missing("below 1: one stream alone misses the target")
    if answer.claimed is None:
        return Estimate.missing("not known: the search for it stayed undecided")
    low = min(float(answer.claimed), answer.low if answer.low is not None else math.inf)
    open_ended = answer.verdict is Verdict.AT_LEAST or answer.high is None
    high = math.inf if open_ended else max(float(answer.claimed), answer.high or 0.0)
    return Estimate(float(answer.claimed), low, high, len(answer.tried))


def _tail(answer: Answer, level: int | None) -> Estimate | None:
    """p95 of EOS with the bounds that the claim rests on, which know how probes differ; None where it is no p95."""
    judged = next((each for each in answer.levels if each.streams == level), None)
    if judged is None or judged.bounds is None or answer.options.quantile != 0.95 or answer.since == "latency":
        return None
    few = judged.level.n < stats.NEEDED[0.95] or len(judged.level.kept) < answer.options.repeats
    return Estimate(judged.bounds.value, judged.bounds.low, judged.bounds.high, judged.level.n, indicative=few)


def _at(trial: TrialData, point: Point | None, cost: Estimate, *, tail: Estimate | None = None) -> Candidate:
    """The candidate with its numbers at one point; its name is not known yet."""
    base = Candidate(
        name="",
        trial_id=str(trial.info["trial_id"]),
        model=model_name(trial.info),
        files=False,
        load=NO_LOAD,
        claimed=False,
        streams=Estimate.missing("not measured"),
        numbers=dict.fromkeys(("wer", "eos_p95_ms", "ttfp_p95_ms", "erasure"), Estimate.missing("no valid point")),
    )
    if point is None:
        return replace(base, numbers={**base.numbers, "cost": cost})
    on_gpu = bool(point["vram_peak_mib"].value)
    since = "eos_p95_ms" if point["eos_p95_ms"].value is not None else "eos_due_p95_ms"
    return replace(
        base,
        load=axes.level_words(point.kind, point.level, streams=True),
        numbers={
            "wer": word_errors(trial, point),
            "eos_p95_ms": sure(tail or point[since]),
            "ttfp_p95_ms": sure(point["ttfp_p95_ms"]),
            "erasure": point["normalized_erasure"],
            "cost": cost,
        },
        memory_mib=point["vram_peak_mib" if on_gpu else "rss_peak_mib"],
        on_gpu=on_gpu,
        audio_s_per_s=point["audio_s_per_s"],
    )


def _alone(trial: TrialData, point: Point | None) -> dict[str, Estimate]:
    if point is None:
        return {}
    since = "eos_p50_ms" if point["eos_p50_ms"].value is not None else "eos_due_p50_ms"
    return {"eos_p50_ms": point[since], "ttfp_p50_ms": point["ttfp_p50_ms"], "wer": word_errors(trial, point)}


def sure(found: Estimate) -> Estimate:
    """Without its interval where a tail comes from too few samples: it then shows no difference and meets no demand."""
    return replace(found, low=None, high=None) if found.indicative else found


def word_errors(trial: TrialData, point: Point) -> Estimate:
    """WER in per cent. Of few utterances the bootstrap is too sure: no interval. Of none wrong it knows no upper end:
    then it is the bound on a share of words of which none was seen.
    """
    found = point["wer"].scaled(100)
    if found.value is None:
        return found
    if found.n < ENOUGH_UTTERANCES:
        return replace(found, low=None, high=None)
    if found.value == 0:
        return replace(found, low=0.0, high=100 * stats.upper_bound_of_none(_words(trial, point.level)))
    return found


def _words(trial: TrialData, level: float) -> int:
    """Reference words of the counted utterances that ended well."""
    rows = trial.utterances
    mine = (rows["level"] == level) & (rows["phase"] == Phase.STEADY) & (rows["outcome"] == Outcome.OK)
    return sum(len(str(text).split()) for text in rows["reference"][mine] if isinstance(text, str))


def _without(trial: TrialData, probes: set[tuple[float, int]]) -> TrialData:
    """The trial as if these (level, repeat) had not been made."""
    rows = trial.utterances
    thrown = [
        (float(level), int(repeat)) in probes for level, repeat in zip(rows["level"], rows["repeat"], strict=True)
    ]
    left = [p for p in trial.info["points"] if (float(p["level"]), int(p["repeat"])) not in probes]
    return replace(trial, info={**trial.info, "points": left}, utterances=rows[[not one for one in thrown]])
