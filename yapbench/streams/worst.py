"""The utterances of a sweep that came out worst: most word errors, latest finals, and those that failed.

Pure: of counted streams at points that are not INVALID. Knows rows and scores; knows neither page nor audio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Final, Literal

import pandas as pd

from yapbench import wer
from yapbench.measures import Point
from yapbench.obtained import UNSCORED, model_name
from yapbench.schema import Phase
from yapbench.store import TrialData
from yapbench.streams import captions
from yapbench.streams.captions import Manner
from yapbench.streams.times import Stream

Why = Literal["words", "late", "failed"]

MOST: Final = 8
"""Utterances that are shown, of all kinds together."""

AT_LEAST: Final = 2
"""Latest finals and failed streams have so many places, where there are so many."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One counted stream of a sweep."""

    trial: TrialData
    point: Point
    utterance_id: str
    repeat: int
    error: str
    stream: Stream
    heard: str | None
    """The last text that was shown; of a stream that failed the last one until then."""
    score: wer.Score | None
    """Of a stream that ended well, against a reference with words; None too where a model's words mean nothing."""

    @property
    def errors(self) -> int:
        """Word errors; 0 where nothing is scored."""
        return self.score.words.errors.total if self.score else 0

    @property
    def manner(self) -> Manner:
        """Times of another manner are other times."""
        return captions.manner_of(self.point)


@dataclass(frozen=True)
class Shown:
    """One of the worst, and for what."""

    why: Why
    of: Candidate
    since: str
    """The time that is told of it: `eos` or `eos_due` (streams.times)."""
    taken_ms: float | None
    is_late: bool
    """Its final is one of the latest, whatever it is shown for."""
    wrong: int
    """How many of the scored streams with this utterance have a word error."""
    scored: int


@dataclass(frozen=True)
class Worst:
    """What is shown, and what it was chosen from."""

    shown: tuple[Shown, ...]
    scored: int
    """Streams with a score."""
    wrong: int
    """Those of them with a word error."""
    utterances: int
    """Different utterances among the scored streams."""
    utterances_wrong: int
    """Those with an error in any showing."""
    failed: int
    """Streams that failed."""


def find(trials: Sequence[TrialData], points: Sequence[Point], *, most: int = MOST) -> Worst:
    """The worst of a sweep; `points`: of these trials, over all repeats.

    Two places each are for the latest finals and for failures, the others for word errors; places that nobody needs go
    to the latest finals. No stream is shown twice. Ties go to the first trial, level and utterance in the order given.
    """
    found = list(_candidates(trials, points))
    wrong, late, failed = most_wrong(found), latest(found), first_failed(found)
    of_words = wrong[: most - min(AT_LEAST, len(late)) - min(AT_LEAST, len(failed))]
    of_failed = failed[:AT_LEAST]
    others = [one for one in late if one not in of_words]
    of_late = others[: max(0, most - len(of_words) - len(of_failed))]
    counted = Counter(one.utterance_id for one in found if one.score)
    with_error = Counter(one.utterance_id for one in found if one.errors)
    since = {manner: captions.felt(own) for manner, own in captions.manners(points).items()}

    def shown(why: Why, one: Candidate) -> Shown:
        name = since[one.manner]
        return Shown(
            why,
            one,
            since=name,
            taken_ms=final_ms(one.stream, name),
            is_late=one in late[:AT_LEAST],
            wrong=with_error[one.utterance_id],
            scored=counted[one.utterance_id],
        )

    return Worst(
        shown=(
            *(shown("words", one) for one in of_words),
            *(shown("late", one) for one in of_late),
            *(shown("failed", one) for one in of_failed),
        ),
        scored=counted.total(),
        wrong=with_error.total(),
        utterances=len(counted),
        utterances_wrong=len(with_error),
        failed=sum(not one.stream.ok for one in found),
    )


def most_wrong(found: Sequence[Candidate]) -> list[Candidate]:
    """Streams that ended well with a word error, most errors first; each utterance once, in its worst showing."""
    return _each_once((one for one in found if one.errors), by=lambda one: one.errors)


