"""Verdicts in plain words, each computed: who, by how much, against whom, and what would change it. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from yapbench.choose.candidate import NO_LOAD, Candidate
from yapbench.choose.terms import Terms
from yapbench.choose.use import MEASURES, Demand
from yapbench.choose.verdict import Fit, Judged, Kind, Verdict, better, number_of, otherwise, without_demand
from yapbench.stats import Estimate
from yapbench.streams.captions import WORLDS
from yapbench.words import capital

NOBODY: Final = "None of them"
_MORE: Final = {
    "wer": "It hears better",
    "eos_p95_ms": "Its finals come sooner",
    "ttfp_p95_ms": "Its first words come sooner",
    "erasure": "It takes back fewer words",
    "cost": "It costs less an hour of audio",
}
"""What it means to be better by a number."""


def title(verdict: Verdict) -> str:
    """Who: "kyutai", "kyutai or voxtral", "None of them"."""
    return NOBODY if verdict.kind is Kind.NONE else listed([one.name for one in verdict.first], "or")


def headline(verdicts: Sequence[Verdict]) -> str:
    """All verdicts in one sentence, uses with the same answer together."""
    taken: dict[str, list[str]] = {}
    tied: dict[str, list[str]] = {}
    nobody: list[str] = []
    for verdict in verdicts:
        purpose = verdict.use.purpose
        if verdict.kind is Kind.NONE:
            nobody.append(purpose)
        else:
            (taken if verdict.kind is Kind.TAKEN else tied).setdefault(title(verdict), []).append(purpose)
    parts = []
    if taken:
        parts.append("take " + listed([f"{name} {listed(purposes)}" for name, purposes in taken.items()]))
    parts += [f"{listed(purposes)} the data does not tell {_and(name)} apart" for name, purposes in tied.items()]
    if nobody:
        parts.append(f"no server is shown to be fit {listed(nobody, 'or')}")
    return capital(_in_world(verdicts, "; ".join(parts)))


def reason(verdict: Verdict, terms: Terms) -> str:
    """Why: the number that decides, the runner-up and by how much; or that nothing tells; or who is nearest."""
    if verdict.kind is Kind.NONE:
        return _nobody(verdict, terms)
    if verdict.kind is Kind.TIED:
        return _tied(verdict, terms)
    first, second = verdict.first[0], verdict.runner_up
    if second is None:
        numbers = ", ".join(told(name, number_of(first, name), terms) for name in verdict.use.order)
        met = "meets all demands" if verdict.use.demands else "can be judged"
        return f"It is the only one that {met}: {numbers}."
    by = verdict.decided_by
    alike = verdict.use.order[: verdict.use.order.index(by)]
    mine, theirs = number_of(first, by), number_of(second, by)
    lower = f"{100 * (1 - (mine.value or 0.0) / (theirs.value or 1.0)):.0f} % less"
    text = (
        f"{_MORE[by]} than the runner-up, {second.name}: {_value(by, mine, terms)} against {_value(by, theirs, terms)}"
    )
    text += f", {lower}."
    if alike:
        said = listed([f"{MEASURES[name].name} ({_both(name, first, second, terms)})" for name in alike])
        text += f" {said} do{'es' if len(alike) == 1 else ''} not tell the two apart."
    return text


def behind(verdict: Verdict, terms: Terms) -> list[str]:
    """By what each other one that meets the demands is shown to be worse than the one that is taken."""
    if verdict.kind is not Kind.TAKEN:
        return []
    found = []
    for one in verdict.judged:
        by = better(verdict.first[0], one.candidate, verdict.use.order) if one.fit is Fit.MET else ""
        if by:
            found.append(f"{one.candidate.name} is behind: {told(by, number_of(one.candidate, by), terms)}.")
    return found


def _both(name: str, one: Candidate, other: Candidate, terms: Terms) -> str:
    """Without intervals; a cost of which only the upper end is known is that all the same."""
    found = [number_of(each, name) for each in (one, other)]
    return " and ".join(_value(name, each if each.low == 0 else replace(each, low=None), terms) for each in found)


def changes(candidates: Sequence[Candidate], verdict: Verdict, terms: Terms) -> list[str]:
    """What would change the choice: another number first, or a demand dropped."""
    found = []
    for name, changed in otherwise(candidates, verdict).items():
        winner = changed.first[0]
        found.append(
            f"If {MEASURES[name].name} came first: {winner.name}, {_value(name, number_of(winner, name), terms)}."
        )
    for demand, changed in without_demand(candidates, verdict).items():
        winner = changed.first[0]
        kept = told(demand.measure, number_of(winner, demand.measure), terms)
        found.append(f"Without the demand ({demand.words}): {winner.name}, {kept}.")
    if found or verdict.kind is not Kind.TAKEN or verdict.runner_up is None:
        return found
    names = [MEASURES[name].name for name in verdict.use.order]
    return [f"No other one is ahead, whichever of {listed(names)} comes first."] if len(names) > 1 else []


def left_out(one: Judged, terms: Terms) -> str:
    """Why a candidate does not stand for a use."""
    if one.fit is Fit.UNKNOWN:
        return f"{one.candidate.name} is not judged: {one.missing}."
    verb = "misses the demand" if one.fit is Fit.MISSED else "is not shown to meet the demand"
    parts = [_against(one.candidate, demand, terms) for demand in one.short]
    return f"{one.candidate.name} {verb}: {'; '.join(parts)}."


def demands(verdict: Verdict) -> str:
    """What the use asks for, in one line."""
    wanted = listed([demand.words for demand in verdict.use.demands]) or "no demand"
    order = ", then ".join(MEASURES[name].name for name in verdict.use.order) or "nothing that is known"
    return f"{capital(wanted)}; {order} decide{'s' if len(verdict.use.order) == 1 else ''}: {verdict.use.why}."


def load_words(candidate: Candidate, slo_ms: float) -> str:
    """Under which load its numbers hold."""
    if candidate.load == NO_LOAD:
        return "at no load that may be believed"
    if candidate.files:
        return f"with whole files, {candidate.load.replace('stream', 'file')} at a time"
    if candidate.claimed:
        least = "at least " if candidate.streams_words.startswith("≥") else ""
        return f"at {candidate.load}: {least}as many as it carries within {slo_ms:g} ms"
    return f"at {candidate.load}, which it is not shown to carry"


def told(name: str, found: Estimate, terms: Terms) -> str:
    """ "WER 2.1 % (1.2–3.0)"."""
    return f"{MEASURES[name].name} {_value(name, found, terms)}"


def _value(name: str, found: Estimate, terms: Terms) -> str:
    """ "2.1 % (1.2–3.0)"; of a cost without a lower end "at most 0.031 $"."""
    measure, unit = MEASURES[name], terms.unit if name == "cost" else MEASURES[name].unit
    if name == "cost" and found.low == 0 and found.high:
        return f"at most {measure.digits(found.high)} {unit}"
    value = f"{measure.digits(found.value or 0.0)} {unit}".strip()
    if found.low is None or found.high is None:
        return value
    return f"{value} ({measure.digits(found.low)}–{measure.digits(found.high)})"


def _tied(verdict: Verdict, terms: Terms) -> str:
    names = [one.name for one in verdict.first]
    first, second = verdict.first[:2]
    apart = [name for name in verdict.use.order if number_of(first, name).value != number_of(second, name).value]
    text = f"The data does not tell {listed(names)} apart: their intervals overlap"
    if not apart:
        return f"{text}, and their numbers are the same."
    by = apart[0]
    mine, theirs = (_value(by, number_of(one, by), terms) for one in (first, second))
    alone = f"By the number alone {first.name} is ahead of {second.name}"
    return f"{text}. {alone}: {MEASURES[by].name} {mine} against {theirs}."


def _nobody(verdict: Verdict, terms: Terms) -> str:
    decider = verdict.use.order[0]
    if all(number_of(one.candidate, decider).value is None for one in verdict.judged):
        return f"{capital(MEASURES[decider].name)}, which decides first, is known of no candidate."
    if not verdict.first:
        return "No candidate has all the numbers that this use is judged by."
    near = next(one for one in verdict.judged if one.candidate is verdict.first[0])
    numbers = "; ".join(_against(near.candidate, demand, terms) for demand in near.short)
    return f"None is shown to meet the demands. Nearest is {near.candidate.name}: {numbers}."


def _against(candidate: Candidate, demand: Demand, terms: Terms) -> str:
    found = number_of(candidate, demand.measure)
    few = f" ({found.n} utterances are too few to tell)" if found.low is None else ""
    bound = f"{demand.most:g} {MEASURES[demand.measure].unit}".strip()
    return f"{told(demand.measure, found, terms)}, wanted at most {bound}{few}"


def _in_world(verdicts: Sequence[Verdict], text: str) -> str:
    """No verdict on models that stand in for others without saying so."""
    models = {one.candidate.model for verdict in verdicts for one in verdict.judged}
    worlds = [world for model, world in WORLDS.items() if model in models]
    if not worlds:
        return text
    return f"{worlds[0]}, {text}" if models <= set(WORLDS) else f"{text}; in part {worlds[0][0].lower()}{worlds[0][1:]}"


def _and(names: str) -> str:
    return " and ".join(names.rsplit(" or ", 1))


def listed(parts: Sequence[str], word: str = "and") -> str:
    """ "a, b and c"."""
    return f" {word} ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
