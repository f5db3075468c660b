"""Two sides compared: every judged number, what was left out and why, and the answer to the shell.

Pure but for the reading of the folders. Knows neither a terminal nor a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yapbench import axes
from yapbench.compare import circumstances, family, gate, rounds
from yapbench.compare.effect import Effect
from yapbench.compare.family import Judged, Verdict
from yapbench.compare.matching import Match, Matching, match
from yapbench.compare.metrics import THRESHOLD, Kind
from yapbench.compare.sides import Side, of_folder
from yapbench.errors import ExitCode, NothingRan
from yapbench.streams.captions import Manner


@dataclass(frozen=True)
class Place:
    """Where a number was measured."""

    label: str
    """The setting's values that vary; "" where none does."""
    kind: str
    level: float
    streams: bool
    manner: Manner | None = None
    """How utterances were streamed: times of another end-of-speech policy or pace are other times."""

    @property
    def words(self) -> str:
        """ "2 sessions, 8 clients"."""
        load = axes.level_words(self.kind, self.level, streams=self.streams)
        return f"{self.label}, {load}" if self.label else load


@dataclass(frozen=True)
class Line:
    """One number at one place, judged."""

    place: Place
    judged: Judged
    rounds: tuple[int, int]
    """Before and after."""
    paired: bool

    @property
    def effect(self) -> Effect:
        """What was judged."""
        return self.judged.effect


@dataclass(frozen=True)
class Told:
    """A number without an interval: said, not judged."""

    label: str
    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """All that is known of what changed from one side to the other."""

    before: Side
    after: Side
    matching: Matching
    threshold: float
    lines: tuple[Line, ...]
    """Those that got worse first, then those that got better, each by how far beyond the threshold; then the others."""
    omitted: tuple[tuple[str, str], ...]
    """(what, why it was not compared)."""
    invalid: tuple[tuple[str, str], ...]
    """(place, why it takes no part)."""
    told: tuple[Told, ...]
    norms: tuple[str, ...]
    """Names of the normalisers behind the WER; they belong beside it."""
    notes: tuple[str, ...]
    """What else differs between the sides, or is not known."""

    def of(self, verdict: Verdict) -> list[Line]:
        """The lines with this verdict, in their order."""
        return [line for line in self.lines if line.judged.verdict is verdict]

    @property
    def exit_code(self) -> ExitCode:
        """4 when something got worse; 5 when the settings match and no valid point is left to compare."""
        if self.of(Verdict.WORSE):
            return ExitCode.REGRESSION
        return ExitCode.OK if self.lines else ExitCode.INVALID_RUN


def compare_folders(before: Path, after: Path, *, threshold: float = THRESHOLD) -> Comparison:
    """Compare the sweeps in two folders. Raises NothingRan where nothing can be compared."""
    return compare(of_folder(before), of_folder(after), threshold=threshold)


def compare(before: Side, after: Side, *, threshold: float = THRESHOLD) -> Comparison:
    """Every number that both sides have. Raises NothingRan where no setting or no number is on both sides."""
    matching = match(before, after)
    if not matching.matches:
        alone = "; ".join(f"{what}: {why}" if what else why for what, why in matching.alone[:4])
        raise NothingRan(f"{before.name} and {after.name} have no setting in common ({alone})")
    found: list[tuple[Place, rounds.Leveled, Effect]] = []
    omitted: list[tuple[str, str]] = []
    invalid: list[tuple[str, str]] = []
    told: list[Told] = []
    norms: set[str] = set()
    disturbed: list[str] = []
    for pair in matching.matches:
        why = _other_audio(pair)
        if why:
            omitted.append((pair.label or "all numbers", why))
            continue
        points = rounds.points(pair)
        told += _told(pair, points)
        omitted += [
            (_place(pair, level).words, "only one side ran this load") for level in rounds.only_one_side(points)
        ]
        for leveled in rounds.levels(pair, points):
            place = _place(pair, leveled.level)
            invalid += [(place.words, reason) for reason in leveled.invalid]
            if leveled.rows is None:
                continue
            disturbed += [f"{place.words}: {reason}" for reason in leveled.disturbed]
            if leveled.unmatched:
                omitted.append((f"{leveled.unmatched} rounds · {place.words}", "the other side has none of their seed"))
            compared = gate.streams(leveled.rows) if pair.streams else gate.requests(leveled.rows)
            norms |= compared.norms
            found += [(place, leveled, effect) for effect in compared.effects]
            omitted += [(f"{title} · {place.words}", reason) for title, reason in compared.omitted]
    if not found and not invalid:
        reasons = "; ".join(f"{what}: {reason}" for what, reason in omitted[:4])
        raise NothingRan(f"{before.name} and {after.name}: no number can be compared ({reasons})")
    judged = family.judge([effect for *_, effect in found], threshold=threshold)
    lines = [
        Line(place, _tellable(one, leveled.rounds), leveled.rounds, leveled.rows is not None and leveled.rows.paired)
        for (place, leveled, _), one in zip(found, judged, strict=True)
    ]
    return Comparison(
        before,
        after,
        matching,
        threshold,
        lines=tuple(_ranked(lines)),
        omitted=tuple(omitted),
        invalid=tuple(invalid),
        told=tuple(told),
        norms=tuple(sorted(norms)),
        notes=circumstances.notes(before, after, lines, disturbed),
    )


def _tellable(one: Judged, of: tuple[int, int]) -> Judged:
    """The same without a verdict where one run a side cannot give one: two runs of the same differ in times and rates,
    and by how much, only further rounds say. What failed, and words on the same audio, hang on the run far less.
    """
    if min(of) > 1 or one.effect.metric.kind not in (Kind.TIME, Kind.RATE):
        return one
    return replace(one, verdict=Verdict.OPEN)


def _place(pair: Match, level: float) -> Place:
    manner = Manner(str(pair.setting["eos"]), float(pair.setting["pace"])) if pair.streams else None
    return Place(pair.label, pair.kind, level, pair.streams, manner)


def _other_audio(pair: Match) -> str:
    """Why two trials of one setting sent something else; "" where they did not."""
    sent = [
        {str((trial.info.get("corpus") or {}).get("sha256")) for trial in trials}
        for trials in (pair.before, pair.after)
    ]
    return "" if sent[0] == sent[1] else "other audio was sent: the corpus has another content"


def _ranked(lines: Iterable[Line]) -> list[Line]:
    """Worst first; of the others the largest change first."""
    order = {Verdict.WORSE: 0, Verdict.BETTER: 1, Verdict.OPEN: 2, Verdict.SAME: 3}
    return sorted(lines, key=lambda line: (order[line.judged.verdict], -abs(line.judged.harm)))


def _told(pair: Match, points: Sequence[rounds.Points]) -> list[Told]:
    """Peaks of memory, the largest of all loads and rounds: one number a run has no interval."""
    found = []
    for name in ("rss_peak_mib", "vram_peak_mib"):
        peaks = [_peak(side, name) for side in points]
        if peaks[0] and peaks[1]:
            found.append(Told(pair.label, name, peaks[0], peaks[1]))
    return found


def _peak(side: rounds.Points, name: str) -> float | None:
    values = [point[name].value for by_level in side for point in by_level.values()]
    return max((value for value in values if value is not None), default=None)
