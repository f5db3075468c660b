"""The part of a page that says how many streams each setting carries, where trials searched for that.

Knows trials and answers; the numbers are capacity/'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from yapbench import axes
from yapbench.capacity import words
from yapbench.capacity.answer import Verdict
from yapbench.capacity.results import CapacityResults
from yapbench.captions import Number
from yapbench.figure import Figure
from yapbench.report.gather import Gathered
from yapbench.words import capital, number

_VERDICTS: Final = {
    Verdict.FOUND: "",
    Verdict.AT_LEAST: "at least",
    Verdict.BELOW: "fewer than",
    Verdict.UNDECIDED: "undecided",
}


@dataclass(frozen=True)
class Searched:
    """One setting's answer."""

    trial_id: str
    setting: str
    """Empty where nothing varies."""
    results: CapacityResults

    @property
    def claim(self) -> str:
        """The number as a table has it: "94", "at least 64", "undecided"."""
        answer = self.results.answer
        word, number = _VERDICTS[answer.verdict], answer.claimed
        if answer.verdict is Verdict.BELOW:
            return f"{word} 1"
        return " ".join(filter(None, (word, "" if number is None or word == "undecided" else str(number))))

    @property
    def claimed_words(self) -> str:
        """The same in a sentence: "at least 64 streams"."""
        answer = self.results.answer
        at_least = "at least " if answer.verdict is Verdict.AT_LEAST else ""
        return f"{at_least}{words.streams(answer, answer.claimed or 0)}"

    @property
    def crossing(self) -> str:
        """Where the fit reaches the target, with its interval."""
        answer = self.results.answer
        if answer.estimate is None:
            return "–"
        low = "…" if answer.low is None else f"{answer.low:.1f}"
        high = "…" if answer.high is None else f"{answer.high:.1f}"
        return f"{answer.estimate:.1f} ({low}–{high})"

    @property
    def sentences(self) -> list[str]:
        """All that is said of it."""
        return self.results.sentences()

    @cached_property
    def figure(self) -> Figure:
        """Its probes; drawn once, however often a template asks."""
        return self.results.probes()


def searched(gathered: Gathered) -> list[Searched]:
    """The answers of those trials that searched, in the order of the page."""
    names = gathered.axes
    return [
        Searched(
            str(trial.info["trial_id"]),
            axes.label(gathered.setting(trial), names) if names else "",
            CapacityResults(trial),
        )
        for trial in gathered.done
        if trial.info.get("search")
    ]


def headline(found: list[Searched]) -> str:
    """The one answer, or which setting carries most and which least."""
    if len(found) == 1:
        return words.title(found[0].results.answer)
    known = [one for one in found if one.results.answer.claimed is not None]
    if not known:
        return f"Capacity undecided in each of {len(found)} settings"
    known.sort(key=lambda one: (one.results.answer.claimed or 0, one.setting))
    open_ones = f"; undecided in {number(len(found) - len(known))}" if len(known) < len(found) else ""
    target = words.target(known[0].results.answer)
    if len({one.claimed_words for one in known}) == 1:
        where = f"with {known[0].setting}" if len(known) == 1 else f"in each of {len(known)} settings"
        return f"Capacity: {known[0].claimed_words} {where}, {target}{open_ones}"
    said = [f"{one.claimed_words} with {one.setting}" for one in (known[-1], known[0])]
    return f"Capacity: {said[0]}, {said[1]}, {target}{open_ones}"


def number_of(found: list[Searched]) -> Number:
    """The first of the big numbers: the most that was claimed, and where the fit reaches the target."""
    best = max(found, key=lambda one: (one.results.answer.claimed or 0, one.setting))
    answer = best.results.answer
    unit = "clients" if answer.since == "latency" else "streams"
    label = f"capacity within {axes.plain(answer.options.slo_ms)} ms at {answer.options.percentile}"
    if answer.claimed is None:
        return Number(None, unit, label, "", "undecided: no load was shown to keep it")
    at_least = "≥ " if answer.verdict is Verdict.AT_LEAST else ""
    reached = f"not reached up to {answer.levels[-1].streams}, {answer.options.most_is}"
    crossed = f"the fit reaches the target at {best.crossing}" if answer.estimate else reached
    note = " · ".join(filter(None, (crossed, best.setting)))
    return Number(f"{at_least}{answer.claimed}", unit, label, "", note)


def differ(found: list[Searched]) -> str:
    """Whether the difference between most and least is shown: by intervals that are apart."""
    if len(found) < 2:
        return ""
    known = [one for one in found if one.results.answer.estimate is not None]
    ranked = sorted(known, key=lambda one: one.results.answer.estimate or 0)
    if len(ranked) < 2:
        return ""
    least, most = ranked[0].results.answer, ranked[-1].results.answer
    apart = (least.high or float("inf")) < (most.low or 0.0)
    verb = "carries more than" if apart else "was not shown to carry more than"
    return (
        f"{capital(ranked[-1].setting)} {verb} {ranked[0].setting}: {ranked[-1].crossing} against {ranked[0].crossing}"
    )
