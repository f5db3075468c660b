"""The figure of one trial's run: CPU and memory of the server over time, with the load levels marked."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from yapbench import axes as names_of
from yapbench.figure import GRID, INK, MUTED, SERIES, Figure, Sheet, draw, nothing, write
from yapbench.monitoring.counters import Samples
from yapbench.obtained import streamed
from yapbench.resources import MIB
from yapbench.store import TrialData

MOST_SAMPLES = 400
MERGED_S = 0.4
"""CPU time is averaged over at least so long: the kernel's counter moves in steps of 10 ms."""


def resources_over_time(trial: TrialData, *, title: str = "") -> Figure:
    """CPU in cores and resident memory (GPU memory where there is any) from the first level to the last."""
    title = title or "CPU and memory while it ran"
    samples = Samples.of(trial.machine)
    cpu_at, cpu_s = samples.series("server", "cpu_s")
    rss_at, rss = samples.series("server", "rss_bytes")
    points = trial.info.get("points") or []
    if cpu_at.size < 3 or rss_at.size < 3 or not points:
        return nothing("timeline", title=title, reason="No samples of the server's processes were stored.")
    zero_ns = min(int(point["start_ns"]) for point in points)
    lanes: list[tuple[str, Any, Any, str]] = [
        ("CPU, cores", *_rates(cpu_at, cpu_s, zero_ns), SERIES[4]),
        ("memory, MiB", *_thin((rss_at - zero_ns) / 1e9, rss / MIB), SERIES[3]),
    ]
    for gpu in samples.sources("gpu"):
        at, held = samples.series(gpu, "vram_server_bytes")
        if at.size:
            lanes.append((f"{gpu} memory, MiB", *_thin((at - zero_ns) / 1e9, held / MIB), SERIES[2]))
    end_s = (max(int(point["end_ns"]) for point in points) - zero_ns) / 1e9

    def paint(sheet: Sheet) -> None:
        tall = 0.78 / len(lanes)
        inches = sheet.canvas.get_figwidth()
        left = 0.5 / inches
        for k, (name, at, values, colour) in enumerate(lanes):
            box = (left, 0.15 + (len(lanes) - 1 - k) * tall, 0.98 - left, tall - 0.07)
            ax = sheet.canvas.add_axes(box)
            ax.plot(at, values, color=colour, linewidth=1.4)
            ax.fill_between(at, 0, values, color=colour, alpha=0.15, linewidth=0)
            ax.set(xlim=(0, end_s), ylim=(0, 1.15 * max(float(np.max(values)), 1e-9)))
            write(ax, name, (0, 1), by=(3, -2), va="top", color=colour, fontsize=8.5, fontweight="bold")
            _mark_levels(sheet, ax, trial, zero_ns, named=k == 0)
            if k < len(lanes) - 1:
                ax.tick_params(labelbottom=False)
            else:
                ax.set_xlabel("seconds since the first level began")

    said = f"at most {np.max(lanes[0][2]):.1f} cores and {np.max(lanes[1][2]):.0f} MiB over {end_s:.0f} s"
    return draw("timeline", paint, title=title, label=f"{title}: {said}", heights={"wide": 3.1, "phone": 3.0})


def _rates(at: Any, total: Any, zero_ns: int) -> tuple[Any, Any]:
    """Middle times (s) and rates of a cumulative counter, over stretches of MERGED_S."""
    seconds = (at - zero_ns) / 1e9
    step = max(1, round(MERGED_S / max(1e-3, float(np.median(np.diff(seconds))))), -(-len(at) // MOST_SAMPLES))
    seconds, total = seconds[::step], total[::step]
    return (seconds[1:] + seconds[:-1]) / 2, np.maximum(0, np.diff(total) / np.diff(seconds))


def _thin(seconds: Any, values: Any) -> tuple[Any, Any]:
    step = max(1, -(-len(seconds) // MOST_SAMPLES))
    return seconds[::step], values[::step]


def _mark_levels(sheet: Sheet, ax: Axes, trial: TrialData, zero_ns: int, *, named: bool) -> None:
    kind = str((trial.info.get("load") or {}).get("kind", "closed"))
    end_s = ax.get_xlim()[1]
    for k, point in enumerate(sorted(trial.info["points"], key=lambda p: int(p["start_ns"]))):
        start, end = ((int(point[name]) - zero_ns) / 1e9 for name in ("start_ns", "end_ns"))
        if k % 2 == 0:
            ax.axvspan(start, end, color=GRID, alpha=0.6, linewidth=0, zorder=0)
        else:
            ax.axvline(start, color=GRID, linewidth=0.7)
        words = names_of.level_words(kind, float(point["level"]), streams=streamed(trial.info))
        room = (end - start) / end_s * sheet.canvas.get_figwidth() * 0.86
        if named:
            text = words if room > 0.068 * len(words) else names_of.plain(float(point["level"]))
            if room > 0.07 * len(text):
                write(
                    ax,
                    text,
                    ((start + end) / 2, 1),
                    of=("data", "axes fraction"),
                    by=(0, 3),
                    ha="center",
                    color=INK if k % 2 == 0 else MUTED,
                    fontsize=8,
                )
