"""Raw rows of a trial -> its points: one for each load level, over all repeats and for each repeat alone.

Pure: the same rows give the same bytes. Every outcome stays in n and in the shares; latencies are those of
answered requests, with the failures beside them. Knows nothing of figures or pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from yapbench import resources, stats, turns
from yapbench.monitoring.counters import Samples
from yapbench.obtained import setting_of, streamed
from yapbench.schema import Outcome, Phase
from yapbench.stats import Estimate, Resample
from yapbench.store import TrialData
from yapbench.validity import Validity, Verdict, judge, spans_of

SUMMARY_VERSION: Final = 1
SLO_MS: Final = 100.0
"""Latency within which an answer counts for goodput, where a trial names no other."""
SLICES: Final = 10
"""Throughput's interval comes from so many equal stretches of a repeat's counted time."""
REPLICATES_OF_STREAMS: Final = 200
"""Of each repeat alone: streams have some eighty numbers, and a page waits for them all."""
MIB: Final = resources.MIB

MEASURES: Final = {
    "latency_p50_ms": "half of the answers came within this time from when the request was meant to be sent",
    "latency_p95_ms": "95 % of the answers did",
    "latency_p99_ms": "99 % of the answers did",
    "latency_mean_ms": "mean over the answers",
    "sent_p50_ms": "the same from the first byte sent: what the client's own delay does not touch",
    "sent_p95_ms": "95 %, from the first byte sent",
    "rps": "answers per second from the last warm-up answer to the last counted one",
    "goodput_rps": "those of them that came within the SLO",
    "goodput_share": "share of all counted requests, failed ones included, that were answered within the SLO",
    "ok_share": "share of all counted requests that were answered",
    "queue_ms": "mean wait in the server's queue, by its own clock",
    "inference_ms": "mean time of the model call that the request was part of",
    "rest_ms": "mean of what is left of the latency: network, parsing, the client",
    "batch_size": "mean size of the batch that a request was part of",
    "cpu_ms_per_request": "CPU time of the server's whole process tree per answered request",
    "cpu_percent": "the same per second; 100 % is one core",
    "rss_peak_mib": "largest resident memory of the server's process tree",
    "vram_peak_mib": "largest GPU memory of the server's process tree",
    "gpu_percent": "mean utilisation of the server's GPUs, all together, by their own counter: some kernel ran",
    "power_w": "mean power of the server's GPUs, all together, idle power included",
    "energy_wh": "their energy within the point, by their own counter where they have one, else integrated power",
}


@dataclass(frozen=True)
class Point:
    """One server setting under one load level: what happened, and how far it can be believed."""

    trial_id: str
    setting: Mapping[str, Any]
    kind: str
    """Load profile: closed, poisson, burst, ramp."""
    level: float
    repeat: int | None
    """None: all repeats together."""
    repeats: int
    n: int
    """Counted requests, failed ones included."""
    failures: Mapping[str, int]
    slo_ms: float
    validity: Validity
    values: Mapping[str, Estimate]
    """By the names of MEASURES; all of them, missing ones with their reason."""
    batch_sizes: Mapping[int, int]
    """Requests by the size of the batch they were part of."""
    streams: bool = False
    """Its utterances were streamed; then `values` are those of streams.measures."""

    @property
    def valid(self) -> bool:
        """May be drawn in colour and take part in findings."""
        return self.validity.verdict is not Verdict.INVALID

    def __getitem__(self, measure: str) -> Estimate:
        return self.values[measure]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; the setting is left to the trial."""
        return {
            "level": self.level,
            "repeat": self.repeat,
            "n": self.n,
            "failures": dict(sorted(self.failures.items())),
            "slo_ms": self.slo_ms,
            "validity": {
                name: stats.significant(value) if isinstance(value, float) else value
                for name, value in asdict(self.validity).items()
            },
            "values": {name: value.as_dict() for name, value in self.values.items()},
            "batch_sizes": {str(size): count for size, count in sorted(self.batch_sizes.items())},
        }


