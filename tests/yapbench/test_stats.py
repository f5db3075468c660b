"""Intervals: bounds, ties, few samples. How often they hold a known truth is in test_coverage.py."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from yapbench import stats
from yapbench.stats import Estimate, Resample

values = st.lists(st.floats(0.1, 1e4), min_size=2, max_size=60)


@given(values, st.sampled_from([0.5, 0.95, 0.99]), st.integers(1, 3), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_a_percentile_lies_in_its_interval_and_among_the_samples(
    samples: list[float], q: float, repeats: int, streams: int
) -> None:
    index = np.arange(len(samples))
    found = stats.percentile(Resample.draw(index % repeats, index % streams, replicates=50), samples, q)
    assert found.value in samples
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert found.indicative == (len(samples) < stats.NEEDED.get(q, 0))


@given(values)
@settings(max_examples=40, deadline=None)
def test_quantile_is_the_smallest_value_that_the_share_does_not_exceed(samples: list[float]) -> None:
    found = stats.quantiles([0.95])(np.array(samples), np.ones((1, len(samples)), dtype=np.float32))[0, 0]
    assert found == sorted(samples)[math.ceil(0.95 * len(samples)) - 1]


def test_the_same_samples_give_the_same_interval() -> None:
    samples = np.random.default_rng(3).lognormal(size=200)
    once, again = (
        stats.percentile(Resample.draw(np.zeros(200), np.arange(200) % 8), samples, 0.5).as_dict() for _ in range(2)
    )
    assert json.dumps(once) == json.dumps(again)


@pytest.mark.parametrize(("n", "indicative"), [(129, True), (130, False)])
def test_a_p95_needs_130_samples(n: int, indicative: bool) -> None:
    drawn = Resample.draw(np.zeros(n), np.zeros(n), replicates=20)
    assert stats.percentile(drawn, np.arange(n), 0.95).indicative is indicative


@pytest.mark.parametrize(("n", "indicative"), [(661, True), (662, False)])
def test_a_p99_needs_662_samples(n: int, indicative: bool) -> None:
    drawn = Resample.draw(np.zeros(n), np.zeros(n), replicates=20)
    assert stats.percentile(drawn, np.arange(n), 0.99).indicative is indicative


def test_no_sample_has_no_value_but_a_reason() -> None:
    found = Resample.draw([], []).estimate([], stats.mean)
    assert (found.value, found.reason) == (None, "no sample")


def test_one_sample_has_a_value_and_no_interval() -> None:
    found = Resample.draw([0], [0]).estimate([7.0], stats.mean)
    assert (found.value, found.low, found.known) == (7.0, None, False)


def test_absent_values_are_left_out_of_n() -> None:
    found = Resample.draw([0] * 4, [0] * 4).estimate([1.0, np.nan, 3.0, np.nan], stats.mean)
    assert (found.value, found.n) == (2.0, 2)


def test_repeats_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    same = rng.normal(100, 3, 390)
    apart = same + np.repeat([-10, 0, 10], 130)
    drawn = Resample.draw(np.repeat([0, 1, 2], 130), np.zeros(390))
    narrow, wide = (drawn.estimate(each, stats.mean) for each in (same, apart))
    assert (wide.high or 0) - (wide.low or 0) > 10 * ((narrow.high or 0) - (narrow.low or 0))


@given(values, st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_a_quantile_hangs_on_no_other_draw(samples: list[float], streams: int) -> None:
    """Many draws at once and one alone take two ways through the running sum."""
    index = np.arange(len(samples))
    weights = Resample.draw(index * 0, index % streams, replicates=100).weights
    statistics = stats.quantiles([0.5, 0.95])
    each = [statistics(np.array(samples), weights[k : k + 1])[:, 0] for k in range(5)]
    assert np.array_equal(statistics(np.array(samples), weights)[:, :5], np.array(each).T)


def test_a_draw_is_remembered_and_cannot_be_written_into() -> None:
    once, again = (Resample.draw([0] * 40, range(40), replicates=50) for _ in range(2))
    assert np.array_equal(once.weights, again.weights)
    assert once.weights.sum(axis=1) == pytest.approx(40)
    assert not stats._multinomial(40, 50, stats.SEED).flags.writeable


@given(st.integers(0, 200), st.integers(0, 200))
@settings(max_examples=50, deadline=None)
def test_a_fraction_lies_in_its_interval(hits: int, misses: int) -> None:
    found = stats.fraction(hits, hits + misses)
    if hits + misses == 0:
        assert found.value is None
        return
    assert 0 <= (found.low or 0) <= (found.value or 0) + 1e-12
    assert (found.value or 0) - 1e-12 <= (found.high or 0) <= 1


def test_a_failure_never_seen_may_still_happen() -> None:
    assert stats.upper_bound_of_none(130) == pytest.approx(0.0228, abs=1e-4)
    assert stats.upper_bound_of_none(0) == 1


def test_area_counts_pairs_ranked_right_and_ties_half() -> None:
    assert stats.area_under_curve([0.9, 0.5], [0.5, 0.1]).value == pytest.approx(3.5 / 4)


def test_a_perfect_area_still_has_a_lower_bound() -> None:
    found = stats.area_under_curve([0.9] * 20, [0.1] * 20)
    assert found.value == found.high == 1
    assert 0.8 < (found.low or 0) < 0.9


def test_area_needs_both_labels() -> None:
    assert stats.area_under_curve([0.3], []).reason == "needs both labels"


def test_area_interval_holds_the_truth() -> None:
    rng, hits = np.random.default_rng(2), 0
    truth = float(distributions.norm.cdf(1.5 / math.sqrt(2)))
    for _ in range(300):
        found = stats.area_under_curve(list(rng.normal(1.5, 1, 40)), list(rng.normal(0, 1, 40)))
        hits += (found.low or 0) <= truth <= (found.high or 0)
    assert 0.91 <= hits / 300 <= 0.98


def test_ratio_of_pairs_is_their_geometric_mean() -> None:
    pairs = [(Estimate(10, 9.9, 10.1), Estimate(20, 19.8, 20.2)), (Estimate(30, 29.7, 30.3), Estimate(60, 59.4, 60.6))]
    found = stats.ratio(pairs)
    assert found.value == pytest.approx(2)
    assert 1.9 < (found.low or 0) < 2 < (found.high or 0) < 2.1


def test_pairs_that_disagree_have_a_wide_ratio() -> None:
    pairs = [(Estimate(10, 9.9, 10.1), Estimate(20, 19.8, 20.2)), (Estimate(20, 19.8, 20.2), Estimate(10, 9.9, 10.1))]
    found = stats.ratio(pairs)
    assert (found.low or 1) < 1 < (found.high or 1)


def test_a_pair_without_an_interval_is_left_out() -> None:
    assert stats.ratio([(Estimate(1.0), Estimate(2, 1.9, 2.1))]).value is None


def test_an_unknown_interval_overlaps_everything() -> None:
    assert Estimate(1.0).overlaps(Estimate(100, 99, 101))
    assert not Estimate(1, 0.9, 1.1).overlaps(Estimate(2, 1.9, 2.1))


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_has_scipys_wilson_interval(counted: tuple[int, int]) -> None:
    hits, n = counted
    found = stats.fraction(hits, n)
    expected = distributions.binomtest(hits, n).proportion_ci(0.95, method="wilson")

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
