"""Which numbers of one setting at one load level are compared: requests and streams each have theirs.

Knows rows; the family judges what is found here. What cannot be compared has its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from yapbench.compare import metrics, utterances
from yapbench.compare.pair import Compared, Level, Pair
from yapbench.schema import Outcome
from yapbench.stats import Estimate
from yapbench.streams import measures as of_streams
from yapbench.streams.measures import Measured, equal_work
from yapbench.streams.times import Stream

Floats = NDArray[np.float64]


def requests(level: Level) -> Compared:
    """p50 and p95 of the latency, answers per second, and the share that was answered."""
    pair, found = Pair(level), Compared()
    taken_ms = []
    for rows in pair.counted:
        each = (rows["ended_ns"] - rows["intended_ns"]).to_numpy(dtype=np.float64) / 1e6
        taken_ms.append(np.where(rows["outcome"] == Outcome.OK, each, np.nan))
    pair.percentiles(found, metrics.LATENCY, taken_ms, "no request was answered")
    pair.rate(found, metrics.RPS, [np.ones(len(rows)) for rows in (level.before, level.after)])
    pair.ok_share(found)
    return found


def streams(level: Level) -> Compared:
    """Times from the end and the onset of speech, WER, the share that ended well; rates where the load has its own."""
    pair, found = Pair(level), Compared()
    measured = [[of_streams.measure(Stream.of(row)) for row in rows.to_dict("records")] for rows in pair.counted]
    paced = all(item.stream.is_paced for side in measured for item in side)
    if paced:
        _times(pair, found, measured)
    if level.scored:
        utterances.wer(found, pair, measured)
        found.norms |= set(of_streams.norm_versions(item for side in measured for item in side))
    else:
        found.omitted.append((metrics.WER.title, "random weights: its words mean nothing"))
    pair.ok_share(found)
    if not paced:
        sent_s = [np.array([item.stream.sent_s for item in side]) for side in measured]
        taken_s = [_values(item.processing_s.value for item in side) for side in measured]
        pair.ratio(found, metrics.RTFX, sent_s, taken_s)
    if level.open_loop or not paced:
        amounts = [
            np.array([Stream.of(row).sent_s for row in rows.to_dict("records")]) for rows in (level.before, level.after)
        ]
        pair.rate(found, metrics.AUDIO_RATE, amounts)
    return found


def _times(pair: Pair, found: Compared, measured: Sequence[Sequence[Measured]]) -> None:
    known = all(any(item.times["eos"].value is not None for item in side) for side in measured)
    ends = metrics.EOS if known else metrics.EOS_DUE
    work = [_partial_rate(side) for side in measured]
    told = [Estimate(rate) for rate in work]
    if equal_work(*told) is False:
        why = f"unequal work: {work[0]:.2f} and {work[1]:.2f} partials per second of speech"
        found.omitted += [(metric.title, why) for metric in (*ends, *metrics.TTFP)]
        return
    for name, chosen in (("eos" if known else "eos_due", ends), ("ttfp", metrics.TTFP)):
        values = [_values(item.times[name].value for item in side) for side in measured]
        reasons = [item.times[name].reason for side in measured for item in side if item.times[name].reason]
        pair.percentiles(found, chosen, values, max(set(reasons), key=reasons.count) if reasons else "no sample")


def _values(each: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in each], dtype=np.float64)


def _partial_rate(side: Sequence[Measured]) -> float | None:
    """Partials per second of speech of the streams that ended well."""
    well = [item.stream for item in side if item.stream.ok]
    speech_s = sum(stream.speech_s for stream in well)
    return sum(len(stream.partials) for stream in well) / speech_s if speech_s else None
