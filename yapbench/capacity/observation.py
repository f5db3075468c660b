"""What one probe (a level in one repeat) showed: numbers by utterance, taken from its stored rows. Pure.

Knows rows and streams; knows no target and no other probe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yapbench import wer
from yapbench.monitoring.counters import Samples
from yapbench.obtained import UNSCORED, model_name, streamed
from yapbench.schema import Outcome, Phase
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.streams import measures, pooling
from yapbench.streams.measures import Measured
from yapbench.streams.times import Stream
from yapbench.validity import Verdict, judge

LONG_S: Final = 30.0
"""Streams from this length on tell by their RTF whether the server keeps up."""

Floats = tuple[float, ...]
"""One number for each counted utterance, in their order; NaN where there is none."""


@dataclass(frozen=True)
class Heard:
    """What became of one text in one probe, over all times it was spoken and ended well."""

    errors: int
    words: int
    """Of its reference."""
    empty: int
    """Times without a recognised word."""
    times: int

    def __add__(self, other: Heard) -> Heard:
        return Heard(
            self.errors + other.errors, self.words + other.words, self.empty + other.empty, self.times + other.times
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation:
    """One load level in one repeat. Failed utterances are in `n` and `failures`, and have no times."""

    level: int
    repeat: int
    n: int
    """Counted utterances, failed ones included."""
    failures: Mapping[str, int]
    """By outcome."""
    since: str = "eos"
    """What `eos_ms` are: `eos`; `eos_due` where the corpus does not say when speech ends; `latency` of requests."""
    eos_ms: Floats
    no_eos: str = ""
    """Why those without one have none."""
    streams: tuple[int, ...]
    """The user who spoke each utterance: the bootstrap's blocks."""
    stream_rtf: Floats = ()
    """Of those that are LONG_S and longer."""
    lag_slope: Floats = ()
    """ms per s."""
    no_lag: str = "not measured"
    heard: Mapping[str, Heard]
    """By utterance id; empty where nothing has a reference, or the words mean nothing."""
    no_words: str = ""
    """Why `heard` is empty."""
    validity: Verdict = Verdict.VALID
    reasons: tuple[str, ...] = ()
    finished_per_s: float | None = None
    """Utterances that ended well per second, from the last warm-up end to the last counted one."""
    speech_s: float | None = None
    """Mean time from the beginning of an utterance until its end message was due; 0 of requests."""
    cycle_s: float | None = None
    """Mean time from the beginning of an utterance to its end, waiting included."""

    @property
    def valid(self) -> bool:
        """The load was what it was meant to be."""
        return self.validity is not Verdict.INVALID

    @property
    def failed(self) -> int:
        """Utterances that did not end well."""
        return sum(self.failures.values())

    @cached_property
    def known_ms(self) -> NDArray[np.float64]:
        """The times that there are, ascending."""
        times = np.array(self.eos_ms, dtype=np.float64)
        return np.sort(times[np.isfinite(times)])

    @cached_property
    def knows_lag(self) -> bool:
        """At least one stream tells whether it fell behind."""
        return any(map(math.isfinite, self.lag_slope))


def observations_of(trial: TrialData) -> list[Observation]:
    """The probes of a stored trial, in the order in which they were made ("points" of trial.json)."""
    samples = Samples.of(trial.machine)
    levels, repeats = trial.utterances["level"], trial.utterances["repeat"]
    found = []
    for point in trial.info.get("points") or []:
        level, repeat = float(point["level"]), int(point["repeat"])
        rows = trial.utterances[(levels == level) & (repeats == repeat)]
        if (rows["phase"] == Phase.STEADY).any():
            found.append(observe(rows, samples, [(int(point["start_ns"]), int(point["end_ns"]))], trial.info))
        else:
            found.append(uncounted(round(level), repeat))
    return found


def uncounted(level: int, repeat: int) -> Observation:
    """A probe of which no utterance was counted: it shows nothing, and is thrown away as one of a late client is."""
    return Observation(
        level=level,
        repeat=repeat,
        n=0,
        failures={},
        eos_ms=(),
        no_eos="no utterance was counted",
        streams=(),
        heard={},
        no_words="no utterance was counted",
        validity=Verdict.INVALID,
        reasons=("no utterance was counted",),
    )


