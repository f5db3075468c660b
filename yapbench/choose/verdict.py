"""Which candidate to take for a use, and whether the data shows it. Pure.

Two candidates are told apart by the first number of the use's order whose intervals are apart. Who is so shown to be
better than every other one that meets the demands is taken; where nobody is, the data does not tell those apart that
nobody is shown to beat. Each pair is judged by itself, so that neither the order of the candidates nor a third one
changes what is said of two, and no candidate loses by a better number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from yapbench.choose.candidate import Candidate
from yapbench.choose.use import Demand, Use
from yapbench.stats import Estimate


class Fit(StrEnum):
    """Whether a candidate meets what a use demands."""

    MET = "met"
    OPEN = "not shown"  # a bound lies within the interval of its number, or the number has none
    MISSED = "missed"
    UNKNOWN = "not judged"  # a number is missing, or it cannot be compared


@dataclass(frozen=True)
class Judged:
    """One candidate for one use."""

    candidate: Candidate
    fit: Fit
    short: tuple[Demand, ...] = ()
    """Demands that are missed, or not shown to be met."""
    missing: str = ""
    """Why it is not judged."""


class Kind(StrEnum):
    """What kind of verdict it is."""

    TAKEN = "taken"
    TIED = "tied"
    NONE = "none"


@dataclass(frozen=True)
class Verdict:
    """The answer for one use."""

    use: Use
    kind: Kind
    first: tuple[Candidate, ...]
    """The one that is taken; those that are not told apart, best numbers first; of none the nearest, if any is."""
    runner_up: Candidate | None
    decided_by: str
    """The number that tells the first one from the runner-up; "" where none does."""
    judged: tuple[Judged, ...]
    """All candidates, by name."""

    @property
    def left_out(self) -> tuple[Judged, ...]:
        """Candidates that do not stand for this use."""
        return tuple(one for one in self.judged if one.fit is not Fit.MET)


def decide(candidates: Sequence[Candidate], use: Use) -> Verdict:
    """The verdict on candidates with different names.

    A number that none of them has decides nothing; where that is the first one, nobody is taken.
    """
    compared = [one for one in candidates if not one.apart]
    known = tuple(name for name in use.order if any(number_of(one, name).value is not None for one in compared))
    asked, use = use, replace(use, order=known or use.order)
    judged = tuple(sorted((judge(one, use) for one in candidates), key=lambda one: one.candidate.name))
    first_known = known[:1] == asked.order[:1]
    standing = [one.candidate for one in judged if one.fit is Fit.MET] if first_known else []
    if not standing:
        near = nearest(judged)
        return Verdict(use if first_known else asked, Kind.NONE, (near,) if near else (), None, "", judged)
    first = leaders(standing, use.order)
    if len(first) > 1:
        return Verdict(use, Kind.TIED, tuple(first), None, "", judged)
    others = [one for one in standing if one is not first[0]]
    second = leaders(others, use.order)[0] if others else None
    by = better(first[0], second, use.order) if second else ""
    return Verdict(use, Kind.TAKEN, tuple(first), second, by, judged)


def number_of(candidate: Candidate, name: str) -> Estimate:
    """One of its numbers; a name that it does not have is one that is missing."""
    return candidate.numbers.get(name) or Estimate.missing("not measured")


def judge(candidate: Candidate, use: Use) -> Judged:
    """Whether it has all the numbers of the use, and meets its demands by the upper ends of their intervals."""
    if candidate.apart:
        return Judged(candidate, Fit.UNKNOWN, missing=candidate.apart)
    for name in (*(demand.measure for demand in use.demands), *use.order):
        found = number_of(candidate, name)
        if found.value is None:
            return Judged(candidate, Fit.UNKNOWN, missing=found.reason or f"{name} is not known")
    fits = {demand: _fit(number_of(candidate, demand.measure), demand.most) for demand in use.demands}
    for fit in (Fit.MISSED, Fit.OPEN):
        if fit in fits.values():
            return Judged(candidate, fit, tuple(demand for demand, found in fits.items() if found is not Fit.MET))
    return Judged(candidate, Fit.MET)


def better(one: Candidate, other: Candidate, order: Sequence[str]) -> str:
    """The first number that tells the two apart, if `one` is the better by it; "" where it is not, or none does."""
    for name in order:
        mine, theirs = number_of(one, name), number_of(other, name)
        if not mine.overlaps(theirs):
            return name if (mine.high or 0.0) < (theirs.low or 0.0) else ""
    return ""


def leaders(standing: Sequence[Candidate], order: Sequence[str]) -> list[Candidate]:
    """The one that is shown to be better than each other one, else all that none is shown to beat and whom those do
    not beat, best numbers first. Where each is beaten by another, in a circle, all of them.
    """
    unbeaten = [one for one in standing if not any(better(other, one, order) for other in standing)] or list(standing)
    if len(unbeaten) == 1:
        unbeaten += [one for one in standing if one is not unbeaten[0] and not better(unbeaten[0], one, order)]
    return sorted(unbeaten, key=lambda one: (_values(one, order), one.name))


def nearest(judged: Sequence[Judged]) -> Candidate | None:
    """Of those that are judged, the one whose worst number is the least beyond its bound."""

    def beyond(one: Judged) -> float:
        values = [(number_of(one.candidate, demand.measure).value or 0.0) / demand.most for demand in one.short]
        return max(values, default=0.0)

    known = [one for one in judged if one.fit in (Fit.OPEN, Fit.MISSED)]
    return min(known, key=lambda one: (beyond(one), one.candidate.name)).candidate if known else None


def otherwise(candidates: Sequence[Candidate], verdict: Verdict) -> Mapping[str, Verdict]:
    """By each number that did not come first: the verdict if it did, where it takes another candidate."""
    found = {}
    taken = verdict.first[:1] if verdict.kind is Kind.TAKEN else ()
    for name in verdict.use.order[1:]:
        order = (name, *(other for other in verdict.use.order if other != name))
        changed = decide(candidates, replace(verdict.use, order=order))
        if changed.kind is Kind.TAKEN and changed.first != taken:
            found[name] = changed
    return found


def without_demand(candidates: Sequence[Candidate], verdict: Verdict) -> Mapping[Demand, Verdict]:
    """By each demand: the verdict without it, where it takes another candidate."""
    found = {}
    taken = verdict.first[:1] if verdict.kind is Kind.TAKEN else ()
    for demand in verdict.use.demands:
        left = tuple(other for other in verdict.use.demands if other != demand)
        changed = decide(candidates, replace(verdict.use, demands=left))
        if changed.kind is Kind.TAKEN and changed.first != taken:
            found[demand] = changed
    return found


def _fit(found: Estimate, most: float) -> Fit:
    if found.low is None or found.high is None:
        return Fit.OPEN
    return Fit.MET if found.high <= most else Fit.MISSED if found.low > most else Fit.OPEN


def _values(candidate: Candidate, order: Sequence[str]) -> tuple[float, ...]:
    return tuple(number_of(candidate, name).value or 0.0 for name in order)
