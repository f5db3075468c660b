"""Load profiles are checked before anything runs, and `run` keeps the load that they describe."""

from __future__ import annotations

import json
import time
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench.turn_server import TurnServer, turn_server
from yapbench import load, store
from yapbench.corpus import Corpus, Utterance, Word
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, LoadResult, Plan, Point, parse_levels
from yapbench.pacing.schedule import poisson_offsets
from yapbench.schema import MACHINE, SCHEMA_VERSION, UTTERANCES

pytestmark = pytest.mark.slow  # real processes


def made_corpus(count: int = 7) -> Corpus:
    silence = np.zeros(800, dtype=np.float32)
    return Corpus.of(
        "made",
        [
            Utterance(id=f"u{n}", duration_s=0.05, samples=silence + n / 100, sample_rate_hz=16_000)
            for n in range(count)
        ],
    )


def corpus_in_files(folder: Path) -> Corpus:
    """The same corpus as files, for a worker that is started by hand."""
    utterances = []
    for one in made_corpus():
        path = folder / f"{one.id}.wav"
        soundfile.write(path, one.samples, 16_000)
        utterances.append(Utterance(id=one.id, duration_s=one.duration_s, path=path))
    return Corpus.of("made", utterances)


def run(server: TurnServer, folder: Path, **profile: Any) -> tuple[LoadResult, pd.DataFrame]:
    plan = Plan(client="smart_turn", url=server.url, corpus=made_corpus(), profile=LoadProfile(**profile))
    result = load.run(plan, folder=folder)
    return result, store.read_table(folder / "utterances.parquet", UTTERANCES)


def check_rows(rows: pd.DataFrame) -> None:
    """What holds for every load: stamps in order, never early, each request once."""
    assert rows["request_id"].is_unique
    assert (rows["outcome"] == "ok").all()
    assert (rows["sent_ns"] >= rows["intended_ns"]).all()
    assert (rows["sent_end_ns"] >= rows["sent_ns"]).all()
    assert (rows["ended_ns"] >= rows["sent_end_ns"]).all()
    for lateness, sent, intended in zip(rows["lateness_ns"], rows["sent_ns"], rows["intended_ns"], strict=True):
        assert lateness.tolist() == [sent - intended]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "needs either requests"),
        ({"requests": 1, "duration_s": 1.0}, "needs either requests"),
        ({"requests": 0}, "requests is 0"),
        ({"requests": "9"}, "requests is '9'"),
        ({"requests": True}, "requests is True"),
        ({"requests": 1, "repeats": 0}, "repeats is 0"),
        ({"requests": 1, "warmup": -1}, "warmup is -1"),
        ({"requests": 1, "timeout_s": 0}, "timeout_s is 0"),
        ({"duration_s": float("inf")}, "duration_s is inf"),
        ({"requests": 1, "kind": "close"}, "did you mean 'closed'"),
        ({"requests": 1, "levels": ()}, "at least one level"),
        ({"requests": 1, "levels": (2.5,)}, "level 2.5 must be a whole number"),
        ({"requests": 1, "levels": (0,), "kind": "poisson"}, "level 0 must be above 0"),
        ({"requests": 1, "levels": (4, 4)}, "levels repeat: 4, 4"),
    ],
)
def test_a_load_that_cannot_be_run_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LoadProfile(**values)


def test_levels_are_read() -> None:
    assert parse_levels("1, 4,8") == (1.0, 4.0, 8.0)
    assert parse_levels(4) == (4.0,)
    assert parse_levels(0.5) == (0.5,)
    for wrong in ("", "1,,2", "1;2", "-1", "nan"):
        with pytest.raises(UsageError):
            parse_levels(wrong)


@given(levels=st.lists(st.integers(1, 64), min_size=1, max_size=5, unique=True), repeats=st.integers(1, 4))
def test_repeats_interleave(levels: list[int], repeats: int) -> None:
    points = LoadProfile(levels=tuple(levels), requests=1, repeats=repeats).points()
    assert points == [Point(level, repeat) for repeat in range(repeats) for level in levels]


