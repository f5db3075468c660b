"""What the gateway adds: how cells become a result, and that both ways count the same events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.voxtral_gateway import DELAY_STEPS, DIRECT, GATEWAY, WARM_STEPS, Cell, judge, measure
from tests.servers.voxtral.fake_engine_gateway import running

ROUND = Cell(way=DIRECT, round=0, events=100, median_ms=0.5, p99_ms=2.0, core_percent=0.0)


def test_the_result_is_the_median_of_the_rounds_of_each_way() -> None:
    direct = [replace(ROUND, median_ms=ms) for ms in (0.5, 0.4, 9.0)]
    through = [replace(ROUND, way=GATEWAY, median_ms=ms, p99_ms=5.0, core_percent=0.6) for ms in (1.0, 1.2, 1.1)]
    result = judge(direct + through)
    assert result == pytest.approx({"median_ms": 0.6, "p99_ms": 3.0, "core_percent": 0.6})


@pytest.mark.slow
async def test_both_ways_count_the_same_events(tmp_path: Path) -> None:
    with running(tmp_path, engine=(f"--delay-steps={DELAY_STEPS}",)) as pair:
        cells = [await measure(way, pair, number=0, sessions=2, seconds=2.4) for way in (DIRECT, GATEWAY)]
    # Of the last steps of each session there is no append that completes them, only the final.
    assert [cell.events for cell in cells] == [2 * (30 - DELAY_STEPS - 1 - WARM_STEPS)] * 2
    assert cells[0].core_percent == 0 < cells[1].core_percent
    assert all(0 < cell.median_ms <= cell.p99_ms for cell in cells)
