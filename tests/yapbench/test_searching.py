"""Probes as loads: one level once, users spread, each one's first utterance uncounted; no more than may be trusted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.yapbench import made_up_sessions
from yapbench import searching
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.steps import Probe
from yapbench.errors import UsageError
from yapbench.load import LoadFailure, LoadProfile, LoadResult
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import UTTERANCES
from yapbench.store import MACHINE_FILE, UTTERANCES_FILE, read_table
from yapbench.sweep import Sweep
from yapbench.sweeping import plan
from yapbench.trial import Trial

ROOT = Path(__file__).resolve().parents[2]

LOAD = LoadProfile(levels=(64,), duration_s=5.0, stream=StreamOptions(), workers=4)


@pytest.mark.parametrize(("level", "workers"), [(2, 2), (4, 4), (64, 4)])
def test_a_probe_is_one_level_once(level: int, workers: int) -> None:
    found = searching.profile_of(Probe(level, 2, "repeat 3 of 3"), LOAD)

    assert [(point.level, point.repeat) for point in found.points()] == [(level, 2)]
    assert (found.warmup, found.spread, found.workers) == (level, True, workers)


@pytest.mark.parametrize(
    ("trusted", "most", "start", "why"),
    [(None, 64, 8, "asked for"), (100.0, 64, 8, "asked for"), (20.7, 41, 8, "trusted"), (2.5, 5, 5, "trusted")],
)
def test_no_more_than_the_load_generator_is_trusted_with(
    trusted: float | None, most: int, start: int, why: str
) -> None:
    found = searching.limited(SearchOptions(most=64, start=8), trusted, workers=2)
    assert (found.most, found.start) == (most, start)
    assert why in found.most_is


def test_no_more_than_the_server_has_seats() -> None:
    found = searching.limited(SearchOptions(most=64, start=8), 100.0, workers=1, seats=6)
    assert (found.most, found.start, found.most_is) == (6, 6, searching.SEATS)


class Server:
    """Made-up rows for whatever load is put on: fast up to 20 streams, slow above; it may die in one of its loads."""

    def __init__(self, folder: Path, dies_in: int = 0) -> None:
        self.folder, self.dies_in, self.loads = folder, dies_in, list[LoadProfile]()

    def put(self, load: LoadProfile, place: Path) -> tuple[LoadResult, list[dict[str, Any]]]:
        self.loads.append(load)
        level = load.levels[0]
        made = made_up_sessions.trial(
            self.folder / str(len(self.loads)),
            levels=[level],
            count=140,
            base_ms=50 if level <= 20 else 900,
            slo_ms=500,
        )
        place.mkdir(parents=True)
        renumber(made.folder / UTTERANCES_FILE, place / UTTERANCES_FILE, load.first_repeat)
        points = [point | {"repeat": load.first_repeat} for point in made.info["points"]]
        gone = LoadFailure("server_gone", "refused") if len(self.loads) == self.dies_in else None
        machine = pq.read_table(made.folder / MACHINE_FILE).to_pylist()
        return LoadResult(points, [], gone, []), machine


def renumber(source: Path, target: Path, repeat: int) -> None:
    """The same rows, as those of another repeat."""
    rows = pq.read_table(source)
    place = rows.schema.get_field_index("repeat")
    numbers = pa.array([repeat] * len(rows), pa.int32())
    rows = rows.set_column(place, rows.schema.field("repeat"), numbers)
    pq.write_table(rows, target, write_page_checksum=True)


@pytest.mark.slow
def test_all_probes_end_up_in_one_file(tmp_path: Path) -> None:
    server, said = Server(tmp_path / "made"), list[str]()
    folder = tmp_path / "trial"
    folder.mkdir()
    options = SearchOptions(most=64, start=8, slo_ms=500)
    done = searching.run(
        options, LOAD, info={"load": dataclasses.asdict(LOAD)}, folder=folder, put=server.put, say=said.append
    )

    rows = read_table(folder / UTTERANCES_FILE, UTTERANCES)
    measured = {(load.levels[0], load.first_repeat) for load in server.loads}
    assert set(zip(rows["level"], rows["repeat"], strict=True)) == measured
    assert len(done.points) == len(server.loads) == len(said)
    assert [path.name for path in folder.iterdir()] == [UTTERANCES_FILE]
    assert said[0].startswith("8 streams (the first level): p95 ")


def test_a_server_that_dies_ends_the_search_and_keeps_the_rows(tmp_path: Path) -> None:
    server, folder = Server(tmp_path / "made", dies_in=2), tmp_path / "trial"
    folder.mkdir()
    options = SearchOptions(most=64, start=8, slo_ms=500)
    done = searching.run(options, LOAD, info={"load": dataclasses.asdict(LOAD)}, folder=folder, put=server.put)

    assert done.failure is not None
    assert len(server.loads) == 2
    assert set(read_table(folder / UTTERANCES_FILE, UTTERANCES)["level"]) == {load.levels[0] for load in server.loads}


def test_a_search_takes_part_in_the_identity() -> None:
    given = {"most": 32, "client": "echo_pcm"}
    one, other = (Trial.from_notebook("echo", "80_capacity", given | {"start": start}) for start in (4, 8))
    assert one.search is not None
    assert one.search.baseline
    assert one.trial_id != other.trial_id


def test_the_notebook_is_for_any_server() -> None:
    sweep = Sweep.load(ROOT / "sweeps" / "fastconformer-capacity.yaml")
    planned = plan(sweep, runs_dir=ROOT / "runs")
    assert {item.trial.server for item in planned} == {item.job.parameters["server"] for item in planned}
    assert {item.trial.server for item in planned} == {"fastconformer"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"concurrency": "1,2"}, "a search chooses its loads itself"),
        ({"start": 1000}, "start is 1000"),
        ({"repeats": 1}, "repeats is 1"),
        ({"server": "fastconformer"}, "this run is of 'echo'"),
        ({"resolution": "fine"}, "resolution is 'fine'"),
    ],
)
def test_impossible_searches_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Trial.from_notebook("echo", "80_capacity", given)