def test_a_plan_survives_json(tmp_path: Path) -> None:
    words = (Word("hello", 0.1, 0.4),)
    one = Utterance(id="a", duration_s=1.0, path=tmp_path / "a.wav", text="hello", words=words, label="cut")
    profile = LoadProfile(kind="poisson", levels=(0.5, 2.0), duration_s=3.0, seed=4)
    plan = Plan(client="echo", url="http://x", corpus=Corpus("c", (one,), "00"), profile=profile, cpus=(1,))
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_a_closed_loop_keeps_exactly_its_users_busy(tmp_path: Path) -> None:
    with turn_server(delay_ms=10) as server:
        result, rows = run(server, tmp_path, levels=(3,), requests=30, warmup=4)
        stats = server.stats()
    check_rows(rows)
    assert rows["phase"].value_counts()[["warmup", "steady"]].tolist() == [4, 30]
    assert (stats["requests"], stats["most_at_once"]) == (len(rows), 3)
    assert sorted(rows["index"]) == list(range(len(rows)))
    for _, own in rows.groupby("stream"):  # each user's next request is intended the moment the last answer came
        own = own.sort_values("intended_ns")
        assert own["intended_ns"].tolist()[1:] == own["ended_ns"].tolist()[:-1]
    # All three are busy until the last counted answer: nobody stops before it.
    steady = rows[rows["phase"] == "steady"]
    assert (rows.groupby("stream")["ended_ns"].max() >= steady["ended_ns"].max()).all()
    [point] = result.points
    assert (point["level"], point["repeat"]) == (3.0, 0)
    assert (point["start_ns"], point["end_ns"]) == (steady["intended_ns"].min(), steady["ended_ns"].max())
    assert (result.failure, result.unmeasured) == (None, [])


def test_every_level_meets_the_same_utterances_in_the_same_order(tmp_path: Path) -> None:
    with turn_server() as server:
        _, first = run(server, tmp_path / "a", levels=(1, 4), requests=10, warmup=2, repeats=2, seed=5)
        _, second = run(server, tmp_path / "b", levels=(4,), requests=10, warmup=2, repeats=2, seed=5)
    chosen = [
        rows[(rows["level"] == level) & (rows["repeat"] == 0)].sort_values("index")["utterance_id"].tolist()[:12]
        for rows, level in ((first, 1), (first, 4), (second, 4))
    ]
    assert chosen[0] == chosen[1] == chosen[2]
    assert len(set(chosen[0][:7])) == 7  # nobody asks what another one is asking
    later = second[second["repeat"] == 1].sort_values("index")["utterance_id"].tolist()[:12]
    assert later != chosen[2]


def test_connections_are_opened_before_the_clock_starts(tmp_path: Path) -> None:
    with turn_server() as server:
        _, rows = run(server, tmp_path, levels=(3,), requests=9, warmup=3)
    opened = rows[rows["connected_ns"].notna()]
    assert (opened["phase"] == "warmup").all()
    assert (opened["connected_ns"] <= opened["intended_ns"]).all()
    assert sorted(opened["stream"]) == [0, 1, 2]


def test_poisson_arrivals_wait_for_nobody(tmp_path: Path) -> None:
    with turn_server(delay_ms=300) as server:
        _, rows = run(server, tmp_path, kind="poisson", levels=(40,), requests=30, warmup=3, seed=1)
        stats = server.stats()
    check_rows(rows)
    rows = rows.sort_values("index")
    assert stats["most_at_once"] >= 5  # 12 on average
    offsets = list(islice(poisson_offsets(40, seed=1, repeat=0), len(rows)))
    assert (rows["intended_ns"] - rows["intended_ns"].iloc[0]).tolist() == offsets


def test_a_burst_is_intended_at_one_moment(tmp_path: Path) -> None:
    with turn_server() as server:
        _, rows = run(server, tmp_path, kind="burst", levels=(4,), requests=12, period_s=0.2)
    check_rows(rows)
    moments = rows[rows["phase"] == "steady"].groupby("stream")["intended_ns"].unique()
    assert [len(times) for times in moments] == [1, 1, 1]
    assert [later[0] - earlier[0] for earlier, later in pairwise(moments)] == [200_000_000] * 2


