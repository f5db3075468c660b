"""What a point cost the machine: CPU and memory of the server's process tree, time and energy of its GPUs.

Pure; knows samples and no latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from yapbench.monitoring.counters import REACH_S, Samples
from yapbench.schema import Outcome
from yapbench.stats import Estimate

MIB: Final = 1 << 20
JOULES_PER_WH: Final = 3600.0

NO_GPU: Final = "no GPU was used"


def used(samples: Samples, rows: pd.DataFrame, spans: Sequence[tuple[int, int]]) -> dict[str, Estimate]:
    """CPU, memory and GPUs within `spans` of (start_ns, end_ns); warm-up counts in work and in `rows` alike."""
    gains = [samples.gain("server", "cpu_s", start_ns=a, end_ns=b) for a, b in spans]
    known = [gain for gain in gains if gain is not None]
    seconds = sum(end - start for start, end in spans) / 1e9
    answered = int((rows["outcome"] == Outcome.OK).sum())
    missing = Estimate.missing("no samples of the server's processes cover this point")
    values = {"cpu_ms_per_request": missing, "cpu_percent": missing}
    if known and len(known) == len(gains):
        values["cpu_percent"] = Estimate(100 * sum(known) / seconds, n=len(known))
        values["cpu_ms_per_request"] = (
            Estimate(1e3 * sum(known) / answered, n=answered)
            if answered
            else Estimate.missing("no request was answered")
        )
    values["rss_peak_mib"] = _peak(samples, ["server"], "rss_bytes", spans)
    values["vram_peak_mib"] = _peak(samples, samples.sources("gpu"), "vram_server_bytes", spans)
    return values | _gpus(samples, spans, seconds)


def _gpus(samples: Samples, spans: Sequence[tuple[int, int]], seconds: float) -> dict[str, Estimate]:
    """Use, power and energy of the sampled cards together, whatever else ran on them and idle power included."""
    cards = samples.sources("gpu")
    if not cards or not seconds:
        return dict.fromkeys(("gpu_percent", "power_w", "energy_wh"), Estimate.missing(NO_GPU))
    drawn = [energy_j(samples, card, start_ns=start, end_ns=end) for card in cards for start, end in spans]
    known_j = [joules for joules in drawn if joules is not None]
    silent = Estimate.missing("no samples of every GPU's energy or power cover this point")
    values = {"power_w": silent, "energy_wh": silent}
    if len(known_j) == len(drawn):
        values["power_w"] = Estimate(sum(known_j) / seconds, n=len(spans))
        values["energy_wh"] = Estimate(sum(known_j) / JOULES_PER_WH, n=len(spans))
    used = [_mean(samples, card, "util_percent", start, end) for card in cards for start, end in spans]
    lasted = [(end - start) / 1e9 for _ in cards for start, end in spans]
    known = [percent * span_s for percent, span_s in zip(used, lasted, strict=True) if percent is not None]
    unseen = Estimate.missing("no samples of every GPU's use cover this point")
    values["gpu_percent"] = Estimate(sum(known) / seconds, n=len(spans)) if len(known) == len(used) else unseen
    return values


def energy_j(samples: Samples, card: str, *, start_ns: int, end_ns: int) -> float | None:
    """What a card drew from `start_ns` to `end_ns`: by its own counter, else its power over the time."""
    counted_mj = samples.gain(card, "energy_mj", start_ns=start_ns, end_ns=end_ns)
    if counted_mj is not None:
        return counted_mj / 1e3
    power_w = _mean(samples, card, "power_w", start_ns, end_ns)
    return None if power_w is None else power_w * (end_ns - start_ns) / 1e9


def _mean(samples: Samples, source: str, metric: str, start_ns: int, end_ns: int) -> float | None:
    """The mean over time of a gauge that is a straight line between samples; None where they leave an end open."""
    at, values = samples.series(source, metric)
    reach_ns = REACH_S * 1e9
    if at.size < 2 or end_ns <= start_ns or at[0] > start_ns + reach_ns or at[-1] < end_ns - reach_ns:
        return None
    inside = at[(at > start_ns) & (at < end_ns)]
    times = np.concatenate([[start_ns], inside, [end_ns]]).astype(np.int64)
    heights = np.interp(times, at, values)
    return float(np.trapezoid(heights, (times - start_ns) / 1e9) / ((end_ns - start_ns) / 1e9))


def _peak(samples: Samples, sources: Sequence[str], metric: str, spans: Sequence[tuple[int, int]]) -> Estimate:
    found = [samples.within(name, metric, start_ns=start, end_ns=end) for name in sources for start, end in spans]
    held = np.concatenate(found) if found else np.empty(0)
    if not held.size:
        return Estimate.missing(NO_GPU if metric.startswith("vram") else "no sample")
    return Estimate(float(held.max()) / MIB, n=int(held.size))