def points(trial: TrialData, *, replicates: int = stats.REPLICATES) -> list[Point]:
    """The points of a trial over all repeats, by level. Empty for a trial without a counted request."""
    samples = Samples.of(trial.machine)
    return [_measure(trial, samples, level, None, replicates) for level in levels(trial)]


def points_by_repeat(trial: TrialData, *, replicates: int = stats.REPLICATES) -> list[Point]:
    """The points of a trial for each repeat alone, by level, then repeat."""
    found, samples = [], Samples.of(trial.machine)
    for level in levels(trial):
        repeats = repeats_of(rows_of(trial, level, None))
        found += [_measure(trial, samples, level, repeat, replicates) for repeat in repeats]
    return found


def rows_of(trial: TrialData, level: float, repeat: int | None) -> pd.DataFrame:
    """The rows of a level in all phases; `repeat` None: of all repeats."""
    mine = trial.utterances["level"] == level
    return trial.utterances[mine if repeat is None else mine & (trial.utterances["repeat"] == repeat)]


def repeats_of(rows: pd.DataFrame) -> list[int]:
    """The repeats that rows come from, ascending."""
    return sorted(int(value) for value in rows["repeat"].unique())


def levels(trial: TrialData) -> list[float]:
    """The load levels of a trial that have counted rows, ascending."""
    counted = trial.utterances[trial.utterances["phase"] == Phase.STEADY]
    return sorted({float(level) for level in counted["level"]})


def _measure(trial: TrialData, samples: Samples, level: float, repeat: int | None, replicates: int) -> Point:
    """One point. `repeat` None: all repeats, their spread in the intervals."""
    rows = rows_of(trial, level, repeat)
    bare = bare_point(trial, samples, rows, level, repeat)
    values, sizes = _answered(rows[rows["phase"] == Phase.STEADY], bare.slo_ms, replicates)
    values |= _rates(rows, bare.slo_ms, replicates) | dict(bare.values)
    return replace(bare, values={name: values[name] for name in MEASURES}, batch_sizes=sizes)


def bare_point(trial: TrialData, samples: Samples, rows: pd.DataFrame, level: float, repeat: int | None) -> Point:
    """A point without its times and rates: how many ended how, what it cost the machine, how far it can be believed.

    `rows`: those of the level and repeat, all phases. Nothing in it is bootstrapped.
    """
    counted = rows[rows["phase"] == Phase.STEADY]
    spans = spans_of(trial.info, level, repeat)
    failed = counted["outcome"][counted["outcome"] != Outcome.OK]
    ok_share = stats.fraction(len(counted) - len(failed), len(counted))
    return Point(
        trial_id=str(trial.info["trial_id"]),
        setting=setting_of(trial.info),
        kind=str((trial.info.get("load") or {}).get("kind", "closed")),
        level=level,
        repeat=repeat,
        repeats=int(counted["repeat"].nunique()),
        n=len(counted),
        failures={str(name): int(count) for name, count in failed.value_counts().sort_index().items()},
        slo_ms=float(trial.info.get("slo_ms") or SLO_MS),
        validity=judge(counted, samples, spans, cores=(trial.info.get("machine") or {}).get("cores")),
        values={"ok_share": ok_share} | resources.used(samples, rows, spans),
        batch_sizes={},
        streams=streamed(trial.info),
    )


