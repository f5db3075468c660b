"""What a point cost the machine: CPU and memory of the server's process tree. Pure; knows samples and no latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from yapbench.monitoring.counters import Samples
from yapbench.schema import Outcome
from yapbench.stats import Estimate

MIB: Final = 1 << 20


def used(samples: Samples, rows: pd.DataFrame, spans: Sequence[tuple[int, int]]) -> dict[str, Estimate]:
    """CPU and memory within `spans` of (start_ns, end_ns); warm-up counts in work and in `rows` alike."""
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
    return values


def _peak(samples: Samples, sources: Sequence[str], metric: str, spans: Sequence[tuple[int, int]]) -> Estimate:
    found = [samples.within(name, metric, start_ns=start, end_ns=end) for name in sources for start, end in spans]
    held = np.concatenate(found) if found else np.empty(0)
    if not held.size:
        return Estimate.missing("no GPU was used" if metric.startswith("vram") else "no sample")
    return Estimate(float(held.max()) / MIB, n=int(held.size))
