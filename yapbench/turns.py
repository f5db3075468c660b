"""Turn decisions against labels: accuracy, area under the curve, confusion, and whether an answer ever moved.

A clip is answered many times; it counts once. Knows rows of a turn detector; knows no latency.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from yapbench import stats
from yapbench.schema import Outcome
from yapbench.stats import Estimate
from yapbench.store import TrialData

COMPLETE: Final = "complete"


@dataclass(frozen=True)
class Clip:
    """One labelled clip and everything that was answered about it."""

    utterance_id: str
    label: str
    probability: float
    """Of the first answer in the first trial: the reference for flips."""
    lowest: float
    highest: float
    answers: int
    flips: int
    """Answers that fall on the other side of the threshold than the reference does."""
    right: bool


@dataclass(frozen=True)
class Decisions:
    """All clips of some trials, and the numbers about them. Empty when nothing with a label was answered."""

    clips: tuple[Clip, ...]
    threshold: float
    accuracy: Estimate
    auc: Estimate
    answers: int
    flips: int
    largest_difference: float | None
    """Between two answers for the same clip; 0 for a model whose batches do not change its answers."""

    @property
    def confusion(self) -> dict[str, int]:
        """Clips by label and decision; complete_cut was missed, cut_complete interrupts the speaker."""
        found = {f"{label}_{said}": 0 for label in (COMPLETE, "cut") for said in (COMPLETE, "cut")}
        for clip in self.clips:
            other = "cut" if clip.label == COMPLETE else COMPLETE
            found[f"{clip.label}_{clip.label if clip.right else other}"] += 1
        return found

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, without the single clips."""
        return {
            "clips": len(self.clips),
            "threshold": self.threshold,
            "accuracy": self.accuracy.as_dict(),
            "auc": self.auc.as_dict(),
            "confusion": self.confusion,
            "answers": self.answers,
            "flips": self.flips,
            "largest_difference": self.largest_difference,
        }


def answer(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The message of the last answer among an utterance's events; None when there is none or no object."""
    found = None
    for event in events:
        if event["kind"] == "answer" and event["data"]:
            found = event["data"]
    try:
        message = json.loads(found) if found else None
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def decide(trials: Sequence[TrialData]) -> Decisions:
    """Decisions over all phases of `trials`; the threshold is the first trial's (0.5 where it has none)."""
    frames = [_answers(trial) for trial in trials]
    kept = [frame for frame in frames if len(frame)]
    threshold = _threshold(trials[0]) if trials else 0.5
    if not kept:
        nothing = Estimate.missing("no labelled clip was answered")
        return Decisions((), threshold, nothing, nothing, 0, 0, None)
    everything = pd.concat(kept, ignore_index=True)
    clips = tuple(_clip(str(name), group, threshold) for name, group in everything.groupby("utterance_id", sort=True))
    scores = {label: [c.probability for c in clips if c.label == label] for label in (COMPLETE, "cut")}
    return Decisions(
        clips=clips,
        threshold=threshold,
        accuracy=stats.fraction(sum(clip.right for clip in clips), len(clips)),
        auc=stats.area_under_curve(scores[COMPLETE], scores["cut"]),
        answers=len(everything),
        flips=sum(clip.flips for clip in clips),
        largest_difference=stats.significant(max(clip.highest - clip.lowest for clip in clips)),
    )


def _threshold(trial: TrialData) -> float:
    return float(trial.info.get("settings", {}).get("threshold") or 0.5)


def _answers(trial: TrialData) -> pd.DataFrame:
    """utterance_id, label, probability, threshold of each labelled answer, in the order it was asked."""
    rows = trial.utterances
    rows = rows[(rows["outcome"] == Outcome.OK) & rows["label"].isin([COMPLETE, "cut"])]
    found = []
    for row in rows.itertuples(index=False):
        message = answer(row.events)  # type: ignore[arg-type]
        if message is not None and isinstance(message.get("probability"), (int, float)):
            found.append((row.utterance_id, row.label, float(message["probability"]), _threshold(trial)))
    return pd.DataFrame(found, columns=["utterance_id", "label", "probability", "threshold"])


def _clip(name: str, group: pd.DataFrame, threshold: float) -> Clip:
    probabilities = group["probability"]
    first, label = float(probabilities.iloc[0]), str(group["label"].iloc[0])
    moved = (probabilities >= group["threshold"]) != (first >= group["threshold"])
    return Clip(
        utterance_id=name,
        label=label,
        probability=first,
        lowest=float(probabilities.min()),
        highest=float(probabilities.max()),
        answers=len(group),
        flips=int(moved.sum()),
        right=(first >= threshold) == (label == COMPLETE),
    )
