"""Exported tables: the numbers of the pages, every trial by name, the same bytes again, and columns that are told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.yapbench import made_up, made_up_sessions
from yapbench import measures, store
from yapbench.errors import CorruptFile, NothingRan, UsageError
from yapbench.export import MARK, export
from yapbench.export.reading import left_out, read
from yapbench.export.tables import Table
from yapbench.report.gather import gather, write_summaries
from yapbench.schema import UTTERANCES
from yapbench.stats import significant

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "trial-v1"


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two windows, two repeats, a tenth timed out; one trial failed, one never ended, one cannot be read."""
    folder = tmp_path_factory.mktemp("runs") / "turns"
    for place, window_ms in enumerate((0.0, 5.0)):
        path = folder / f"{place}a1b2c3d4e5f"
        lost = {"timeout": 0.1}
        made_up.trial(path, settings={"window_ms": window_ms}, levels=(1, 8), repeats=2, requests=40, outcomes=lost)
    made_up.failed(folder / "7failed00000")
    (folder / "8unfinished0").mkdir()
    (folder / "8unfinished0" / "server.log").write_text("starting\n")
    (folder / "9corrupt0000").mkdir()
    (folder / "9corrupt0000" / store.TRIAL).write_text('{"trial_id": "9corr')
    return folder


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two wires, one repeat; an eighth of the streams fails at 8."""
    folder = tmp_path_factory.mktemp("runs") / "wires"
    for place, client in enumerate(("echo_pcm", "echo_json")):
        path = folder / f"{place}a1b2c3d4e5f"
        made_up_sessions.trial(path, client=client, count=40, levels=(1, 8), failing_from=8, wrong=0.5, seed=place)
    return folder


@pytest.fixture(scope="module")
def of_requests(requests: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "turns"
    export(requests, out)
    return out


@pytest.fixture(scope="module")
def of_streams(streams: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "wires"
    export(streams, out)
    return out


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(out / f"{name}.parquet")


@pytest.mark.parametrize("kind", ["requests", "streams"])
@pytest.mark.parametrize(("name", "key"), [("points", "points"), ("by_repeat", "by_repeat")])
def test_points_are_those_of_the_summaries(kind: str, name: str, key: str, request: pytest.FixtureRequest) -> None:
    folder, out = request.getfixturevalue(kind), request.getfixturevalue(f"of_{kind}")
    write_summaries(gather(folder))
    rows = table(out, name)
    for trial_id, mine in rows.groupby("trial_id"):
        summary = store.read_json(folder / str(trial_id) / "summary.json")
        points = summary[key] or summary["points"]  # a single repeat has no points of its own there
        assert len(points) == len(mine)
        for point, (_, row) in zip(points, mine.iterrows(), strict=True):
            for measure, value in point["values"].items():
                found = (row[measure], row[f"{measure}_low"], row[f"{measure}_high"], row[f"{measure}_n"])
                wanted = (value["value"], value["low"], value["high"], value["n"])
                assert np.array_equal(found, np.array(wanted, dtype=float), equal_nan=True), measure


def test_the_long_form_says_the_same_and_why_something_is_missing(of_streams: Path) -> None:
    wide, long = table(of_streams, "points"), table(of_streams, "points_long")
    for measure, rows in long.groupby("measure"):
        assert np.array_equal(rows["value"], wide[str(measure)], equal_nan=True)
    without = long[long["value"].isna()]
    assert len(without) and (without["missing"].str.len() > 0).all()
    assert set(long[long["measure"] == "eos_p50_ms"]["unit"]) == {"ms"}


def test_the_rates_of_words_can_be_made_of_the_utterances(of_streams: Path) -> None:
    rows, points = table(of_streams, "by_utterance"), table(of_streams, "points")
    assert (rows["outcome"] != "ok").any()
    for _, point in points.iterrows():
        mine = rows[(rows["trial_id"] == point["trial_id"]) & (rows["level"] == point["level"]) & rows["counted"]]
        errors = mine["substitutions"] + mine["deletions"] + mine["insertions"]
        well = mine["outcome"] == "ok"
        assert significant(errors[well].sum() / mine["reference_words"][well].sum()) == point["wer"]
        assert significant(errors.sum() / mine["reference_words"].sum()) == point["wer_strict"]
        assert significant(mine["unstable_words"].sum() / mine["final_words"].sum()) == point["upwr"]


@pytest.mark.parametrize(
    ("kind", "each", "half"), [("streams", "eos_ms", "eos_p50_ms"), ("requests", "latency_ms", "latency_p50_ms")]
)
def test_so_can_times(kind: str, each: str, half: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(f"of_{kind}")
    rows, points = table(out, "by_utterance"), table(out, "points")
    assert rows[each][rows["outcome"] != "ok"].isna().all()
    for _, point in points.iterrows():
        mine = rows[(rows["trial_id"] == point["trial_id"]) & (rows["level"] == point["level"]) & rows["counted"]]
        assert significant(np.quantile(mine[each].dropna(), 0.5, method="inverted_cdf")) == point[half]
        assert len(mine) == point["n"]


def test_every_trial_has_a_row_whatever_became_of_it(of_requests: Path) -> None:
    rows = table(of_requests, "trials").set_index("folder")
    assert list(rows["status"]) == ["done", "done", "failed", "unfinished", "unreadable"]
    assert rows.loc["7failed00000", "reason"] == "server_died: exit status 1 before it was ready"
    assert rows.loc["9corrupt0000", "reason"] == "9corrupt0000/trial.json: half written: its end is missing"
    assert set(table(of_requests, "points")["trial_id"]) == {"0a1b2c3d4e5f", "1a1b2c3d4e5f"}
    assert left_out(of_requests) == [f"{name}, {row['status']}: {row['reason']}" for name, row in rows[2:].iterrows()]


def test_a_point_says_where_it_comes_from(of_requests: Path) -> None:
    row = table(of_requests, "points").iloc[0]
    assert row["commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert (row["server"], row["cpu_model"], row["cores"], row["load"]) == ("smart_turn", "Made-up CPU", 2, "closed")
    assert (row["model_id"], row["model_revision"], row["model_sha256"]) == ("smart-turn-v3.2", "3.2", "a" * 64)
    assert (row["n"], row["failed"], row["repeats"]) == (80, int(row["failures"].split()[0]), 2)


def test_the_settings_that_vary_come_first_and_the_others_are_there(of_requests: Path) -> None:
    columns = list(table(of_requests, "points"))
    assert columns[:3] == ["sweep", "trial_id", "window_ms"]
    assert columns.index("sessions") > columns.index("latency_p50_ms")
    assert "window_ms" in table(of_requests, "by_utterance") and "sessions" not in table(of_requests, "by_utterance")


@pytest.mark.parametrize("kind", ["requests", "streams"])
def test_the_dictionary_tells_every_column(kind: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(f"of_{kind}")
    told = pd.read_csv(out / "columns.csv")
    for name, mine in told.groupby("table"):
        assert list(mine["column"]) == list(pd.read_csv(out / f"{name}.csv", nrows=0))
    assert told["meaning"].str.len().min() > 4
    own = told[told["column"].isin(list(measures.MEASURES)) & (told["table"] == "points")]
    assert (own["unit"].str.len() > 0).all()


@pytest.mark.parametrize("kind", ["requests", "streams"])
def test_csv_and_parquet_hold_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(f"of_{kind}")
    for path in sorted(out.glob("*.csv")):
        spoken, kept = pd.read_csv(path), pd.read_parquet(path.with_suffix(".parquet"))
        assert list(spoken) == list(kept) and len(spoken) == len(kept)
        for name in kept.select_dtypes("number"):
            assert np.array_equal(spoken[name].astype(float), kept[name].astype(float), equal_nan=True), name


def test_the_same_rows_give_the_same_bytes(requests: Path, of_requests: Path, tmp_path: Path) -> None:
    again = export(requests, tmp_path / "again")
    assert sorted(path.name for path in again) == sorted(path.name for path in of_requests.iterdir())
    assert all(path.read_bytes() == (of_requests / path.name).read_bytes() for path in again)


def test_an_export_in_the_sweeps_folder_is_no_trial(streams: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wires"
    shutil.copytree(streams, folder)
    export(folder, folder / "export")
    found = gather(folder)
    assert (len(found.done), found.unfinished, found.corrupt) == (2, [], [])


def test_what_is_read_back_is_what_was_measured(streams: Path, of_streams: Path) -> None:
    found, wanted = read(of_streams), gather(streams)
    assert (found.sweep, found.streams) == ("wires", True)
    for one, other in zip(found.points, wanted.points, strict=True):
        assert (one.trial_id, one.level, one.n, one.failures) == (other.trial_id, other.level, other.n, other.failures)
        assert {name: value.as_dict() for name, value in one.values.items()} == other.as_dict()["values"]
        assert (one.setting, one.validity.verdict) == (dict(other.setting), other.validity.verdict)
    assert len(found.utterances(found.points[1].trial_id, 8.0)) == found.points[1].n


def test_an_export_that_broke_off_is_not_read(streams: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(streams, tmp_path)

    def broken(self: Table, folder: Path) -> list[Path]:
        raise OSError("disk full")

    monkeypatch.setattr(Table, "write", broken)
    with pytest.raises(OSError, match="disk full"):
        export(streams, tmp_path)
    with pytest.raises(CorruptFile, match=MARK):
        read(tmp_path)


def test_a_damaged_table_is_named(of_streams: Path, tmp_path: Path) -> None:
    shutil.copytree(of_streams, tmp_path / "x")
    path = tmp_path / "x" / "points.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFile, match=r"points\.parquet"):
        read(tmp_path / "x")


def test_trials_of_the_oldest_schema_are_exported(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "old" / GOLDEN.name)
    export(tmp_path / "old", tmp_path / "out")
    rows, points = table(tmp_path / "out", "by_utterance"), table(tmp_path / "out", "points")
    assert len(rows) == len(store.read_trial(GOLDEN).utterances)
    assert points["latency_p50_ms"].notna().all()


def test_a_sweep_in_which_everything_failed_has_its_reason(tmp_path: Path) -> None:
    made_up.failed(tmp_path / "s" / "7failed00000")
    export(tmp_path / "s", tmp_path / "out")
    assert list(table(tmp_path / "out", "trials")["status"]) == ["failed"]
    assert len(table(tmp_path / "out", "points")) == 0 and "latency_p50_ms" in table(tmp_path / "out", "points")


def test_nothing_to_export_and_nowhere_to_put_it(streams: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingRan, match="no trial was run here"):
        export(tmp_path, tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="which is no folder"):
        export(streams, tmp_path / "file")


def test_words_of_random_weights_are_not_counted_as_errors(tmp_path: Path) -> None:
    path = tmp_path / "s" / "0a1b2c3d4e5f"
    made_up_sessions.trial(path, settings={"model": "random"}, levels=(1,), count=6)
    export(tmp_path / "s", tmp_path / "out")
    found = table(tmp_path / "out", "by_utterance")
    assert found[["substitutions", "reference_words", "character_errors", "norm"]].isna().all(axis=None)
    assert found["hypothesis"].notna().all() and found["eos_ms"].notna().all()


def test_an_answer_that_the_contract_does_not_allow_is_no_number(tmp_path: Path) -> None:
    path = made_up.trial(tmp_path / "s" / "0a1b2c3d4e5f", levels=(1,), requests=4).folder / store.UTTERANCES_FILE
    rows = pq.read_table(path).to_pylist()
    odd = '{"prediction": "yes", "probability": 1e400, "metrics": {"batch_size": 1.5, "queue_time": "soon"}}'
    rows[-1] |= {"outcome": "protocol_mismatch", "events": [{"at_ns": 1, "kind": "answer", "text": None, "data": odd}]}
    store.write_table(path, rows, UTTERANCES)
    export(tmp_path / "s", tmp_path / "out")
    found = table(tmp_path / "out", "by_utterance")[["prediction", "probability", "batch_size", "queue_ms"]]
    assert found.iloc[-1].isna().all() and found.iloc[:-1].notna().all(axis=None)


def test_the_examples_of_the_document_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    export(ROOT / "reports" / "fastconformer-quick", tmp_path / "runs" / "fastconformer-quick" / "export")
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(block, known)
    assert len(known["heaviest"]) and len(known["worst"]) == 10
    assert known["wer"][0] > known["wer"][1040]
    assert known["said"]["meaning"].reindex(known["long"]["measure"]).notna().all()
