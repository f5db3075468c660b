"""Stored rows of streams -> numbers: all of one utterance, and a trial's points over all utterances of a level.

Pure, as measures.py, whose resources and verdicts it takes over: the same rows give the same bytes. Latencies are those
of streams that ended well, with the failures beside them; only the strict WER makes a failure count as words.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Final

import numpy as np
import pandas as pd

from yapbench import measures, stats, wer
from yapbench.measures import Point
from yapbench.monitoring.counters import Samples
from yapbench.obtained import UNSCORED, model_name
from yapbench.schema import Phase
from yapbench.stats import Estimate, Resample
from yapbench.store import TrialData
from yapbench.streams import accuracy, cost, pooling, rates, times
from yapbench.streams.emission import Emission, emissions, lag_slope_ms_per_s
from yapbench.streams.flicker import Flicker, flicker
from yapbench.streams.times import TIMES, Stream

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_USUAL: Final = ("p50", "p95")
_STATISTICS: Final = dict.fromkeys(("ttfp", "eos", "eos_due", "flush"), ("p50", "p95", "p99", "mean"))
"""Of the other TIMES: the usual ones."""
_OF_WORDS: Final = ("p50", "p90", "p99")

_SAID: Final = {"p50": "half within", "p90": "90 % within", "p95": "95 % within", "p99": "99 % within", "mean": "mean"}
MEASURES: Final = {
    **{f"{t}_{q}_ms": f"{TIMES[t]}: {_SAID[q]}" for t in TIMES for q in _STATISTICS.get(t, _USUAL)},
    **{f"emission_{q}_ms": f"from a word's end until it is first seen: {_SAID[q]}" for q in _OF_WORDS},
    **{f"emission_stable_{q}_ms": f"until it is seen for good: {_SAID[q]}" for q in _OF_WORDS},
    "emission_share": "share of the spoken words that were ever seen",
    "lag_slope_ms_per_s": "what emission latency gains per second of a stream; above 0 the server falls behind",
    "stream_rtf_p50": "time to the last final per time to the end message",
    "stream_rtf_p95": "the same, 95 % within",
    "rtfx": "audio seconds per second of processing, for audio sent as fast as accepted",
    "partials": "partial messages of a stream, mean",
    "partial_rate": "partial messages per second of speech: work that must be equal to be compared",
    "partial_bytes_rate": "their bytes per second of speech",
    "upwr": "words that were shown and then changed or dropped, per word of the finals",
    "upsr": "runs of such words per utterance",
    "normalized_erasure": "words from the first change on, per word of the finals",
    "wer": "word errors per word of the references, normalised, streams that ended well",
    "wer_mean": "mean of the utterances' own WER",
    "wer_strict": "as wer, with every word of a failed stream deleted",
    "wer_unordered": "as wer, with the words in any order: for servers that answer chunks out of order",
    "wer_raw": "as wer, on the texts as they are",
    "substitutions": "of wer: words taken for others",
    "deletions": "of wer: words left out",
    "insertions": "of wer: words added",
    "cer": "character errors per character, normalised",
    "cer_raw": "character errors per character, on the texts as they are",
    "empty_share": "share of the spoken utterances that ended well and gave no word",
    "made_up_words_per_min": "words per minute of audio in which nothing is said",
    **rates.MEASURES,
    "cpu_s_per_audio_s": "CPU time of the server's whole process tree per finished second of audio",
    **cost.MEASURES,
}
ACCURACY: Final = (
    *("wer", "wer_mean", "wer_strict", "wer_unordered", "wer_raw", "substitutions", "deletions", "insertions"),
    *("cer", "cer_raw", "empty_share", "made_up_words_per_min"),
)
"""What is said of texts against their references."""
TAKEN_OVER: Final = ("ok_share", "cpu_percent", "rss_peak_mib", "vram_peak_mib", "gpu_percent", "power_w")
"""Of measures.MEASURES, what is said of streams too; none of it is bootstrapped."""


@dataclass(frozen=True)
class Measured:
    """One utterance with all its numbers; a number that cannot be told says why."""

    stream: Stream
    times: Mapping[str, Estimate]
    """By the names of TIMES, ms."""
    stream_rtf: Estimate
    processing_s: Estimate
    emissions: tuple[Emission, ...]
    """Empty unless the stream ended well, was paced, and its words' times are known."""
    lag_slope: Estimate
    """ms per s, of first-seen emission latencies."""
    flicker: Flicker
    score: wer.Score | None
    """None without a reference. A stream that failed is scored with no transcript at all."""

    @cached_property
    def counts(self) -> accuracy.Counts:
        """The numbers of its score."""
        return accuracy.counts(self.score)


