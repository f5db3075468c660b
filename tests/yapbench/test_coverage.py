"""Bar H8: intervals hold the truth of made-up worlds as often as they say. benchmarks/interval_coverage.py has more."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import interval_coverage as coverage
from benchmarks.interval_coverage import Size
from yapbench import stats
from yapbench.stats import Resample

NOISE = 0.025
"""Three standard errors of a share of 0.95 in 600 worlds."""


def drawn(size: Size, replicates: int = 200) -> Resample:
    return Resample.draw(*size.labels, replicates=replicates)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    [Size(3, 1, 0.02, 0.05), Size(3, 8, 0.05, 0.05), Size(3, 32, 0.10, 0.0)],
    ids=lambda s: f"{s.streams} streams, repeats differ by {s.repeat_effect:.0%}",
)
def test_intervals_hold_the_truth_as_often_as_they_say(size: Size) -> None:
    found = coverage.covered(size, drawn(size), 600)
    low, high = coverage.BAR
    assert all(low - NOISE / 2 <= share <= high + NOISE / 2 for share in found.share.values()), found.share


def test_repeats_that_differ_are_not_taken_for_certainty() -> None:
    """200 worlds: without the spread between repeats 4 of 10 intervals would miss, see the plain draw below."""
    size = Size(3, 8, 0.05, 0.05)
    kept = drawn(size)
    within_only = Resample(np.zeros_like(kept.repeat), kept.weights, kept.widening)
    assert coverage.covered(size, kept, 200).share["p50"] > 0.90
    assert coverage.covered(size, within_only, 200).share["p50"] < 0.80


def test_streams_that_differ_are_drawn_whole() -> None:
    size = Size(1, 32, 0.0, 0.20)
    alone = Resample.draw(np.zeros(coverage.UTTERANCES), np.zeros(coverage.UTTERANCES), replicates=200)
    assert coverage.covered(size, drawn(size), 300).share["mean"] > 0.90
    assert coverage.covered(size, alone, 300).share["mean"] < 0.85


def test_one_repeat_cannot_know_how_repeats_differ() -> None:
    """What a report of a single repeat says of its intervals is true: they hold the truth of that repeat alone."""
    size = Size(1, 8, 0.05, 0.0)
    assert coverage.covered(size, drawn(size), 300).share["p50"] < 0.85
    assert coverage.covered(Size(1, 8, 0.0, 0.0), drawn(size), 300).share["p50"] > 0.90


def test_the_truth_of_a_world_is_what_many_repeats_give() -> None:
    size = Size(400, 8, 0.05, 0.10)
    found, truth = coverage.world(size, np.random.default_rng(1)), size.truth()
    assert np.median(found.latency) == pytest.approx(truth["p50"], rel=0.02)
    assert np.quantile(found.latency, 0.95) == pytest.approx(truth["p95"], rel=0.02)
    assert found.latency.mean() == pytest.approx(truth["mean"], rel=0.02)
    assert found.errors.sum() / found.words.sum() == pytest.approx(truth["wer"], rel=0.03)


def test_agreeing_repeats_leave_half_of_the_sampling_error() -> None:
    each = np.random.default_rng(4).normal(100, 10, 130)
    thrice, repeat = np.tile(each, 3), np.repeat([0, 1, 2], 130)
    found = Resample.draw(repeat, np.zeros(390)).estimate(thrice, stats.mean)
    assert ((found.high or 0) - (found.low or 0)) / 2 == pytest.approx(0.5 * 1.96 * 10 / np.sqrt(390), rel=0.15)


def test_the_interval_of_repeats_is_students_around_their_mean() -> None:
    values, repeat = np.repeat([90.0, 100.0, 110.0], 130), np.repeat([0, 1, 2], 130)
    found = Resample.draw(repeat, np.zeros(390)).estimate(values, stats.mean)
    half = 4.302653 * 10 / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((100 - half, 100 + half), rel=1e-5)


def test_three_stages_draw_as_many_utterances_as_there_are() -> None:
    size = Size(3, 8, 0.05, 0.0)
    weights = coverage.three_stages(size, 50).weights
    repeat = size.labels[0]
    assert np.all(weights.sum(axis=1) > 0)
    assert weights.mean() == pytest.approx(1, abs=0.05)
    assert {float(weights[0, repeat == k].sum() > 0) for k in range(3)} <= {0.0, 1.0}
