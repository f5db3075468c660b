"""The comparison with a plain server: how cells become ratios and a goal, and how a wrong answer is found."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parakeet_server import judged, options
from benchmarks.peers import uploads
from benchmarks.peers.uploads import Cell

OURS = Cell("ours", 16, 0, 40, 0, 0, audio_s_per_s=300.0, cpu_s_per_audio_s=0.006, p50_ms=90.0, p95_ms=120.0)
PLAIN = replace(OURS, peer="plain", audio_s_per_s=100.0)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=5), st.floats(1.1, 9))
def test_ratios_are_taken_within_a_round(rates: list[float], factor: float) -> None:
    cells = [replace(PLAIN, round=n, audio_s_per_s=rate) for n, rate in enumerate(rates)]
    cells += [replace(OURS, round=n, audio_s_per_s=rate * factor) for n, rate in enumerate(rates)]
    assert uploads.ratios(cells, 16) == pytest.approx([factor] * len(rates))
    assert uploads.ratios(cells, 4) == []


@pytest.mark.parametrize(("theirs", "met"), [(100.0, True), (200.0, True), (201.0, False)])
def test_the_goal_is_met_or_missed(theirs: float, met: bool) -> None:
    (goal,) = uploads.bars([OURS, replace(PLAIN, audio_s_per_s=theirs)], clients=16)
    assert goal["met"] is met
    assert uploads.bars([OURS], clients=16) == []


def test_an_answer_is_wrong_that_is_not_what_the_file_says() -> None:
    def rows(*texts: str) -> pd.DataFrame:
        return pd.DataFrame({"utterance_id": "a", "events": [[{"text": text}] for text in texts]})

    cells = judged([(OURS, rows("one", "one", "two")), (PLAIN, rows("one", "three"))])
    assert [cell.wrong for cell in cells] == [1, 1]
    assert "| 16 | ours | 1 | 0/40 | 1/40 | 300.0 | 0.0060 | 90.0 | 120.0 |" in uploads.table(cells)


def test_mistakes_on_the_command_line_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options(["--clients=many"])
    assert "--clients=many" in capsys.readouterr().err