def measure(stream: Stream) -> Measured:
    """All numbers of one utterance."""
    shown = [(item.at_ns, item.text or "") for item in stream.shown] if stream.ok else []
    found: tuple[Emission, ...] = ()
    if stream.ok and stream.pace:
        found = emissions(stream.words, shown, start_ns=stream.t0_ns, pace=stream.pace)
    seen = [(item.end_s, item.first_ms) for item in found if item.first_ms is not None]
    slope = lag_slope_ms_per_s([end_s for end_s, _ in seen], [first_ms for _, first_ms in seen])
    score = None
    if stream.reference is not None:
        score = _score(stream.reference, shown[-1][1] if shown else None, language=stream.language)
    return Measured(
        stream=stream,
        times=times.times_ms(stream),
        stream_rtf=times.stream_rtf(stream),
        processing_s=times.processing_s(stream),
        emissions=found,
        lag_slope=Estimate.missing(_no_emission(stream)) if slope is None else Estimate(slope, n=len(seen)),
        flicker=flicker([transcript for _, transcript in shown]),
        score=score,
    )


_score = functools.lru_cache(maxsize=8192)(wer.score)
"""Every level and repeat meets the same references, and mostly the same transcripts."""


_KEPT: Final = (
    *("level", "repeat", "phase", "stream", "outcome", "intended_ns", "ended_ns"),
    *("lateness_ns", "frame_ms", "pace"),
)


@dataclass(frozen=True)
class Level:
    """The rows of a load level with what each utterance says: measured once, for all repeats and for each alone."""

    rows: pd.DataFrame
    """All phases; those columns that are not said of one utterance alone."""
    streams: Sequence[Stream]
    """Of each row."""
    measured: Sequence[Measured | None]
    """Of each row; None: not counted."""

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Level:
        """All of a level's rows, measured."""
        streams, rows = Stream.all_of(rows), rows[[name for name in _KEPT if name in rows]]
        counts = (rows["phase"] == Phase.STEADY).tolist()
        return cls(rows, streams, [measure(s) if counted else None for s, counted in zip(streams, counts, strict=True)])

    def of_repeat(self, repeat: int) -> Level:
        """The part that one repeat is."""
        mine = (self.rows["repeat"] == repeat).to_numpy()
        return Level(self.rows[mine], [*compress(self.streams, mine)], [*compress(self.measured, mine)])


def _no_emission(stream: Stream) -> str:
    if not stream.ok:
        return f"outcome {stream.outcome}"
    if not stream.is_paced:
        return "not paced: the audio has no clock"
    return "too few words were seen" if stream.words else "the corpus does not say when its words are spoken"


def points(trial: TrialData, *, replicates: int = stats.REPLICATES) -> list[Point]:
    """The points of a trial of streams over all repeats, by level, with the values of MEASURES and TAKEN_OVER."""
    return points_and_by_repeat(trial, replicates=replicates, by_repeat=0)[0]


def points_by_repeat(trial: TrialData, *, replicates: int = stats.REPLICATES) -> list[Point]:
    """The points of a trial of streams for each repeat alone, by level, then repeat."""
    samples = Samples.of(trial.machine)
    found = []
    for level in measures.levels(trial):
        known = Level.of(measures.rows_of(trial, level, None))
        found += _by_repeat(trial, samples, level, known, replicates)
    return found


def points_and_by_repeat(trial: TrialData, *, replicates: int, by_repeat: int) -> tuple[list[Point], list[Point]]:
    """Both, each utterance measured once. Of the second none where `by_repeat`, its replicates, is 0, or where
    nothing was repeated.
    """
    samples = Samples.of(trial.machine)
    repeated = any(mine > 1 for mine in trial.utterances.groupby("level")["repeat"].nunique())
    pooled, each = [], []
    for level in measures.levels(trial):
        known = Level.of(measures.rows_of(trial, level, None))
        pooled.append(_point(trial, measures.bare_point(trial, samples, known.rows, level, None), known, replicates))
        if by_repeat and repeated:
            each += _by_repeat(trial, samples, level, known, by_repeat)
    return pooled, each


def _by_repeat(trial: TrialData, samples: Samples, level: float, known: Level, replicates: int) -> list[Point]:
    found = []
    for repeat in measures.repeats_of(known.rows):
        mine = known.of_repeat(repeat)
        base = measures.bare_point(trial, samples, mine.rows, level, repeat)
        found.append(_point(trial, base, mine, replicates))
    return found


def _point(trial: TrialData, base: Point, known: Level, replicates: int) -> Point:
    found = _values(known, base.slo_ms, replicates)
    finished_s = sum((stream.sent_s for stream in known.streams if stream.ok), 0.0)
    cpu = base["cpu_ms_per_request"]
    per_audio = cpu.scaled(cpu.n / 1e3 / finished_s) if cpu.value is not None and finished_s else cpu
    found["cpu_s_per_audio_s"] = per_audio
    found |= cost.of_point(trial.info, base, finished_s=finished_s, audio_s_per_s=found["audio_s_per_s"])
    if model_name(trial.info) in UNSCORED:
        found |= dict.fromkeys(ACCURACY, Estimate.missing("random weights: its words mean nothing"))
    return replace(base, values={name: base[name] for name in TAKEN_OVER} | {name: found[name] for name in MEASURES})