def observe(
    rows: pd.DataFrame, samples: Samples, spans: Sequence[tuple[int, int]], info: Mapping[str, Any]
) -> Observation:
    """What the rows (all phases) of one level in one repeat show; measured during `spans` of (start_ns, end_ns).

    `info` is trial.json. Raises ValueError for rows of several probes, or of none: nothing was shown then.
    """
    counted = rows[rows["phase"] == Phase.STEADY]
    probes = {(float(level), int(repeat)) for level, repeat in zip(rows["level"], rows["repeat"], strict=True)}
    if len(probes) != 1 or counted.empty:
        raise ValueError(f"counted rows of exactly one probe are needed, got {len(counted)} of {sorted(probes)}")
    [(level, repeat)] = probes
    judged = judge(counted, samples, spans, cores=(info.get("machine") or {}).get("cores"))
    failed = counted["outcome"][counted["outcome"] != Outcome.OK].value_counts().sort_index()
    known = _of_streams(counted, info) if streamed(info) else _of_requests(counted)
    return Observation(
        level=round(level),
        repeat=repeat,
        n=len(counted),
        failures={str(name): int(count) for name, count in failed.items()},
        streams=tuple(int(name) for name in counted["stream"]),
        validity=judged.verdict,
        reasons=judged.reasons,
        finished_per_s=_finished_per_s(rows),
        **known,
    )


def _of_streams(counted: pd.DataFrame, info: Mapping[str, Any]) -> dict[str, Any]:
    found = [measures.measure(Stream.of(row)) for row in counted.to_dict("records")]
    well = [item for item in found if item.stream.ok]
    since = "eos" if not well or any(item.times["eos"].value is not None for item in well) else "eos_due"
    eos = [item.times[since] for item in found]
    heard = _heard(zip(counted["utterance_id"], found, strict=True))
    no_words = "no text has a reference"
    if model_name(info) in UNSCORED:
        heard, no_words = {}, "random weights: its words mean nothing"
    return {
        "since": since,
        "eos_ms": _floats(eos),
        "no_eos": _reason(eos),
        "stream_rtf": _floats([item.stream_rtf for item in found if item.stream.sent_s >= LONG_S]),
        "lag_slope": _floats([item.lag_slope for item in found]),
        "no_lag": _reason([item.lag_slope for item in well] or [item.lag_slope for item in found]),
        "heard": heard,
        "no_words": "" if heard else no_words,
        "speech_s": _mean(
            (item.stream.end_due_ns - item.stream.t0_ns) / 1e9 for item in well if item.stream.end_due_ns
        ),
        "cycle_s": _mean((counted["ended_ns"] - counted["intended_ns"]) / 1e9),
    }


def _of_requests(counted: pd.DataFrame) -> dict[str, Any]:
    taken_ms = ((counted["ended_ns"] - counted["intended_ns"]) / 1e6).where(counted["outcome"] == Outcome.OK)
    return {
        "since": "latency",
        "eos_ms": tuple(float(value) for value in taken_ms),
        "no_eos": "not answered",
        "no_lag": "requests have no clock of their audio",
        "heard": {},
        "no_words": "an answer to a request has no words",
        "speech_s": 0.0,
        "cycle_s": _mean((counted["ended_ns"] - counted["intended_ns"]) / 1e9),
    }


def _heard(found: Iterable[tuple[str, Measured]]) -> dict[str, Heard]:
    heard: dict[str, Heard] = {}
    for name, item in found:
        if item.stream.ok and item.score is not None and item.score.has_reference:
            once = _once(item.score)
            heard[name] = heard[name] + once if name in heard else once
    return heard


def _once(score: wer.Score) -> Heard:
    errors = score.words.errors
    return Heard(errors.total, errors.reference, int(score.is_empty), 1)


def _finished_per_s(rows: pd.DataFrame) -> float | None:
    counted, warm = rows[rows["phase"] == Phase.STEADY], rows[rows["phase"] == Phase.WARMUP]
    first_ns = max(int(counted["intended_ns"].min()), int(warm["ended_ns"].max()) if len(warm) else 0)
    last_ns = int(counted["ended_ns"].max())
    ended = rows["ended_ns"][(rows["phase"] != Phase.WARMUP) & (rows["outcome"] == Outcome.OK)]
    finished = int(((ended > first_ns) & (ended <= last_ns)).sum())
    return finished / (last_ns - first_ns) * 1e9 if last_ns > first_ns else None


def _floats(each: Sequence[Estimate]) -> Floats:
    return tuple(float(value) for value in pooling.known(each))


def _reason(each: Sequence[Estimate]) -> str:
    return pooling.reason(each) if any(item.value is None for item in each) else ""


def _mean(values: Iterable[float]) -> float | None:
    found = [float(value) for value in values]
    return sum(found) / len(found) if found else None
