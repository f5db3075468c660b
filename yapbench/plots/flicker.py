"""The figure of what streams took back of what they had shown, against the load."""

from __future__ import annotations

from collections.abc import Sequence

from yapbench.figure import Figure, nothing
from yapbench.measures import Point
from yapbench.plots.lines import highlighted
from yapbench.plots.panels import Panel, by_level
from yapbench.streams import captions, titles

_PANELS = (
    Panel(
        "normalized erasure",
        ("normalized_erasure",),
        ("normalized erasure",),
        digits=2,
        limit=titles.LOW_REVISION,
        limit_words="low revision",
    ),
    Panel("UPWR", ("upwr",), ("UPWR",), digits=2),
    Panel("UPSR", ("upsr",), ("UPSR",), digits=2),
)


def flicker_by_level(points: Sequence[Point]) -> Figure | None:
    """Normalized erasure, UPWR and UPSR of the points of one manner; None where no stream showed a partial."""
    if not any(p["upwr"].value is not None for p in points):
        return None
    manner = captions.manner_of(points[0])
    key, title = f"flicker-{manner.key}", f"{titles.taken_back(points)} · {manner.words}"
    if not any(p[name].value for p in points for name in ("normalized_erasure", "upwr", "upsr")):
        n = sum(p["upwr"].n for p in points)
        reason = f"Every partial of {n} streams only grew: normalized erasure, UPWR and UPSR are 0 everywhere."
        return nothing(key, title=title, reason=reason, manner=manner.words)
    by = f"{captions.felt(points)}_p50_ms" if manner.pace else "rtfx"
    how = (
        "Erasure counts words from the first change on, UPWR only those that changed, both per word of the finals; "
        "UPSR counts runs of them. Band: 95 % interval."
    )
    lines = highlighted(points, by=by)
    why = "the settings that answer soonest"
    return by_level(key, points, lines, _PANELS, title=title, manner=manner.words, how=how, why=why)