def values(rows: pd.DataFrame, *, slo_ms: float, replicates: int = stats.REPLICATES) -> dict[str, Estimate]:
    """MEASURES, but for what the machine tells, of the rows of one level (all phases; counted are the steady ones)."""
    return _values(Level.of(rows), slo_ms, replicates)


def _values(level: Level, slo_ms: float, replicates: int) -> dict[str, Estimate]:
    counted = level.rows[level.rows["phase"] == Phase.STEADY]
    found = [item for item in level.measured if item is not None]
    drawn = Resample.draw(counted["repeat"], counted["stream"], replicates=replicates)
    return (
        _times(found, drawn)
        | _emission(found, drawn)
        | _work(found, drawn)
        | accuracy.accuracy(
            [item.counts for item in found],
            ok=[item.stream.ok for item in found],
            audio_s=[item.stream.audio_s for item in found],
            drawn=drawn,
        )
        | rates.throughput(level.rows, level.streams, slo_ms=slo_ms, replicates=replicates)
    )


def norm_versions(found: Iterable[Measured]) -> list[str]:
    """Names of the normalisers behind these scores; they belong beside every WER."""
    return sorted({item.score.norm for item in found if item.score})


def equal_work(one: Estimate, other: Estimate, *, tolerance: float = 0.1) -> bool | None:
    """Two partial rates differ by at most `tolerance` of the larger; None when one is unknown."""
    if one.value is None or other.value is None:
        return None
    return abs(one.value - other.value) <= tolerance * max(one.value, other.value)


def _times(found: Sequence[Measured], drawn: Resample) -> dict[str, Estimate]:
    values: dict[str, Estimate] = {}
    for name in TIMES:
        each = [item.times[name] for item in found]
        wanted = [q for q in _STATISTICS.get(name, _USUAL) if q != "mean"]
        ones = pooling.percentiles(drawn, each, [QUANTILES[q] for q in wanted])
        values |= {f"{name}_{q}_ms": one for q, one in zip(wanted, ones, strict=True)}
        if name in _STATISTICS:
            values[f"{name}_mean_ms"] = pooling.mean(drawn, each)
    rtf = pooling.percentiles(drawn, [item.stream_rtf for item in found], [QUANTILES[q] for q in _USUAL])
    values |= {f"stream_rtf_{q}": one for q, one in zip(_USUAL, rtf, strict=True)}
    values["lag_slope_ms_per_s"] = pooling.mean(drawn, [item.lag_slope for item in found])
    taken = [item.processing_s for item in found]
    sent_s = [item.stream.sent_s for item in found]
    values["rtfx"] = pooling.ratio(drawn, sent_s, pooling.known(taken), pooling.reason(taken))
    return values


def _emission(found: Sequence[Measured], drawn: Resample) -> dict[str, Estimate]:
    first = [[e.first_ms for e in item.emissions if e.first_ms is not None] for item in found]
    stable = [[e.stable_ms for e in item.emissions if e.stable_ms is not None] for item in found]
    without = [item.lag_slope for item in found if not item.emissions]
    why = pooling.reason(without) if without else "no spoken word was ever seen"
    values: dict[str, Estimate] = {}
    shares = [QUANTILES[q] for q in _OF_WORDS]
    for name, each in (("emission", first), ("emission_stable", stable)):
        ones = pooling.quantiles_of_words(drawn, each, shares, why)
        values |= {f"{name}_{q}_ms": one for q, one in zip(_OF_WORDS, ones, strict=True)}
    words = [len(item.emissions) for item in found]
    values["emission_share"] = pooling.ratio(drawn, [len(seen) for seen in first], words, why, most=1.0)
    return values


def _work(found: Sequence[Measured], drawn: Resample) -> dict[str, Estimate]:
    """Partials and flicker of the streams that ended well."""
    ok = np.array([1.0 if item.stream.ok else np.nan for item in found])
    speech_s = ok * [item.stream.speech_s for item in found]
    count = ok * [len(item.stream.partials) for item in found]
    size = ok * [sum(event.size_bytes for event in item.stream.partials) for item in found]
    finals = ok * [item.flicker.final_words for item in found]
    none = "no stream ended well"
    values = {
        "partials": pooling.ratio(drawn, count, ok, none),
        "partial_rate": pooling.ratio(drawn, count, speech_s, none),
        "partial_bytes_rate": pooling.ratio(drawn, size, speech_s, none),
    }
    lost = {
        "upwr": ([item.flicker.unstable_words for item in found], finals),
        "upsr": ([item.flicker.revisions for item in found], ok),
        "normalized_erasure": ([item.flicker.erased_words for item in found], finals),
    }
    if not np.nansum(count):  # nothing was shown that could be taken back: a 0 would be praise
        return values | dict.fromkeys(lost, Estimate.missing("no partials"))
    return values | {name: pooling.ratio(drawn, ok * top, per, "no words") for name, (top, per) in lost.items()}
