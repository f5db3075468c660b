"""Effects judged together: intervals and p-values that fit, symmetry, thresholds, and what rounds add."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from tests.yapbench.made_up_sides import family
from yapbench.compare import metrics
from yapbench.compare.effect import Effect, Spread
from yapbench.compare.family import Judged, Verdict, judge
from yapbench.compare.metrics import Metric

P50 = metrics.LATENCY[0]


def effect(
    size: float = 0.1,
    error: float = 0.01,
    *,
    metric: Metric = P50,
    before: float = 100.0,
    spread: Spread | None = None,
    freedom: float = 50.0,
) -> Effect:
    after = before * math.exp(size) if metric.is_ratio else before + size
    return Effect(metric, before, after, size, error**2, freedom, spread, 500, 500)


def seen(times: float, error: float = 0.01, rounds: int = 3) -> Spread:
    """Rounds that moved `times` as much as sampling explains."""
    return Spread(times * error**2, rounds - 1.0, float(rounds))


def only(one: Effect, **more: float) -> Judged:
    return judge([one], **more)[0]


@given(st.floats(-0.3, 0.3), st.floats(0.001, 0.1), st.floats(0.1, 20))
def test_p_is_the_level_at_which_the_interval_touches_nought(size: float, error: float, times: float) -> None:
    judged = only(effect(size, error, spread=seen(times, error)))
    reach = (judged.high - judged.low) / 2
    assert (judged.p <= 0.05) == (abs(size) >= reach) or math.isclose(abs(size), reach, rel_tol=1e-6)


def test_without_rounds_it_is_students_t_of_the_streams() -> None:
    judged = only(effect(0.03, 0.01, freedom=9))
    assert judged.p == pytest.approx(2 * special.stdtr(9, -3.0))
    assert judged.high == pytest.approx(0.03 + 0.01 * special.stdtrit(9, 0.975))


def test_rounds_that_differ_widen_the_interval_and_quiet_ones_do_not() -> None:
    widths = [only(effect(spread=seen(times))).high for times in (0.0, 0.75, 4.0)]
    assert widths[0] == pytest.approx(widths[1])
    assert widths[2] > 0.1 + 2 * (widths[1] - 0.1)


def test_restless_rounds_elsewhere_are_heard() -> None:
    quiet = effect(spread=seen(1.0))
    restless = [replace(quiet, spread=seen(20.0)) for _ in range(3)]
    assert judge([quiet, *restless])[0].p > 10 * judge([quiet] * 4)[0].p


def test_numbers_of_another_kind_are_not_heard() -> None:
    quiet, restless = effect(spread=seen(1.0)), effect(metric=metrics.RPS, spread=seen(20.0))
    assert judge([quiet, restless])[0].high == pytest.approx(judge([quiet, quiet])[0].high)


@pytest.mark.parametrize(
    ("metric", "before", "size", "verdict"),
    [
        (P50, 100.0, 0.1, Verdict.WORSE),
        (P50, 100.0, -0.1, Verdict.BETTER),
        (P50, 100.0, 0.04, Verdict.OPEN),  # surely there, and too small to matter
        (P50, 100.0, 0.0, Verdict.SAME),
        (P50, 5.0, 0.1, Verdict.SAME),  # 0.5 ms
        (metrics.RPS, 100.0, -0.1, Verdict.WORSE),
        (metrics.RPS, 100.0, 0.1, Verdict.BETTER),
        (metrics.OK_SHARE, 1.0, -0.1, Verdict.WORSE),
        (metrics.WER, 0.5, 0.05, Verdict.WORSE),
        (metrics.WER, 0.5, 0.02, Verdict.OPEN),  # less than 5 % of it
    ],
)
def test_a_verdict_needs_significance_and_the_threshold(
    metric: Metric, before: float, size: float, verdict: Verdict
) -> None:
    assert only(effect(size, 0.005, metric=metric, before=before)).verdict is verdict


def test_a_large_change_that_may_be_chance_is_not_shown() -> None:
    assert only(effect(0.1, 0.08)).verdict is Verdict.OPEN


def test_a_threshold_can_be_asked_for() -> None:
    assert only(effect(0.1, 0.005), threshold=0.2).verdict is Verdict.SAME


def test_the_more_numbers_the_more_it_takes() -> None:
    one, quiet = effect(0.1, 0.035), effect(0.0, 0.01)
    assert judge([one])[0].verdict is Verdict.WORSE
    assert judge([one, *[quiet] * 40])[0].verdict is Verdict.OPEN


def test_the_other_way_round_every_number_changes_its_sign_alone() -> None:
    effects = family(3, n=300, slower=0.3, shared=0.02)
    there, back = judge(effects), judge([one.turned() for one in effects])
    swap = {Verdict.WORSE: Verdict.BETTER, Verdict.BETTER: Verdict.WORSE}
    assert Verdict.WORSE in {one.verdict for one in there}
    for one, other in zip(there, back, strict=True):
        assert (other.low, other.high, other.p) == pytest.approx((-one.high, -one.low, one.p))
        assert other.verdict is swap.get(one.verdict, one.verdict)


def test_certainty_without_any_variance_is_taken_as_it_is() -> None:
    assert (only(effect(0.0, 0.0)).p, only(effect(0.1, 0.0)).p) == (1.0, 0.0)
