"""Verdicts on candidates: who is taken, when nothing tells them apart, and what no change may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.choose import sentences
from yapbench.choose.candidate import Candidate
from yapbench.choose.terms import Terms
from yapbench.choose.use import MEASURES, Demand, Use, uses
from yapbench.choose.verdict import Fit, Kind, decide, number_of, otherwise, without_demand
from yapbench.stats import Estimate

USE = Use("agent", "Voice agent", "for a voice agent", (Demand("eos_p95_ms", 500.0),), ("wer", "cost"), "why")


def near(value: float, by: float = 0.05) -> Estimate:
    return Estimate(value, value * (1 - by), value * (1 + by), 200)


def candidate(name: str, **numbers: float | Estimate) -> Candidate:
    """Its numbers with intervals of 5 % to each side, where they are not given as estimates."""
    given = {"wer": 5.0, "eos_p95_ms": 300.0, "ttfp_p95_ms": 500.0, "erasure": 0.1, "cost": 100.0} | numbers
    found = {key: near(one) if isinstance(one, float | int) else one for key, one in given.items()}
    return Candidate(name, f"id-{name}", "stt", False, "8 streams", True, near(8), found)


def test_the_first_number_that_tells_them_apart_decides() -> None:
    verdict = decide(
        [candidate("a", wer=5.0, cost=50), candidate("b", wer=5.1, cost=90), candidate("c", wer=9, cost=1)], USE
    )
    assert (verdict.kind, verdict.first[0].name) == (Kind.TAKEN, "a")
    assert verdict.runner_up is not None
    assert (verdict.runner_up.name, verdict.decided_by) == ("b", "cost")


def test_overlapping_intervals_are_a_tie_and_the_numbers_alone_are_said() -> None:
    verdict = decide([candidate("a", wer=5.1), candidate("b", wer=5.0)], USE)
    assert verdict.kind is Kind.TIED
    text = sentences.reason(verdict, Terms())
    assert text.startswith("The data does not tell b and a apart")
    assert "By the number alone b is ahead of a: WER 5.0 %" in text


def test_who_misses_a_demand_is_not_taken_however_good_its_words() -> None:
    late, bad = candidate("late", wer=0.5, eos_p95_ms=700), candidate("bad", wer=20)
    verdict = decide([late, bad], USE)
    assert verdict.first == (bad,)
    assert sentences.left_out(verdict.left_out[0], Terms()) == (
        "late misses the demand: EOS p95 700 ms (665–735), wanted at most 500 ms."
    )
    [(demand, changed)] = without_demand([late, bad], verdict).items()
    assert (demand.measure, changed.first) == ("eos_p95_ms", (late,))


def test_a_bound_within_the_interval_is_not_met() -> None:
    verdict = decide([candidate("a", eos_p95_ms=490)], USE)
    assert (verdict.kind, verdict.judged[0].fit) == (Kind.NONE, Fit.OPEN)
    assert sentences.title(verdict) == "None of them"
    assert sentences.reason(verdict, Terms()).startswith(
        "None is shown to meet the demands. Nearest is a: EOS p95 490 ms (466–514)"
    )


@pytest.mark.parametrize("name", ["wer", "cost", "eos_p95_ms"])
def test_who_lacks_a_number_is_not_judged_and_told_why(name: str) -> None:
    lacking = candidate("a", **{name: Estimate.missing("nobody looked")})
    verdict = decide([lacking, candidate("b", wer=50, cost=5000)], USE)
    assert verdict.first[0].name == "b"
    assert [sentences.left_out(one, Terms()) for one in verdict.left_out] == ["a is not judged: nobody looked."]
    assert "only one that meets all demands" in sentences.reason(verdict, Terms())


def test_a_number_that_nobody_has_decides_nothing() -> None:
    none = Estimate.missing("no price was given")
    verdict = decide([candidate("a", cost=none, wer=5), candidate("b", cost=none, wer=9)], USE)
    assert (verdict.use.order, verdict.first[0].name) == (("wer",), "a")


def test_where_nobody_has_the_first_number_nobody_is_taken() -> None:
    none = Estimate.missing("random weights: its words mean nothing")
    verdict = decide([candidate("a", wer=none, cost=50), candidate("b", wer=none)], USE)
    assert (verdict.kind, verdict.use.order) == (Kind.NONE, ("wer", "cost"))
    assert sentences.reason(verdict, Terms()) == "WER, which decides first, is known of no candidate."


def test_nothing_known_is_nobody_and_each_is_told_why() -> None:
    none = Estimate.missing("no valid point")
    verdict = decide([candidate("a", wer=none, cost=none)], uses()[2])
    assert verdict.kind is Kind.NONE
    assert [one.missing for one in verdict.left_out] == ["no valid point"]


def test_another_corpus_is_not_compared() -> None:
    verdict = decide([replace(candidate("a", wer=0.1), apart="another corpus"), candidate("b")], USE)
    assert (verdict.first[0].name, verdict.left_out[0].missing) == ("b", "another corpus")


def test_what_would_change_the_choice_is_another_number_first() -> None:
    found = [candidate("a", wer=2, cost=100), candidate("b", wer=9, cost=10)]
    verdict = decide(found, USE)
    assert {name: changed.first[0].name for name, changed in otherwise(found, verdict).items()} == {"cost": "b"}
    said = sentences.changes(found, verdict, Terms(price_per_hour=1.0, currency="EUR"))
    assert said == ["If cost of an hour of audio came first: b, 10 EUR (9.5–10.5)."]


def test_each_demand_and_each_number_of_the_declared_uses_is_a_measure() -> None:
    for use in uses(300):
        assert {*use.order, *(demand.measure for demand in use.demands)} <= set(MEASURES)
    assert uses(300)[0].demands[0].most == 300


estimates = st.tuples(st.integers(1, 30), st.integers(0, 12), st.integers(0, 12)).map(
    lambda drawn: Estimate(float(drawn[0]), float(max(0, drawn[0] - drawn[1])), float(drawn[0] + drawn[2]), 200)
)
maybe = st.one_of(estimates, st.just(Estimate.missing("not measured")))


@st.composite
def fields(draw: st.DrawFn) -> list[Candidate]:
    count = draw(st.integers(1, 5))
    return [
        candidate(f"c{k}", wer=draw(maybe), cost=draw(maybe), eos_p95_ms=draw(maybe).scaled(25)) for k in range(count)
    ]


@given(fields(), st.randoms())
def test_the_order_of_the_candidates_changes_nothing(found: list[Candidate], random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert decide(found, USE) == decide(shuffled, USE)


@given(fields(), st.sampled_from(["wer", "cost", "eos_p95_ms"]), st.floats(0.1, 1.0))
def test_a_better_number_never_makes_the_taken_one_lose(found: list[Candidate], name: str, factor: float) -> None:
    verdict = decide(found, USE)
    if verdict.kind is not Kind.TAKEN:
        return
    taken = verdict.first[0]
    better = replace(taken, numbers={**taken.numbers, name: number_of(taken, name).scaled(factor)})
    again = decide([better if one is taken else one for one in found], USE)
    assert (again.kind, again.first) == (Kind.TAKEN, (better,))


@given(fields())
def test_nobody_with_a_missing_number_stands_and_every_verdict_can_be_said(found: list[Candidate]) -> None:
    verdict = decide(found, USE)
    standing: Sequence[Candidate] = [] if verdict.kind is Kind.NONE else verdict.first
    for one in standing:
        assert all(number_of(one, name).value is not None for name in (*verdict.use.order, "eos_p95_ms"))
    text = " ".join([sentences.headline([verdict]), sentences.reason(verdict, Terms()), sentences.demands(verdict)])
    assert "None" not in text.replace("None of them", "").replace("None is", "") and "nan" not in text


@given(fields(), fields())
def test_a_third_one_never_swaps_two(found: list[Candidate], more: list[Candidate]) -> None:
    """Who is taken among many is taken among fewer of them."""
    both = [*found, *(replace(one, name=f"m{one.name}") for one in more)]
    verdict = decide(both, USE)
    known = all(number_of(one, name).value is not None for one in both for name in USE.order)
    if verdict.kind is Kind.TAKEN and verdict.first[0] in found and known:
        assert decide(found, USE).first == verdict.first


def test_a_circle_is_a_tie() -> None:
    """a beats b by WER; b beats c, and c beats a, by cost: nobody is shown to be best."""
    a = candidate("a", wer=Estimate(4.5, 4, 5, 200), cost=90)
    b = candidate("b", wer=Estimate(6.5, 6, 7, 200), cost=10)
    c = candidate("c", wer=Estimate(5.5, 3, 8, 200), cost=50)
    verdict = decide([a, b, c], USE)
    assert (verdict.kind, {one.name for one in verdict.first}) == (Kind.TIED, {"a", "b", "c"})
    assert decide([a, b], USE).first == (a,)
