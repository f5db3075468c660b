"""What the GPUs did during each level of a load. A machine without one, or without permission, has a dash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from yapbench.measures import MIB
from yapbench.monitoring.counters import Samples
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.validity import spans_of


@dataclass(frozen=True)
class Devices:
    """All watched GPUs together, sample by sample."""

    util_mean: Estimate
    util_p95: Estimate
    vram_mean_mib: Estimate
    vram_peak_mib: Estimate


DEVICES: Final[Mapping[str, tuple[str, Callable[[float], str]]]] = {
    "GPU mean %": ("util_mean", "{:.0f}".format),
    "GPU p95 %": ("util_p95", "{:.0f}".format),
    "VRAM mean MiB": ("vram_mean_mib", "{:.0f}".format),
    "VRAM peak MiB": ("vram_peak_mib", "{:.0f}".format),
}
"""How they are shown: a field of Devices and how it is written."""


def during(trial: TrialData, levels: Sequence[float]) -> list[Devices]:
    """Of each level, during its counted time. Utilisation is NVML's: the share of time in which a kernel ran."""
    samples = Samples.of(trial.machine)
    return [_of(samples, spans_of(trial.info, level, None)) for level in levels]


def _of(samples: Samples, spans: Sequence[tuple[int, int]]) -> Devices:
    def found(metric: str, words: Callable[[Any], Any], scale: float = 1.0) -> Estimate:
        parts = [
            samples.within(gpu, metric, start_ns=start, end_ns=end)
            for gpu in samples.sources("gpu")
            for start, end in spans
        ]
        values = np.concatenate(parts) if parts else np.empty(0)
        if not values.size:
            return Estimate.missing("no GPU was watched")
        return Estimate(float(words(values)) / scale, n=int(values.size))

    return Devices(
        util_mean=found("util_percent", np.mean),
        util_p95=found("util_percent", lambda values: np.percentile(values, 95)),
        vram_mean_mib=found("vram_used_bytes", np.mean, MIB),
        vram_peak_mib=found("vram_used_bytes", np.max, MIB),
    )