def _milliseconds(rows: pd.DataFrame, since: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n,) from a stamp to the end; NaN where the stamp is missing."""
    taken = (rows["ended_ns"] - rows[since]).to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(taken / 1e6, dtype=np.float64)


def _answered(counted: pd.DataFrame, slo_ms: float, replicates: int) -> tuple[dict[str, Estimate], dict[int, int]]:
    """Latencies and the server's own times of the answered requests, shares of all, batch sizes."""
    ok = counted[counted["outcome"] == Outcome.OK]
    latency_ms, sent_ms = _milliseconds(ok, "intended_ns"), _milliseconds(ok, "sent_ns")
    server = _server_times(ok)
    drawn = Resample.draw(ok["repeat"], ok["stream"], replicates=replicates)
    whole = [f"latency_p{round(q * 100)}_ms" for q in (0.5, 0.95, 0.99)]
    values = dict(zip(whole, stats.percentiles(drawn, latency_ms, (0.5, 0.95, 0.99)), strict=True))
    values["latency_mean_ms"] = drawn.estimate(latency_ms, stats.mean)
    values["sent_p50_ms"], values["sent_p95_ms"] = stats.percentiles(drawn, sent_ms, (0.5, 0.95))
    values["goodput_share"] = stats.fraction(int((latency_ms <= slo_ms).sum()), len(counted))
    for name in ("queue_ms", "inference_ms", "batch_size"):
        values[name] = _or_missing(drawn.estimate(server[name], stats.mean), "the server's answers do not say")
    rest_ms = latency_ms - server["queue_ms"] - server["inference_ms"]
    values["rest_ms"] = _or_missing(drawn.estimate(rest_ms, stats.mean), "the server's answers do not say")
    sizes = server["batch_size"].dropna().astype(int).value_counts()
    return values, {int(str(size)): int(count) for size, count in sizes.sort_index().items()}


def _or_missing(found: Estimate, reason: str) -> Estimate:
    return found if found.value is not None else Estimate.missing(reason)


def _server_times(ok: pd.DataFrame) -> pd.DataFrame:
    """queue_ms, inference_ms, batch_size as the answers give them; NaN where they do not."""
    found = []
    for events in ok["events"]:
        metrics = (turns.answer(events) or {}).get("metrics") or {}
        found.append(
            (
                1e3 * metrics.get("queue_time", np.nan),
                1e3 * metrics.get("inference_time", np.nan),
                metrics.get("batch_size", np.nan),
            )
        )
    return pd.DataFrame(found, columns=["queue_ms", "inference_ms", "batch_size"], dtype=np.float64)


def _rates(rows: pd.DataFrame, slo_ms: float, replicates: int) -> dict[str, Estimate]:
    """Answers per second, and those within the SLO, from the last warm-up answer to the last counted one.

    What ends in that time was also sent after the warm-up: utterances wholly inside the steady phase.
    """
    counts: dict[str, list[float]] = {"rps": [], "goodput_rps": []}
    repeats: list[int] = []
    n = 0
    for repeat, group in rows.groupby("repeat", sort=True):
        counted, warm = group[group["phase"] == Phase.STEADY], group[group["phase"] == Phase.WARMUP]
        if counted.empty:
            continue
        first_ns = max(int(counted["intended_ns"].min()), int(warm["ended_ns"].max()) if len(warm) else 0)
        last_ns = int(counted["ended_ns"].max())
        ended = group[(group["phase"] != Phase.WARMUP) & (group["outcome"] == Outcome.OK)]
        ended = ended[(ended["ended_ns"] > first_ns) & (ended["ended_ns"] <= last_ns)]
        if last_ns <= first_ns:
            continue
        slice_s = (last_ns - first_ns) / 1e9 / SLICES
        good = _milliseconds(ended, "intended_ns") <= slo_ms
        n += len(ended)
        repeats += [int(str(repeat))] * SLICES
        for name, chosen in (("rps", ended), ("goodput_rps", ended[good])):
            since_s = (chosen["ended_ns"].to_numpy(dtype=np.float64) - first_ns) / 1e9
            found = np.histogram(since_s, bins=SLICES, range=(0, SLICES * slice_s))[0]
            counts[name] += list(found / slice_s)
    drawn = Resample.draw(repeats, np.zeros(len(repeats)), replicates=replicates)
    estimates = {name: drawn.estimate(each, stats.mean) for name, each in counts.items()}
    return {name: _counted(estimate, n) for name, estimate in estimates.items()}


