"""What a comparison must find and must not: planted slowness, and two sides that differ in nothing, from seeds.

Families are those of three load levels and four numbers each, over three rounds that both sides share.
"""

from __future__ import annotations

import pytest

from tests.yapbench.made_up_sides import family
from yapbench.compare.family import Verdict, judge

pytestmark = pytest.mark.slow

SEEDS = range(100)
CHANGED = {Verdict.WORSE, Verdict.BETTER}


def test_ten_percent_in_the_median_are_found_with_a_thousand_requests_a_side() -> None:
    found = [judge(family(seed, n=1000, slower=0.1, shared=0.02))[0] for seed in SEEDS]
    assert {one.effect.metric.name for one in found} == {"latency_p50_ms"}
    assert sum(one.verdict is Verdict.WORSE for one in found) >= 90


def test_ten_percent_in_the_p95_are_found_with_three_thousand_requests_a_side() -> None:
    found = [judge(family(seed, n=3000, elsewhere=400, slower=0.1, shared=0.02))[1] for seed in SEEDS]
    assert {one.effect.metric.name for one in found} == {"latency_p95_ms"}
    assert sum(one.verdict is Verdict.WORSE for one in found) >= 90


@pytest.mark.parametrize("shared", [0.0, 0.02, 0.05])
def test_two_sides_that_differ_in_nothing_raise_few_alarms(shared: float) -> None:
    alarms = [any(one.verdict in CHANGED for one in judge(family(seed, n=400, shared=shared))) for seed in SEEDS]
    assert sum(alarms) <= 5
