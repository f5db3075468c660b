"""How much audio a server finished per second, all of it and that within the SLO. Pure; knows rows of one level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yapbench import measures, stats
from yapbench.schema import Outcome, Phase
from yapbench.stats import Estimate, Resample
from yapbench.streams import pooling
from yapbench.streams.times import Stream, eos_ms

Times = NDArray[np.int64]

MEASURES: Final = {
    "audio_s_per_s": "audio seconds finished per second, from the last warm-up end to the last counted one",
    "goodput_audio_s_per_s": "those of them whose eos came within the SLO",
    "goodput_share": "share of all counted streams, failed ones included, whose eos came within the SLO",
}


def throughput(
    rows: pd.DataFrame, streams: Sequence[Stream], *, slo_ms: float, replicates: int = stats.REPLICATES
) -> dict[str, Estimate]:
    """MEASURES of `rows`, those of one level in all phases. The window and its slices are those of measures.py.

    `streams`: what `Stream.all_of` makes of the rows.

    A stream of the drain counts for the rates, its audio being finished under the same load, but not for the share.
    """
    eos = [eos_ms(stream) for stream in streams]
    good, sent_s = pooling.known(eos) <= slo_ms, np.array([stream.sent_s for stream in streams], dtype=np.float64)
    ok, counted = (rows["outcome"] == Outcome.OK).to_numpy(), (rows["phase"] == Phase.STEADY).to_numpy()
    warm, ended_ns = (rows["phase"] == Phase.WARMUP).to_numpy(), rows["ended_ns"].to_numpy(dtype=np.int64)
    intended_ns, repeat_of = rows["intended_ns"].to_numpy(dtype=np.int64), rows["repeat"].to_numpy(dtype=np.int64)
    amounts: dict[str, list[float]] = {"audio_s_per_s": [], "goodput_audio_s_per_s": []}
    repeats: list[int] = []
    n = 0
    for repeat in np.unique(repeat_of):
        mine = repeat_of == repeat
        window = _window(intended_ns[mine & counted], ended_ns[mine & counted], ended_ns[mine & warm])
        if window is None:
            continue
        first_ns, last_ns = window
        ended = mine & ~warm & ok & (ended_ns > first_ns) & (ended_ns <= last_ns)
        at = (ended_ns[ended] - first_ns) / (last_ns - first_ns)
        slice_s = (last_ns - first_ns) / 1e9 / measures.SLICES
        for name, weights in zip(amounts, (sent_s[ended], (sent_s * good)[ended]), strict=True):
            found_s = np.histogram(at, bins=measures.SLICES, range=(0, 1), weights=weights)[0]
            amounts[name] += list(found_s / slice_s)
        repeats += [int(repeat)] * measures.SLICES
        n += int(ended.sum())
    drawn = Resample.draw(repeats, np.zeros(len(repeats)), replicates=replicates)
    values = {name: _counted(drawn.estimate(each, stats.mean), n) for name, each in amounts.items()}
    values["goodput_share"] = stats.fraction(int((good & counted).sum()), int(counted.sum()))
    ended_well = [item for item, well in zip(eos, counted & ok, strict=True) if well]
    if ended_well and all(item.value is None for item in ended_well):
        missing = Estimate.missing(pooling.reason(ended_well))
        values |= dict.fromkeys(("goodput_audio_s_per_s", "goodput_share"), missing)
    return values


def _window(intended_ns: Times, ended_ns: Times, warm_ended_ns: Times) -> tuple[int, int] | None:
    """(after, until) in ns of one repeat, from its counted and warm-up rows: last warm-up end to last counted one."""
    if not ended_ns.size:
        return None
    first_ns = max(int(intended_ns.min()), int(warm_ended_ns.max(initial=0)))
    last_ns = int(ended_ns.max())
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
