"""A load from several processes is the load of one; it ends as one, too."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.yapbench.test_load import check_rows, made_corpus
from tests.yapbench.turn_server import TurnServer, turn_server
from yapbench import load, store
from yapbench.corpus import Corpus
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, LoadResult, Plan, Point
from yapbench.pacing.schedule import poisson_offsets
from yapbench.schema import UTTERANCES

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def run(
    server: TurnServer, folder: Path, *, corpus: Corpus | None = None, **profile: Any
) -> tuple[LoadResult, pd.DataFrame]:
    plan = Plan(client="smart_turn", url=server.url, corpus=corpus or made_corpus(40), profile=LoadProfile(**profile))
    result = load.run(plan, folder=folder)
    return result, store.read_table(folder / "utterances.parquet", UTTERANCES)


def intended(rows: pd.DataFrame) -> set[tuple[Any, ...]]:
    """What was asked for by count: point, index, utterance, phase."""
    rows = rows[rows["phase"] != "drain"]
    return set(rows[["level", "repeat", "index", "utterance_id", "phase"]].itertuples(index=False, name=None))


def load_workers() -> list[psutil.Process]:
    """Of the load that this process runs, in their order."""
    found = []
    for one in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it may just be going
            found += [one] if "yapbench.load.worker" in one.cmdline() else []
    return found


@pytest.mark.parametrize("workers", [0, -1, 1.0, True, "2"])
def test_a_number_of_workers_that_is_none_is_refused(workers: Any) -> None:
    with pytest.raises(UsageError, match="workers is"):
        LoadProfile(requests=1, levels=(9,), workers=workers)


def test_more_workers_than_users_are_refused() -> None:
    with pytest.raises(UsageError, match="workers is 5; it must be at most 4, the users of the largest level"):
        LoadProfile(requests=1, levels=(2, 4), workers=5)
    assert LoadProfile(requests=1, levels=(2, 4), workers=4).workers == 4
    assert LoadProfile(kind="poisson", requests=1, levels=(0.5,), workers=5).workers == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "profile",
    [
        {"kind": "closed", "levels": (4, 1), "requests": 50, "warmup": 5, "repeats": 2},
        {"kind": "ramp", "levels": (1, 5, 2), "requests": 30, "warmup": 3},
        {"kind": "poisson", "levels": (40, 90), "requests": 30, "warmup": 3, "seed": 1},
        {"kind": "burst", "levels": (3, 5), "requests": 14, "warmup": 2, "period_s": 0.1},
    ],
    ids=lambda profile: str(profile["kind"]),
)
def test_three_workers_put_the_load_of_one(tmp_path: Path, profile: dict[str, Any]) -> None:
    with turn_server(delay_ms=10) as server:
        one, rows_of_one = run(server, tmp_path / "1", **profile)
        three, rows = run(server, tmp_path / "3", workers=3, **profile)
    check_rows(rows)
    assert intended(rows) == intended(rows_of_one)
    assert set(rows["worker"]) == {0, 1, 2}
    keys = rows.groupby(["level", "repeat"])["index"]
    assert all(sorted(own) == list(range(len(own))) for _, own in keys)
    for result in (one, three):
        assert [(point["level"], point["repeat"]) for point in result.points] == [
            (point.level, point.repeat) for point in LoadProfile(**profile).points()
        ]
        assert (result.failure, result.unmeasured) == (None, [])
    assert [path.name for path in (tmp_path / "3").iterdir()] == ["utterances.parquet"]


@pytest.mark.slow
def test_a_level_never_overlaps_the_next_and_spans_all_workers(tmp_path: Path) -> None:
    with turn_server(delay_ms=20) as server:
        result, rows = run(server, tmp_path, levels=(4, 1, 3), requests=30, warmup=3, workers=2)
        most = server.stats()["most_at_once"]
    assert most == 4
    assert set(rows[rows["level"] == 1]["worker"]) == {0}  # its only user's
    spans = rows.groupby("level", sort=False).agg({"intended_ns": "min", "ended_ns": "max"}).sort_values("intended_ns")
    assert spans.index.tolist() == [4, 1, 3]
    assert (spans["intended_ns"].to_numpy()[1:] > spans["ended_ns"].to_numpy()[:-1]).all()
    for point in result.points:
        own = rows[(rows["level"] == point["level"]) & (rows["phase"] == "steady")]
        assert (point["start_ns"], point["end_ns"]) == (own["intended_ns"].min(), own["ended_ns"].max())
    first = rows[rows["level"] == 4].groupby("stream")["intended_ns"].min()
    assert first.nunique() == 1  # all began at one instant


@pytest.mark.slow
def test_users_join_a_ramp_in_every_worker_and_none_pauses(tmp_path: Path) -> None:
    with turn_server(delay_ms=10) as server:
        _, rows = run(server, tmp_path, kind="ramp", levels=(1, 6, 2), requests=100, workers=3)
        most = server.stats()["most_at_once"]
    assert most == 6
    assert rows.groupby("level")["stream"].nunique().to_dict() == {1: 1, 2: 2, 6: 6}
    assert (rows["stream"] % 3 == rows["worker"]).all()
    own = rows[rows["stream"] == 0].sort_values("intended_ns")  # there from the first to the last
    assert own["intended_ns"].tolist()[1:] == own["ended_ns"].tolist()[:-1]


@pytest.mark.slow
def test_the_arrivals_of_all_workers_are_one_schedule(tmp_path: Path) -> None:
    with turn_server(delay_ms=50) as server:
        _, rows = run(server, tmp_path, kind="poisson", levels=(60,), duration_s=1.0, warmup=4, seed=3, workers=2)
    check_rows(rows)
    rows = rows.sort_values("index")
    offsets = list(islice(poisson_offsets(60, seed=3, repeat=0), len(rows)))
    assert (rows["intended_ns"] - rows["intended_ns"].iloc[0]).tolist() == offsets
    assert (rows["worker"] == rows["index"] % 2).all()
    assert (rows["phase"] == "steady").sum() == sum(offset - offsets[4] < 1e9 for offset in offsets[4:])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("length", [{"requests": 4}, {"duration_s": 1.0}], ids=["requests", "duration"])
def test_a_level_ends_with_its_last_answer_and_waits_for_no_arrival(
    tmp_path: Path, workers: int, length: dict[str, Any]
) -> None:
    with turn_server() as server:
        _, rows = run(server, tmp_path, kind="burst", levels=(4,), period_s=3600.0, workers=workers, **length)
    assert rows["phase"].tolist() == ["steady"] * 4


@pytest.mark.slow
def test_nobody_asks_what_another_worker_asks(tmp_path: Path) -> None:
    with turn_server(delay_ms=10) as server:
        _, rows = run(server, tmp_path, corpus=made_corpus(200), levels=(6,), requests=120, workers=3)
    assert rows["utterance_id"].is_unique  # as long as there are enough of them


@pytest.mark.slow
def test_each_worker_measures_itself_in_each_point(tmp_path: Path) -> None:
    with turn_server() as server:
        result, _ = run(server, tmp_path, levels=(2, 1), requests=100, workers=2)
    machine = pd.DataFrame(result.machine_rows)
    p99 = machine[machine["metric"] == "loop_lag_p99_ns"]
    ends = [point["end_ns"] for point in result.points]
    for worker in ("worker0", "worker1"):  # the second one has no user in the second level
        assert p99[p99["source"] == worker]["at_ns"].tolist() == ends
        used = machine[(machine["source"] == worker) & (machine["metric"] == "cpu_s")]
        assert used["value"].is_monotonic_increasing
        assert used["at_ns"].max() >= ends[-1]  # so that a level's share can be told


@pytest.mark.slow
def test_each_worker_has_its_own_cpu(tmp_path: Path) -> None:
    mine = sorted(os.sched_getaffinity(0))[:2]
    seen: list[list[list[int]]] = []

    def look(progress: dict[str, Any]) -> None:
        with contextlib.suppress(psutil.Error):
            seen.append([one.cpu_affinity() for one in load_workers()])

    with turn_server(delay_ms=20) as server:
        profile = LoadProfile(levels=(3,), requests=120, workers=3)
        plan = Plan(client="smart_turn", url=server.url, corpus=made_corpus(), profile=profile)
        load.run(plan, folder=tmp_path, on_progress=look, cpus=mine)
    assert [[cpu] for cpu in islice(cycle(mine), 3)] in seen


PROFILES: list[dict[str, Any]] = [
    {"kind": "closed", "levels": (4, 5), "requests": 2000},
    {"kind": "ramp", "levels": (4, 5), "requests": 2000},
    {"kind": "poisson", "levels": (60, 70), "requests": 2000},
    {"kind": "burst", "levels": (4, 5), "requests": 2000, "period_s": 0.05},
]


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: str(profile["kind"]))
def test_a_server_that_one_worker_finds_gone_is_gone_for_all(tmp_path: Path, profile: dict[str, Any]) -> None:
    def kill(progress: dict[str, Any]) -> None:
        if progress["ok"] >= 10:
            server.process.kill()

    with turn_server(delay_ms=30) as server:
        plan = Plan(
            client="smart_turn",
            url=server.url,
            corpus=made_corpus(),
            profile=LoadProfile(warmup=3, workers=2, **profile),
        )
        result = load.run(plan, folder=tmp_path, on_progress=kill)
    rows = store.read_table(tmp_path / "utterances.parquet", UTTERANCES)
    assert result.failure is not None
    assert "onnect" in result.failure.message
    assert result.unmeasured == [Point(profile["levels"][1], 0)]
    assert sorted(rows["index"]) == list(range(2003))
    assert set(rows["outcome"]) <= {"ok", "server_died", "refused"}
    assert (rows["outcome"] == "refused").sum() > 1000


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_load_and_is_named(tmp_path: Path) -> None:
    workers: list[psutil.Process] = []

    def kill(progress: dict[str, Any]) -> None:
        workers.extend(load_workers())
        workers[1].send_signal(signal.SIGKILL)

    with turn_server() as server:
        profile = LoadProfile(levels=(4,), duration_s=600.0, workers=3)
        plan = Plan(client="smart_turn", url=server.url, corpus=made_corpus(), profile=profile)
        with pytest.raises(load.LoadFailed, match="load worker 1 of 3 was killed by signal 9"):
            load.run(plan, folder=tmp_path, on_progress=kill)
    assert not any(worker.is_running() for worker in workers)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.slow
def test_no_worker_survives_an_owner_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from yapbench.load import *\n"
        "from tests.yapbench.test_load import made_corpus\n"
        "profile = LoadProfile(levels=(4,), duration_s=600.0, workers=3)\n"
        "plan = Plan(client='smart_turn', url=sys.argv[1], corpus=made_corpus(), profile=profile)\n"
        "run(plan, folder=Path(sys.argv[2]), on_progress=lambda progress: print(progress['ok'], flush=True))\n"
    )
    with turn_server() as server:
        words = [sys.executable, "-c", script, server.url, str(tmp_path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=CHECKOUT) as owner:
            assert owner.stdout is not None
            while int(owner.stdout.readline()) < 5:
                pass
            workers = psutil.Process(owner.pid).children()
            owner.kill()
        _, alive = psutil.wait_procs(workers, timeout=10)
    assert (len(workers), alive) == (3, [])


@pytest.mark.parametrize(
    "values", [{"levels": (1, 2), "duration_s": 1.0}, {"levels": (2,), "requests": 5}], ids=["levels", "requests"]
)
def test_a_soak_that_cannot_be_run_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="a soak has one level and lasts duration_s"):
        LoadProfile(kind="soak", **values)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_soak_begins_spread_and_goes_on_without_a_pause(tmp_path: Path, workers: int) -> None:
    with turn_server(delay_ms=10) as server:
        result, rows = run(
            server, tmp_path, kind="soak", levels=(4,), duration_s=0.6, repeats=3, warmup=4, workers=workers
        )
    check_rows(rows)
    begun_ns = rows.groupby("stream")["intended_ns"].min().to_numpy()
    assert np.diff(begun_ns).tolist() == [50_000_000 // 4] * 3  # an utterance lasts 50 ms
    for _, own in rows.groupby("stream"):
        own = own.sort_values("intended_ns")
        assert own["intended_ns"].tolist()[1:] == own["ended_ns"].tolist()[:-1]
    assert [(point["level"], point["repeat"]) for point in result.points] == [(4.0, 0), (4.0, 1), (4.0, 2)]
    steady = rows[rows["phase"] == "steady"]
    # Each worker has its own end of a repeat: on a busy machine they differ by a part of a millisecond.
    assert (steady.groupby("repeat")["intended_ns"].agg(np.ptp) < 610_000_000).all()


def test_plans_of_a_worker_survive_json(tmp_path: Path) -> None:
    plan = Plan(
        client="echo",
        url="http://x",
        corpus=dataclasses.replace(made_corpus(), utterances=()),
        profile=LoadProfile(requests=1, levels=(4,), workers=2),
        worker=1,
        tally=tmp_path / "tally",
    )
    assert Plan.from_json(plan.as_json()) == plan
    assert plan.as_json()["profile"]["workers"] == 2
