"""The figure of turn decisions: every clip's probability against its label."""

from __future__ import annotations

import re
from collections.abc import Sequence

from yapbench import axes as names_of
from yapbench import captions
from yapbench.figure import CARD, MUTED, SERIES, Figure, Sheet, draw, nothing, write
from yapbench.turns import COMPLETE, Clip, Decisions


def turn_probabilities(found: Decisions, *, trials: int = 1, model: str = "") -> Figure:
    """Each clip's probability by label, with the threshold; wrongly decided clips are crosses with their names.

    `model` is named in the title, where a page has several.
    """
    title, name = captions.decisions(found, trials), "turns"
    if model:
        title, name = f"{model}: {title}", f"turns-{re.sub('[^a-z0-9]+', '-', model.lower())}"
    if not found.clips:
        return nothing(name, title=title, reason="No labelled clip was answered.")
    rows = (COMPLETE, "cut")

    def paint(sheet: Sheet) -> None:
        ax = sheet.canvas.add_axes((0.14 if sheet.wide else 0.2, 0.17, 0.82 if sheet.wide else 0.75, 0.74))
        for k, row in enumerate(rows):
            clips = [clip for clip in found.clips if clip.label == row]
            for clip, (x, y) in zip(clips, _swarm(clips, k, width=330 if sheet.wide else 185), strict=True):
                style = {"marker": "o", "markersize": 5.5} if clip.right else {"marker": "X", "markersize": 7.5}
                ax.plot([x], [y], color=SERIES[k + 2], markeredgecolor=CARD, markeredgewidth=0.6, **style)  # type: ignore[arg-type]
                right = "right" if clip.right else "wrong"
                sheet.tip_at(ax, x, y, f"{clip.utterance_id}: {clip.probability:.3f}, {right}")
        ax.axvline(found.threshold, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        write(
            ax,
            f"threshold {names_of.plain(found.threshold)}",
            (found.threshold, 1),
            of=("data", "axes fraction"),
            by=(0, 4),
            color=MUTED,
            fontsize=8,
            ha="center",
        )
        ax.set(xlim=(-0.03, 1.03), ylim=(1.5, -0.5), yticks=(0, 1))
        ax.set_yticklabels([f"{row}\n({sum(c.label == row for c in found.clips)})" for row in rows])
        ax.grid(False, axis="y")
        ax.set_xlabel("probability that the turn is complete")

    wrong = sum(not clip.right for clip in found.clips)
    note = "One mark a clip." + (f" Crosses: the {wrong} decided wrongly." if wrong else "")
    return draw(name, paint, title=title, label=f"{title}. {note}", note=note, heights={"wide": 2.6, "phone": 2.6})


def _swarm(clips: Sequence[Clip], row: int, *, width: float) -> list[tuple[float, float]]:
    """Marks that would lie on another are moved off their row's middle, up and down in turn."""
    order = sorted(range(len(clips)), key=lambda k: (clips[k].probability, clips[k].utterance_id))
    lanes: list[float] = []
    found = [(0.0, 0.0)] * len(clips)
    for k in order:
        x = clips[k].probability
        lane = next((n for n, last in enumerate(lanes) if x - last > 7 / width), len(lanes))
        lanes[lane:] = [x, *lanes[lane + 1 :]]
        side = 1 if lane % 2 else -1
        found[k] = (x, row + side * min(0.46, 0.095 * ((lane + 1) // 2)))
    return found
