"""What the proxy adds: how rounds become a result, and that both ways count the same messages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.proxy import DIRECT, PROXY, WARM_STEPS, Cell, judge, measure, running
from tests.deploy.routing_proxy import needs_haproxy

ROUND = Cell(way=DIRECT, round=0, messages=100, median_ms=1.0, p99_ms=2.0, core_percent=0.0)


def test_the_result_is_the_mean_difference_of_neighbours_with_its_interval() -> None:
    """A machine that slows down over the rounds does not widen it."""
    direct = [replace(ROUND, round=number, median_ms=1.0 + number) for number in range(4)]
    through = [replace(cell, way=PROXY, median_ms=cell.median_ms + 0.3) for cell in direct]
    added = judge([*reversed(through), *direct], "median_ms")
    assert (added.mean_ms, added.low_ms, added.high_ms) == pytest.approx((0.3, 0.3, 0.3))
    wider = [replace(cell, median_ms=cell.median_ms + cell.round / 10) for cell in through]
    added = judge([*direct, *wider], "median_ms")
    assert added.mean_ms == pytest.approx(0.45)
    assert 0 < added.low_ms < 0.3 < 0.6 < added.high_ms


@needs_haproxy
@pytest.mark.slow
async def test_both_ways_count_the_same_messages(tmp_path: Path) -> None:
    with running(tmp_path, steps=20) as pair:
        cells = [await measure(way, pair, number=0, sessions=2, steps=20) for way in (DIRECT, PROXY)]
    assert [cell.messages for cell in cells] == [2 * (20 - WARM_STEPS)] * 2
    assert cells[0].core_percent == 0 <= cells[1].core_percent
    assert all(0 < cell.median_ms <= cell.p99_ms for cell in cells)
