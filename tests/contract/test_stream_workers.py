"""Streams of several load processes against `echo`: one load, paced and in phase as that of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.contract.conftest import Echo, StartEcho
from tests.contract.test_stream_load import STEP_NS, check_rows, made_corpus, run
from tests.yapbench.test_load_workers import load_workers
from yapbench import load, store
from yapbench.load import LoadProfile, Plan
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import UTTERANCES

pytestmark = pytest.mark.slow  # seconds each, waiting for real time


def test_two_workers_stream_the_load_of_one(echo: Echo, tmp_path: Path) -> None:
    results = [
        run(echo.url, tmp_path / str(workers), levels=(4,), requests=30, warmup=4, workers=workers)
        for workers in (1, 2)
    ]
    columns = ["index", "utterance_id", "phase"]
    asked = []
    for result, rows in results:
        check_rows(rows)
        asked.append(set(rows.loc[rows["phase"] != "drain", columns].itertuples(index=False, name=None)))
        assert (result.failure, result.unmeasured) == (None, [])
        first = rows[rows["index"] < 4]
        assert len(set(first["intended_ns"] % STEP_NS)) == 4  # phases of their own
    assert asked[0] == asked[1]
    assert set(results[1][1]["worker"]) == {0, 1}


def test_workers_are_in_step_where_that_is_asked_for(echo: Echo, tmp_path: Path) -> None:
    _, aligned = run(echo.url, tmp_path / "a", stream={"phases": "aligned"}, levels=(3,), requests=9, workers=2)
    check_rows(aligned)
    assert set(aligned["intended_ns"] % STEP_NS) == {0}
    stream = {"phases": "ends", "dial_ahead_s": 0.3}
    _, ends = run(echo.url, tmp_path / "b", stream=stream, kind="burst", levels=(5,), requests=5, workers=2)
    check_rows(ends)
    assert (ends["intended_ns"] + [len(lateness) * STEP_NS for lateness in ends["lateness_ns"]]).nunique() == 1


def test_a_soak_begins_within_an_utterance_and_keeps_its_streams(echo: Echo, tmp_path: Path) -> None:
    result, rows = run(echo.url, tmp_path, kind="soak", levels=(4,), duration_s=0.7, repeats=2, workers=2)
    check_rows(rows)
    begun_ns = rows.groupby("stream")["connect_start_ns"].min().astype("int64")
    mean_ns = 75_000_000  # of 0.5, 0.6 ... 1.0 s, ten times faster than live
    assert begun_ns.max() - begun_ns.min() > mean_ns / 4  # three quarters, and the noise of this machine
    assert [(point["level"], point["repeat"]) for point in result.points] == [(4.0, 0), (4.0, 1)]
    assert rows["words"].notna().all()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_load_ends_as_soon_as_all_results_are_there(echo: Echo, tmp_path: Path, workers: int) -> None:
    """Were a limit waited for, the test's own would end it."""
    _, rows = run(
        echo.url, tmp_path, stream={"post_wait_s": 900.0}, levels=(2,), requests=4, timeout_s=900.0, workers=workers
    )
    check_rows(rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_without_a_result_costs_the_limit_and_no_more(start_echo: StartEcho, tmp_path: Path, workers: int) -> None:
    url = start_echo("--never-final-rate=0.3", "--seed=1").url
    stream = {"post_wait_s": 0.3}
    _, rows = run(url, tmp_path, stream=stream, levels=(4,), requests=20, timeout_s=900.0, workers=workers)
    steady = rows[rows["phase"] == "steady"]
    assert len(steady) == 20
    assert set(steady["outcome"]) == {"ok", "no_final"}


def test_a_point_of_calls_refused_before_they_were_due_does_not_end_before_it_begins(tmp_path: Path) -> None:
    stream = {"dial_ahead_s": 1.0}
    result, rows = run("http://127.0.0.1:9", tmp_path, stream=stream, kind="poisson", levels=(50,), requests=15)
    assert set(rows["outcome"]) == {"refused"}
    assert (rows["ended_ns"] < rows["intended_ns"]).all()
    counted = rows.loc[rows["phase"] == "steady", "intended_ns"]
    [point] = result.points
    assert (point["start_ns"], point["end_ns"]) == (counted.min(), counted.max())


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_memory_of_a_soak_does_not_grow_with_it(echo: Echo, tmp_path: Path) -> None:
    rss: list[int] = []
    options = StreamOptions(frame_ms=40, pace=10, post_wait_s=2.0)
    profile = LoadProfile(kind="soak", levels=(16,), duration_s=20.0, repeats=3, timeout_s=2.0, stream=options)
    plan = Plan(client="echo_pcm", url=echo.url, corpus=made_corpus(), profile=profile)
    load.run(plan, folder=tmp_path, on_progress=lambda _: rss.extend(one.memory_info().rss for one in load_workers()))
    _, second, third = np.array_split(rss, 3)
    rows = store.read_table(tmp_path / "utterances.parquet", UTTERANCES)
    assert len(rows) > 2000  # kept in memory, they would be some 5 kB each
    assert np.median(third) - np.median(second) < 2_000_000
