"""Candidates from trials: at which load, with which numbers, what they cost, and who is not compared."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench import made_up_choice
from yapbench import measures, stats, store
from yapbench.capacity.answer import Answer, Verdict, answer_of
from yapbench.capacity.observation import observations_of
from yapbench.capacity.options import SearchOptions
from yapbench.choose.candidate import Candidate, candidates, streams_of
from yapbench.choose.terms import Terms, terms_of
from yapbench.errors import UsageError
from yapbench.stats import Estimate
from yapbench.store import TrialData


def of(*trials: TrialData, terms: Terms | None = None) -> list[Candidate]:
    points = [point for trial in trials for point in measures.points_of(trial, replicates=100)]
    return candidates(trials, points, terms or Terms())


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answer, Candidate]:
    made = made_up_choice.searched(
        tmp_path_factory.mktemp("sweep") / "kyutai000000", "kyutai", base_ms=60, levels=(1, 8)
    )
    [one] = of(made, terms=Terms(price_per_hour=2.0, duty=0.5))
    return answer_of(observations_of(made), SearchOptions(**made.info["search"])), one


@pytest.mark.slow
def test_a_live_candidate_is_told_at_the_load_that_its_search_claims(live: tuple[Answer, Candidate]) -> None:
    answer, one = live
    assert (one.name, one.claimed, one.load) == ("kyutai", True, f"{answer.claimed} streams")
    assert one.streams.value == answer.claimed
    assert one.numbers["cost"].value == pytest.approx(2.0 / ((answer.claimed or 0) * 0.5))
    assert set(one.alone) == {"eos_p50_ms", "ttfp_p50_ms", "wer"} and one.memory_mib.value


@pytest.mark.slow
def test_the_time_to_the_final_has_the_bounds_that_the_claim_rests_on(live: tuple[Answer, Candidate]) -> None:
    answer, one = live
    judged = next(each for each in answer.levels if each.streams == answer.claimed)
    assert judged.bounds is not None
    assert (one.numbers["eos_p95_ms"].low, one.numbers["eos_p95_ms"].high) == (judged.bounds.low, judged.bounds.high)


@pytest.mark.slow
def test_files_cost_what_their_audio_takes_and_have_no_times(tmp_path: Path) -> None:
    [one] = of(made_up_choice.files(tmp_path / "files"), terms=Terms(price_per_hour=2.0))
    assert (one.name, one.files, one.streams_words) == ("parakeet by files", True, "files")
    assert one.numbers["cost"].value == pytest.approx(2.0 / (one.audio_s_per_s.value or 0))
    assert one.numbers["eos_p95_ms"].value is None and "whole files" in one.numbers["eos_p95_ms"].reason


@pytest.mark.slow
def test_a_probe_that_was_thrown_away_is_part_of_no_number(tmp_path: Path) -> None:
    clean = made_up_choice.searched(tmp_path / "clean", "kyutai", levels=(8,), repeats=4)
    rows = clean.utterances.copy()
    last = rows["repeat"] == 3
    rows.loc[last, "lateness_ns"] = rows.loc[last, "lateness_ns"].map(lambda late: late * 0 + 90_000_000)
    [one] = of(replace(clean, utterances=rows))
    [three] = of(made_up_choice.searched(tmp_path / "three", "kyutai", levels=(8,), repeats=3))
    assert one.numbers["wer"] == three.numbers["wer"]


@pytest.mark.slow
def test_no_wrong_word_in_many_has_an_upper_bound(tmp_path: Path) -> None:
    made = made_up_choice.files(tmp_path / "files", wrong=0.0, levels=(4,))
    steady = made.utterances[made.utterances["phase"] == "steady"]
    words = sum(len(text.split()) for text in steady["reference"])
    [one] = of(made)
    assert one.numbers["wer"].value == 0
    assert one.numbers["wer"].high == pytest.approx(100 * stats.upper_bound_of_none(words))


@pytest.mark.slow
def test_who_was_sent_something_else_is_set_apart(tmp_path: Path) -> None:
    trials = [made_up_choice.files(tmp_path / name, levels=(4,), count=20) for name in ("a00000", "b00000", "c00000")]
    other = replace(trials[1], info=trials[1].info | {"corpus": {"name": "noisy", "sha256": "f" * 64}})
    found = of(trials[0], other, trials[2])
    assert [bool(one.apart) for one in found] == [False, True, False]
    assert found[1].apart == "another corpus: noisy (ffffffff), not sentences (cccccccc)"
    assert len({one.name for one in found}) == 3


@pytest.mark.slow
def test_a_search_without_a_claim_has_no_capacity_and_no_cost(tmp_path: Path) -> None:
    [one] = of(made_up_choice.searched(tmp_path / "few", "kyutai", repeats=1, levels=(8,)))
    assert (one.claimed, one.streams_words) == (False, "not known")
    assert one.numbers["cost"].value is None and one.numbers["wer"].value is not None


@pytest.mark.slow
def test_at_least_is_a_bound_of_one_side(tmp_path: Path) -> None:
    made = made_up_choice.searched(tmp_path / "light", "kyutai", levels=(8,), base_ms=20)
    answer = answer_of(observations_of(made), SearchOptions(**made.info["search"]))
    assert answer.verdict is Verdict.AT_LEAST
    streams = streams_of(answer)
    assert (streams.value, streams.high) == (8, math.inf)
    cost = Terms(price_per_hour=1.0).of_streams(streams)
    assert cost.low == 0 and cost.high == pytest.approx(1 / 8)
    [one] = of(made)
    assert one.streams_words == "≥ 8"


@given(st.floats(1, 1e4), st.floats(0.01, 1), st.one_of(st.none(), st.floats(0.01, 1e3)))
def test_more_streams_cost_less_and_more_silence_more(streams: float, duty: float, price: float | None) -> None:
    few, many = Estimate(streams, streams * 0.9, streams * 1.1), Estimate(streams * 3, streams * 2.9, streams * 3.1)
    terms = Terms(price_per_hour=price, duty=duty)
    one, other = terms.of_streams(few), terms.of_streams(many)
    assert (other.value or 0) < (one.value or 0) and (other.high or 0) < (one.low or 0)
    always = replace(terms, duty=1.0).of_streams(few)
    assert (one.value or 0) == pytest.approx((always.value or 0) / duty)


def test_the_price_in_the_sweep_file_counts_over_that_of_the_trials(tmp_path: Path) -> None:
    infos = [{"asked": {"price_per_hour": 1.0, "duty": 0.5}}] * 2
    assert terms_of(tmp_path, infos) == Terms(price_per_hour=1.0, duty=0.5)
    grid = {"parameters": "{price_per_hour: 2.5, currency: EUR, price_source: 'a list, May 2026'}"}
    (tmp_path / store.GRID).write_text(f"parameters: {grid['parameters']}\n", encoding="utf-8")
    assert terms_of(tmp_path, infos) == Terms(2.5, "EUR", "a list, May 2026", 1.0)
    (tmp_path / store.GRID).write_text("parameters: {duty: 3}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="duty is 3; it must be above 0 and at most 1"):
        terms_of(tmp_path, infos)


def test_trials_with_different_prices_have_none_in_common(tmp_path: Path) -> None:
    infos = [{"asked": {"price_per_hour": 1.0}}, {"asked": {"price_per_hour": 2.0}}]
    terms = terms_of(tmp_path, infos)
    assert (terms.price_per_hour, terms.unit) == (None, "machine s")
    assert terms.words.startswith("No price was given")
