"""Audio finished per second and within the SLO, of streams whose rates are known."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.yapbench import made_up_streams as made_up
from yapbench.stats import Estimate
from yapbench.streams.rates import throughput
from yapbench.streams.times import Stream


def back_to_back(count: int, **changes: Any) -> pd.DataFrame:
    """One user: 0.9 s of audio every 1.25 s, its end 1.1 s after its start; the first is warm-up."""
    rows = [
        made_up.row(t0_ns=made_up.T0_NS + k * 1250 * made_up.MS, index=k, phase="steady" if k else "warmup", **changes)
        for k in range(count)
    ]
    return pd.DataFrame(rows)


def rates(rows: pd.DataFrame, **more: Any) -> dict[str, Estimate]:
    return throughput(rows, Stream.all_of(rows), **more)


def test_throughput_is_the_audio_finished_in_steady_time() -> None:
    found = rates(back_to_back(41), slo_ms=300, replicates=100)
    assert found["audio_s_per_s"].value == pytest.approx(40 * 0.9 / (40 * 1.25 + 1.1 - 1.25))
    assert (found["audio_s_per_s"].low or 0) < 0.72 < (found["audio_s_per_s"].high or 0)
    assert found["goodput_audio_s_per_s"] == found["audio_s_per_s"]


def test_goodput_is_that_within_the_slo_and_its_share_is_of_all() -> None:
    rows = back_to_back(41)
    rows.loc[1:10, "outcome"] = "timeout"
    found = rates(rows, slo_ms=300, replicates=20)
    assert found["goodput_share"].value == pytest.approx(30 / 40)
    none = rates(rows, slo_ms=100, replicates=20)
    assert (none["goodput_share"].value, none["goodput_audio_s_per_s"].value) == (0, 0)
    assert none["audio_s_per_s"] == found["audio_s_per_s"]


def test_without_an_end_of_speech_there_is_throughput_and_no_goodput() -> None:
    found = rates(back_to_back(11, words=None, speech_end_s=None), slo_ms=300, replicates=20)
    assert found["audio_s_per_s"].value == pytest.approx(10 * 0.9 / (10 * 1.25 + 1.1 - 1.25))
    assert found["goodput_share"].reason == "the corpus does not say when speech ends"


def test_when_every_stream_fails_the_share_is_zero() -> None:
    found = rates(back_to_back(11, outcome="no_final"), slo_ms=300, replicates=20)
    assert (found["goodput_share"].value, found["audio_s_per_s"].value) == (0, 0)
    assert found["audio_s_per_s"].reason == "no stream ended well"
