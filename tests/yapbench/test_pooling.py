"""Sums and quantiles over utterances: their values, their intervals, and what has none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapbench import stats
from yapbench.stats import Estimate, Resample
from yapbench.streams import pooling

counts = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=30)


def drawn(n: int, *, repeats: int = 1, replicates: int = 60) -> Resample:
    return Resample.draw(np.arange(n) % repeats, np.arange(n) % 3, replicates=replicates)


@given(counts, st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_a_ratio_is_that_of_the_sums_and_lies_in_its_interval(pairs: list[tuple[int, int]], repeats: int) -> None:
    above, below = np.array(pairs, dtype=float).T
    found = pooling.ratio(drawn(len(pairs), repeats=repeats), above, below, "nothing")
    if not below.sum():
        assert found == Estimate.missing("nothing")
        return
    assert found.value == pytest.approx(above.sum() / below.sum())
    assert found.low is None or 0 <= found.low <= (found.value or 0) <= (found.high or 0)
    json.dumps(found.as_dict(), allow_nan=False)


def test_an_utterance_without_a_part_is_left_out_of_both_sums() -> None:
    found = pooling.ratio(drawn(3), [1, np.nan, 2], [4, 9, 6], "nothing")
    assert (found.value, found.n) == (3 / 10, 2)


def test_a_share_ends_at_one() -> None:
    found = pooling.ratio(drawn(6, repeats=3), [1, 9, 9, 9, 9, 9], [9] * 6, "nothing", most=1.0)
    assert (found.high or 0) <= 1


def test_words_wrong_together_widen_the_interval() -> None:
    wrong, words = np.tile([0, 0, 0, 10], 20), np.full(80, 10)
    together = pooling.ratio(drawn(80, replicates=400), wrong, words, "nothing")
    apart = stats.fraction(int(wrong.sum()), int(words.sum()))
    assert together.value == apart.value == 0.25
    assert (together.high or 0) - (together.low or 0) > 2 * ((apart.high or 0) - (apart.low or 0))


@given(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=5), min_size=1, max_size=12), st.sampled_from([0.5, 0.9, 0.99]))
@settings(max_examples=60, deadline=None)
def test_a_quantile_of_words_is_that_of_all_of_them(words: list[list[float]], q: float) -> None:
    flat = sorted(value for each in words for value in each)
    found = pooling.quantiles_of_words(drawn(len(words)), words, [q], "no word")[0]
    if not flat:
        assert found == Estimate.missing("no word")
        return
    assert found.value == stats.quantiles([q])(np.array(flat), np.ones((1, len(flat)), dtype=np.float32))[0, 0]
    assert (found.n, found.indicative) == (len(flat), q == 0.99)


def test_many_words_are_drawn_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [list(np.random.default_rng(k).normal(size=9)) for k in range(12)]
    whole = pooling.quantiles_of_words(drawn(12), words, [0.5, 0.9], "")
    monkeypatch.setattr(pooling, "_CHUNK", 200)
    assert pooling.quantiles_of_words(drawn(12), words, [0.5, 0.9], "") == whole


def test_what_is_missing_everywhere_says_why_most_of_it_is() -> None:
    each = [Estimate.missing("no final"), Estimate.missing("no final"), Estimate.missing("late")]
    assert pooling.percentiles(drawn(3), each, [0.5]) == [Estimate.missing("no final")]
    assert pooling.mean(drawn(0), []) == Estimate.missing("no sample")


def test_the_interval_of_a_word_error_rate_holds_the_true_one() -> None:
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        words = rng.integers(3, 30, 390)
        wrong = rng.binomial(words, np.clip(rng.beta(0.5, 9.5, 390) * np.repeat(rng.normal(1, 0.05, 3), 130), 0, 1))
        resample = Resample.draw(np.repeat([0, 1, 2], 130), np.tile(np.arange(130) % 40, 3), replicates=300, seed=seed)
        found = pooling.ratio(resample, wrong, words, "nothing")
        held += (found.low or 0) <= 0.05 <= (found.high or 0)
    assert 0.91 <= held / 200 <= 0.995
