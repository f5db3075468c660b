"""Figures of what an hour of audio costs against the load: money where a price is known, energy where power is."""

from __future__ import annotations

from collections.abc import Sequence

from yapbench.figure import Figure
from yapbench.measures import SLO_MS, Point
from yapbench.plots.lines import highlighted
from yapbench.plots.panels import Panel, by_level
from yapbench.streams import captions, titles

_WHY = "the settings that answer soonest"


def cost_by_level(points: Sequence[Point], *, currency: str, slo_ms: float = SLO_MS) -> Figure | None:
    """Price of an hour of finished audio, points of one manner; None where no price is known."""
    if not any(p["cost_per_audio_h"].value is not None for p in points):
        return None
    manner = captions.manner_of(points[0])
    panel = Panel(f"{currency} per hour of audio", ("cost_per_audio_h",), ("cost",), f"{currency}/audio h", digits=3)
    return by_level(
        f"cost-{manner.key}",
        points,
        highlighted(points, by=f"{captions.felt(points)}_p50_ms"),
        [panel],
        title=f"{titles.cost(points, slo_ms, currency)} · {manner.words}",
        manner=manner.words,
        how="Price of an hour of the machine by the hours of audio finished in it. Band: the 95 % interval.",
        why=_WHY,
    )


def energy_by_level(points: Sequence[Point]) -> Figure | None:
    """Energy of the GPUs for an hour of finished audio, and their power; None where neither is known."""
    if not any(p["energy_wh_per_audio_h"].value is not None for p in points):
        return None
    manner = captions.manner_of(points[0])
    panels = [
        Panel("Wh per hour of audio", ("energy_wh_per_audio_h",), ("energy",), "Wh/audio h"),
        Panel("power of the GPUs, W", ("power_w",), ("power",), "W", digits=0),
    ]
    return by_level(
        f"energy-{manner.key}",
        points,
        highlighted(points, by=f"{captions.felt(points)}_p50_ms"),
        panels,
        title=f"{titles.energy(points)} · {manner.words}",
        manner=manner.words,
        how="Whole cards, idle power and whatever else ran on them included; no interval is known.",
        why=_WHY,
    )
