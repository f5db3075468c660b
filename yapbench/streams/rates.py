"""How much audio a server finished per second, all of it and that within the SLO. Pure; knows rows of one level."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from yapbench import measures, stats
from yapbench.schema import Outcome, Phase
from yapbench.stats import Estimate, Resample
from yapbench.streams import pooling
from yapbench.streams.times import Stream, times_ms

MEASURES: Final = {
    "audio_s_per_s": "audio seconds finished per second, from the last warm-up end to the last counted one",
    "goodput_audio_s_per_s": "those of them whose eos came within the SLO",
    "goodput_share": "share of all counted streams, failed ones included, whose eos came within the SLO",
}


def throughput(rows: pd.DataFrame, *, slo_ms: float, replicates: int = stats.REPLICATES) -> dict[str, Estimate]:
    """MEASURES of `rows`, those of one level in all phases. The window and its slices are those of measures.py.

    A stream of the drain counts for the rates, its audio being finished under the same load, but not for the share.
    """
    streams = [Stream.of(row) for row in rows.to_dict("records")]
    eos = [times_ms(stream)["eos"] for stream in streams]
    rows = rows.assign(good=pooling.known(eos) <= slo_ms, sent_s=[stream.sent_s for stream in streams])
    counted = (rows["phase"] == Phase.STEADY).to_numpy()
    ended_well = [item for item, row in zip(eos, counted & (rows["outcome"] == Outcome.OK), strict=True) if row]
    amounts: dict[str, list[float]] = {"audio_s_per_s": [], "goodput_audio_s_per_s": []}
    repeats: list[int] = []
    n = 0
    for repeat, group in rows.groupby("repeat", sort=True):
        window = _window(group)
        if window is None:
            continue
        first_ns, last_ns = window
        ended = group[(group["phase"] != Phase.WARMUP) & (group["outcome"] == Outcome.OK)]
        ended = ended[(ended["ended_ns"] > first_ns) & (ended["ended_ns"] <= last_ns)]
        at = (ended["ended_ns"].to_numpy(dtype=np.float64) - first_ns) / (last_ns - first_ns)
        slice_s = (last_ns - first_ns) / 1e9 / measures.SLICES
        sent_s = ended["sent_s"].to_numpy(dtype=np.float64)
        for name, weights in zip(amounts, (sent_s, sent_s * ended["good"].to_numpy()), strict=True):
            found_s = np.histogram(at, bins=measures.SLICES, range=(0, 1), weights=weights)[0]
            amounts[name] += list(found_s / slice_s)
        repeats += [int(str(repeat))] * measures.SLICES
        n += len(ended)
    drawn = Resample.draw(repeats, np.zeros(len(repeats)), replicates=replicates)
    values = {name: _counted(drawn.estimate(each, stats.mean), n) for name, each in amounts.items()}
    values["goodput_share"] = stats.fraction(int((rows["good"] & counted).sum()), int(counted.sum()))
    if ended_well and all(item.value is None for item in ended_well):
        missing = Estimate.missing(pooling.reason(ended_well))
        values |= dict.fromkeys(("goodput_audio_s_per_s", "goodput_share"), missing)
    return values


def _window(rows: pd.DataFrame) -> tuple[int, int] | None:
    """(after, until) in ns of one repeat: from the last warm-up end to the last counted one."""
    counted, warm = rows[rows["phase"] == Phase.STEADY], rows[rows["phase"] == Phase.WARMUP]
    if counted.empty:
        return None
    first_ns = max(int(counted["intended_ns"].min()), int(warm["ended_ns"].max()) if len(warm) else 0)
    last_ns = int(counted["ended_ns"].max())
    return (first_ns, last_ns) if last_ns > first_ns else None


def _counted(found: Estimate, n: int) -> Estimate:
    """The rate of `n` finished streams: no surer than one stream more or less."""
    if found.value is None:
        return found
    if not n:
        return Estimate(0.0, n=0, reason="no stream ended well")
    one = found.value / n
    low, high = (found.value if bound is None else bound for bound in (found.low, found.high))
    return Estimate(found.value, max(0.0, min(low, found.value - one)), max(high, found.value + one), n)