def _counted(found: Estimate, n: int) -> Estimate:
    if found.value is None:
        return found
    if n == 0:
        return Estimate(0.0, n=0, reason="no request was answered")
    if found.low is None or found.high is None:
        return found
    one = found.value / n  # a count is never surer than one request
    low, high = min(found.low, found.value - one), max(found.high, found.value + one)
    return Estimate(found.value, max(0.0, low), high, n)


def points_of(trial: TrialData, *, replicates: int = stats.REPLICATES) -> list[Point]:
    """`points`, or those of streams where the trial's utterances were streamed."""
    return _measured_by(trial)[0](trial, replicates=replicates)


def _measured_by(trial: TrialData) -> tuple[Callable[..., list[Point]], Callable[..., list[Point]]]:
    if not streamed(trial.info):
        return points, points_by_repeat
    from yapbench.streams import measures as of_streams  # which is built upon this module

    return of_streams.points, of_streams.points_by_repeat


def summary(
    trial: TrialData, *, pooled: Sequence[Point] | None = None, replicates: int = stats.REPLICATES
) -> dict[str, Any]:
    """Every number of a trial, JSON-able; the same trial gives the same bytes.

    `pooled`: what `points` returned for it, where it is known already.
    """
    if pooled is None:
        return points_and_summary(trial, replicates=replicates)[1]
    once = all(point.repeats == 1 for point in pooled)
    by_repeat = [] if once else _measured_by(trial)[1](trial, replicates=_fewer(trial, replicates))
    return _summary(trial, pooled, by_repeat, replicates)


def points_and_summary(trial: TrialData, *, replicates: int = stats.REPLICATES) -> tuple[list[Point], dict[str, Any]]:
    """`points_of` and `summary`, for not much more than the first."""
    if not streamed(trial.info):
        pooled = points(trial, replicates=replicates)
        return pooled, summary(trial, pooled=pooled, replicates=replicates)
    from yapbench.streams import measures as of_streams  # which is built upon this module

    pooled, by_repeat = of_streams.points_and_by_repeat(
        trial, replicates=replicates, by_repeat=_fewer(trial, replicates)
    )
    once = all(point.repeats == 1 for point in pooled)
    return pooled, _summary(trial, pooled, [] if once else by_repeat, replicates)


def _fewer(trial: TrialData, replicates: int) -> int:
    """Replicates of each repeat alone."""
    return min(replicates, REPLICATES_OF_STREAMS) if streamed(trial.info) else replicates


def _summary(trial: TrialData, pooled: Sequence[Point], by_repeat: Sequence[Point], replicates: int) -> dict[str, Any]:
    return {
        "summary_version": SUMMARY_VERSION,
        "trial_id": trial.info["trial_id"],
        "status": trial.info["status"],
        "settings": trial.info.get("settings") or {},
        **_spoken(trial.info),
        "points": [point.as_dict() for point in pooled],
        "by_repeat": [point.as_dict() for point in by_repeat],
        "decisions": turns.decide([trial]).as_dict(),
        "bootstrap": {"replicates": replicates, "seed": stats.SEED, "confidence": stats.CONFIDENCE}
        | ({"by_repeat": _fewer(trial, replicates)} if streamed(trial.info) else {}),
    }


def _spoken(info: Mapping[str, Any]) -> dict[str, Any]:
    """How utterances were streamed, so that nobody compares times of two policies or paces; empty for requests."""
    return {"client": info.get("client"), "stream": info["load"]["stream"]} if streamed(info) else {}


def table(found: Sequence[Point]) -> pd.DataFrame:
    """Points as a flat table for a notebook: setting, level, n, failures, verdict, then value, low, high."""
    rows = []
    for point in found:
        row: dict[str, Any] = {**point.setting, "level": point.level, "repeat": point.repeat, "n": point.n}
        row |= {"failed": sum(point.failures.values()), "verdict": str(point.validity.verdict)}
        for name, value in point.values.items():
            row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        rows.append(row)
    return pd.DataFrame(rows)
