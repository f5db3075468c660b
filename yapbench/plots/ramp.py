"""What a load takes of the machine, against the load: of the GPUs where there are any, else processors and memory."""

from __future__ import annotations

from collections.abc import Sequence

from yapbench.figure import Figure
from yapbench.measures import Point
from yapbench.plots.lines import highlighted
from yapbench.plots.panels import Panel, by_level
from yapbench.streams import captions, ramp

_DIGITS = {"cpu_s_per_audio_s": 3}


def costs_by_level(points: Sequence[Point]) -> Figure:
    """Takes the points of one manner."""
    manner = captions.manner_of(points[0])
    measures = ramp.costs(points)
    return by_level(
        f"costs-{manner.key}",
        points,
        highlighted(points, by=f"{captions.felt(points)}_p50_ms" if manner.pace else "rtfx"),
        [Panel(title, (name,), (title,), digits=_DIGITS.get(name, 0)) for name, title in measures],
        title=f"{ramp.title(points)} · {manner.words}",
        manner=manner.words,
        how="The server's whole process tree, and its GPUs' own counters.",
        why="the settings that answer soonest" if manner.pace else "the settings that recognise fastest",
    )