def latest(found: Sequence[Candidate]) -> list[Candidate]:
    """Streams that ended well, the latest final first; each utterance once.

    Two manners take turns: nothing is said of which of their times is longer.
    """
    ranked = []
    for since, own in _by_manner(found):
        taken = [(one, final_ms(one.stream, since)) for one in own]
        known = {id(one): value for one, value in taken if value is not None}
        ranked.append(_each_once((one for one, value in taken if value is not None), by=_looked_up(known)))
    return [one for one in chain.from_iterable(zip_longest(*ranked)) if one is not None]


def first_failed(found: Sequence[Candidate]) -> list[Candidate]:
    """Of each kind of failure the one under the lightest load, the most frequent kind first."""
    failed = [one for one in found if not one.stream.ok]
    kinds = Counter(one.stream.outcome for one in failed)
    lightest: dict[str, Candidate] = {}
    for one in sorted(failed, key=lambda one: one.point.level):
        lightest.setdefault(one.stream.outcome, one)
    return [lightest[kind] for kind in sorted(kinds, key=lambda kind: (-kinds[kind], kind))]


def final_ms(stream: Stream, since: str) -> float | None:
    """`eos` or `eos_due` as streams.times has them, without all its other times: there are many streams in a sweep."""
    if not stream.ok or not stream.is_paced or stream.final is None:
        return None
    spoken_ns = None if stream.end_s is None else stream.audio_ns(stream.end_s)
    start_ns = {"eos": spoken_ns, "eos_due": stream.end_due_ns}[since]
    return None if start_ns is None else (stream.final.at_ns - start_ns) / 1e6


def _looked_up(known: Mapping[int, float]) -> Callable[[Candidate], float]:
    return lambda one: known[id(one)]


def _by_manner(found: Sequence[Candidate]) -> list[tuple[str, list[Candidate]]]:
    points = {id(one.point): one.point for one in found}
    return [
        (captions.felt(own), [one for one in found if one.manner == manner])
        for manner, own in captions.manners(list(points.values())).items()
        if manner.pace
    ]


def _each_once(found: Iterable[Candidate], *, by: Callable[[Candidate], float]) -> list[Candidate]:
    best: dict[str, Candidate] = {}
    for one in found:
        if one.utterance_id not in best or by(one) > by(best[one.utterance_id]):
            best[one.utterance_id] = one
    return sorted(best.values(), key=by, reverse=True)


def _candidates(trials: Sequence[TrialData], points: Sequence[Point]) -> Iterable[Candidate]:
    valid = {(point.trial_id, point.level): point for point in points if point.valid}
    known: dict[tuple[str, str | None, str | None], wer.Score] = {}
    for trial in trials:
        unscored = model_name(trial.info) in UNSCORED
        rows = trial.utterances[trial.utterances["phase"] == Phase.STEADY]
        for row in rows.to_dict("records"):
            point = valid.get((str(trial.info["trial_id"]), float(row["level"])))
            if point is not None:
                yield _candidate(trial, point, row, known, unscored=unscored)


def _candidate(
    trial: TrialData,
    point: Point,
    row: dict[Any, Any],
    known: dict[tuple[str, str | None, str | None], wer.Score],
    *,
    unscored: bool,
) -> Candidate:
    stream = Stream.of(row)
    heard = next((message.text for message in reversed(stream.shown)), None)
    score = None
    if stream.ok and stream.reference is not None and not unscored:
        key = (stream.reference, heard, stream.language)
        if key not in known:  # the same few texts come again and again
            known[key] = wer.score(stream.reference, heard, language=stream.language)
        score = known[key] if known[key].has_reference else None
    return Candidate(
        trial=trial,
        point=point,
        utterance_id=str(row["utterance_id"]),
        repeat=int(row["repeat"]),
        error="" if pd.isna(row["error"]) else str(row["error"]),
        stream=stream,
        heard=heard,
        score=score,
    )