def test_a_ramp_adds_users_without_a_pause(tmp_path: Path) -> None:
    with turn_server(delay_ms=10) as server:
        result, rows = run(server, tmp_path, kind="ramp", levels=(2, 5, 3), requests=20, warmup=2)
    check_rows(rows)
    assert [(point["level"], point["repeat"]) for point in result.points] == [(2.0, 0), (5.0, 0), (3.0, 0)]
    assert rows[rows["phase"] == "steady"].groupby("level").size().tolist() == [20, 20, 20]
    for earlier, later in ((2.0, 5.0), (5.0, 3.0)):
        own = rows[rows["stream"] == 0].sort_values("intended_ns")
        last, first = own[own["level"] == earlier].iloc[-1], own[own["level"] == later].iloc[0]
        assert first["intended_ns"] == last["ended_ns"]
    assert rows.groupby("level")["stream"].nunique().tolist() == [2, 3, 5]


def test_a_duration_ends_a_level(tmp_path: Path) -> None:
    with turn_server(delay_ms=10) as server:
        _, rows = run(server, tmp_path, levels=(2,), duration_s=0.5)
    check_rows(rows)
    steady = rows[rows["phase"] == "steady"]
    assert steady["intended_ns"].max() - steady["intended_ns"].min() < 500_000_000
    assert len(steady) > 4


def test_the_worker_measures_itself(tmp_path: Path) -> None:
    with turn_server() as server:
        result, _ = run(server, tmp_path, levels=(2, 3), requests=40)
    store.write_table(tmp_path / "machine.parquet", result.machine_rows, MACHINE)
    machine = store.read_table(tmp_path / "machine.parquet", MACHINE)
    assert set(machine["source"]) == {"worker0"}
    assert set(machine["schema_version"]) == {SCHEMA_VERSION}
    values = {metric: group["value"].tolist() for metric, group in machine.groupby("metric")}
    assert set(values) - {"loop_late_ns"} == {"cpu_s", "loop_lag_ns", "loop_lag_p99_ns"}
    assert values["cpu_s"] == sorted(values["cpu_s"])
    assert min(values["loop_lag_ns"]) >= 0
    assert len(values["loop_lag_p99_ns"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["machine.parquet", "utterances.parquet"]


async def test_it_runs_inside_a_running_event_loop_and_tells_how_far_it_is(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    with turn_server() as server:
        profile = LoadProfile(levels=(1, 2), requests=20)
        plan = Plan(client="smart_turn", url=server.url, corpus=made_corpus(), profile=profile)
        load.run(plan, folder=tmp_path, on_progress=seen.append)
    assert set(seen[0]) == {
        *["phase", "level", "repeat", "done", "total", "ok", "failed", "p50_ms", "points_done", "points"]
    }
    last = seen[-1]
    assert (last["level"], last["done"], last["total"], last["ok"], last["failed"]) == (2.0, 20, 20, 20, 0)
    assert (last["points_done"], last["points"]) == (2, 2)
    assert last["p50_ms"] > 0


def test_a_wrong_name_is_refused_before_anything_starts(tmp_path: Path) -> None:
    plan = Plan(client="smart_trun", url="http://x", corpus=made_corpus(), profile=LoadProfile(requests=1))
    with pytest.raises(UsageError, match="did you mean 'smart_turn'"):
        load.run(plan, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_breaks_is_told_from_a_server_that_does(tmp_path: Path) -> None:
    corpus = Corpus("none", (Utterance(id="a", duration_s=1.0, path=tmp_path / "gone.wav"),), "00")
    plan = Plan(client="smart_turn", url="http://127.0.0.1:1", corpus=corpus, profile=LoadProfile(requests=1))
    with pytest.raises(load.LoadFailed, match=r"gone\.wav: cannot be decoded"):
        load.run(plan, folder=tmp_path)


def test_an_exception_in_the_callback_ends_the_worker(tmp_path: Path) -> None:
    def interrupt(progress: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    started_s = time.monotonic()
    with turn_server(delay_ms=1000) as server:
        plan = Plan(client="smart_turn", url=server.url, corpus=made_corpus(), profile=LoadProfile(duration_s=600.0))
        with pytest.raises(KeyboardInterrupt):
            load.run(plan, folder=tmp_path, on_progress=interrupt)
    assert time.monotonic() - started_s < 60
