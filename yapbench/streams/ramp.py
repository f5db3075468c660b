"""The classic table of a concurrency ramp: for each load how many, when their texts came, how right, at what cost.

Pure; knows points and what GPUs did, and no page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from yapbench.devices import Devices
from yapbench.measures import Point
from yapbench.stats import Estimate
from yapbench.streams import captions
from yapbench.words import at, rate

LEAST_LEVELS: Final = 3
"""Two loads are a comparison; from so many on they are a ramp."""

_TIMES: Final = {
    "eos": ("EOS", "from the end of speech in the audio to the last final"),
    "eos_due": ("EOS due", "from when the end message was due to the last final"),
    "flush": ("answer", "from the file's last byte handed over to its text"),
}
_CPU: Final = (("cpu_s_per_audio_s", "CPU s per audio s"), ("rss_peak_mib", "RSS peak, MiB"))
_GPU: Final = (("gpu_percent", "GPU, %"), ("vram_peak_mib", "VRAM peak, MiB"))


@dataclass(frozen=True)
class Column:
    """One number of a load."""

    title: str
    meaning: str
    value: Callable[[Point, Devices], Estimate]
    digits: int | None = None
    """None: as many as a number of this size has elsewhere."""
    factor: float = 1.0


def is_ramp(points: Sequence[Point]) -> bool:
    """`points` of one trial have loads enough."""
    return len({point.level for point in points}) >= LEAST_LEVELS


def time_of(points: Sequence[Point]) -> str:
    """The time that is told: a name of streams.times.TIMES; `points` of one manner."""
    return captions.felt(points) if captions.manner_of(points[0]).pace else "flush"


def columns(points: Sequence[Point], found: Sequence[Devices]) -> list[Column]:
    """Of `points` of one trial and what the GPUs did at them: without a GPU what the server's processes took."""
    name, meaning = _TIMES[since := time_of(points)]
    if since == "flush" and captions.manner_of(points[0]).eos != "file":
        name, meaning = "flush", "from the end message handed over to the last final"
    times = [
        Column(f"{name} {statistic}, ms", f"{meaning}: {statistic}", _measure(f"{since}_{statistic}_ms"))
        for statistic in ("p50", "p95", "mean")
    ]
    words = Column(
        "WER, %", "word errors per word, normalised, of the streams that ended well", _measure("wer"), 1, 100
    )
    return [*times, words, *(_of_gpus() if any(one.util_mean.value is not None for one in found) else _of_processes())]


def costs(points: Sequence[Point]) -> tuple[tuple[str, str], ...]:
    """(measure, title) of what a load takes: of the GPUs where there are any, else of the processors."""
    return _GPU if any(point["gpu_percent"].value is not None for point in points) else _CPU


def title(points: Sequence[Point]) -> str:
    """What the heaviest valid load took, in the setting that took least."""
    measure, name = costs(points)[0]
    valid = [point for point in points if point.valid and point[measure].value is not None]
    if not valid:
        return "What the load takes: no valid point was watched"
    level = max(point.level for point in valid)
    least = min(point[measure].value or 0.0 for point in valid if point.level == level)
    told = f"{rate(least)} %" if measure == "gpu_percent" else f"{least:.3f}"
    which = "" if len({point.trial_id for point in valid}) == 1 else " in the setting that takes least"
    return f"{name.partition(',')[0]}: {told} at {at(valid, level)}{which}"


def _measure(name: str) -> Callable[[Point, Devices], Estimate]:
    return lambda point, _: point[name]


def _of_gpus() -> list[Column]:
    return [
        Column("GPU p95, %", "utilisation by NVML, 95th percentile of the samples", lambda _, gpus: gpus.util_p95, 0),
        Column("GPU mean, %", "the same, mean", lambda _, gpus: gpus.util_mean, 0),
        Column("VRAM peak, MiB", "memory in use on the GPUs, largest sample", lambda _, gpus: gpus.vram_peak_mib, 0),
        Column("VRAM mean, MiB", "the same, mean", lambda _, gpus: gpus.vram_mean_mib, 0),
    ]


def _of_processes() -> list[Column]:
    return [
        Column("CPU s/audio s", "CPU time of the server's process tree", _measure("cpu_s_per_audio_s"), 3),
        Column("CPU, %", "the same a second; 100 % is one core", _measure("cpu_percent"), 0),
        Column("RSS peak, MiB", "largest resident memory of that tree", _measure("rss_peak_mib"), 0),
    ]
