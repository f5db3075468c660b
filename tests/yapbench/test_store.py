"""Files of a run survive a kill at any moment, and a damaged one is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench import store
from yapbench.errors import CorruptFile
from yapbench.schema import MACHINE, SCHEMA_VERSION, UTTERANCES, Outcome, Phase

BIG_NS = 2**60 + 1  # a float would lose its last digits
FILES = ("trial.json", "utterances.parquet", "machine.parquet")


def utterance(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "level": 4.0,
        "repeat": 0,
        "phase": Phase.STEADY,
        "index": 0,
        "worker": 0,
        "stream": 0,
        "utterance_id": "a",
        "request_id": "r-0",
        "audio_s": 1.5,
        "intended_ns": BIG_NS,
        "ended_ns": BIG_NS + 1,
        "sent_ns": BIG_NS,
        "lateness_ns": [3],
        "events": [{"at_ns": BIG_NS + 1, "kind": "answer", "text": None, "data": "{}"}],
        "outcome": Outcome.OK,
    }
    return row | changes


def sample() -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "at_ns": BIG_NS, "source": "server", "metric": "cpu_s", "value": 1.0}


def write_trial(folder: Path, **info: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    store.write_table(folder / "utterances.parquet", [utterance(), utterance(index=1, sent_ns=None)], UTTERANCES)
    store.write_table(folder / "machine.parquet", [sample()], MACHINE)
    base = {"schema_version": SCHEMA_VERSION, "trial_id": folder.name, "status": "done", "points": []}
    store.write_json(folder / "trial.json", base | info)
    return folder


def test_a_trial_comes_back_with_exact_stamps(tmp_path: Path) -> None:
    trial = store.read_trial(write_trial(tmp_path / "t1"))
    assert trial.info["trial_id"] == "t1"
    assert trial.utterances["intended_ns"].dtype == "int64"
    assert trial.utterances["sent_ns"].dtype == pd.Int64Dtype()
    assert trial.utterances["sent_ns"].tolist() == [BIG_NS, pd.NA]
    assert trial.utterances["events"][0][0]["at_ns"] == BIG_NS + 1
    assert trial.machine["at_ns"].tolist() == [BIG_NS]


def test_a_key_that_the_schema_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="latency_ms"):
        store.write_table(tmp_path / "u.parquet", [utterance(latency_ms=1.0)], UTTERANCES)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_stamp_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'ended_ns' has 1 missing"):
        store.write_table(tmp_path / "u.parquet", [utterance(ended_ns=None)], UTTERANCES)


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_beside(tmp_path: Path) -> None:
    first, second = write_trial(tmp_path / "a" / "t"), write_trial(tmp_path / "b" / "t")
    assert sorted(path.name for path in first.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    store.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(path, {"a": float("nan")})
    assert store.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def read(path: Path) -> object:
    """What `read_trial` does with this file, without reading the others each time."""
    schemas = {"utterances.parquet": UTTERANCES, "machine.parquet": MACHINE}
    return store.read_table(path, schemas[path.name]) if path.name in schemas else store.read_info(path.parent)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_named(tmp_path: Path, name: str) -> None:
    path = write_trial(tmp_path / "t") / name
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFile) as caught:
            read(path)
        assert caught.value.path == path
    with pytest.raises(CorruptFile, match=name):
        store.read_trial(tmp_path / "t")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_never_a_crash(tmp_path: Path, name: str) -> None:
    path = write_trial(tmp_path / "t") / name
    whole, named = bytearray(path.read_bytes()), 0
    for position in range(0, len(whole), 5):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xA5]) + whole[position + 1 :])
        try:
            read(path)  # a flip in a field that nobody reads may pass
        except CorruptFile as error:
            named += error.path == path
    assert named > len(whole) / 20


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_trial(tmp_path / "t") / name).unlink()
    with pytest.raises(CorruptFile, match=f"{name}: missing"):
        store.read_trial(tmp_path / "t")


def test_a_version_without_a_reader_is_named(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "t", schema_version=99)
    with pytest.raises(CorruptFile, match="schema version 99 has no reader"):
        store.read_trial(folder)


def test_another_table_in_its_place_is_named(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "t")
    (folder / "machine.parquet").replace(folder / "utterances.parquet")
    with pytest.raises(CorruptFile, match="columns missing: level"):
        store.read_trial(folder)


def test_a_failed_trial_may_lack_its_tables(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    store.write_json(folder / "trial.json", {"schema_version": 1, "trial_id": "t", "status": "failed"})
    trial = store.read_trial(folder)
    assert list(trial.utterances.columns) == UTTERANCES.names
    assert list(trial.machine.columns) == MACHINE.names
    assert trial.utterances.empty


def test_a_sweep_separates_finished_from_unfinished(tmp_path: Path) -> None:
    write_trial(tmp_path / "b")
    write_trial(tmp_path / "a", status="failed")
    (write_trial(tmp_path / "c") / "trial.json").unlink()
    (tmp_path / "not-a-trial").mkdir()
    assert [trial.info["trial_id"] for trial in store.read_sweep(tmp_path)] == ["a", "b"]
    assert store.unfinished(tmp_path) == [tmp_path / "c"]
    assert store.finished(tmp_path / "a")
    assert not store.finished(tmp_path / "c")


def test_a_half_written_trial_json_is_not_an_unfinished_trial(tmp_path: Path) -> None:
    path = write_trial(tmp_path / "t") / "trial.json"
    path.write_bytes(path.read_bytes()[:-1])  # what is left still parses
    json.loads(path.read_bytes())
    with pytest.raises(CorruptFile, match="half written"):
        store.read_sweep(tmp_path)
    with pytest.raises(CorruptFile, match="half written"):
        store.finished(tmp_path / "t")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(value=JSON)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "x.json"
    store.write_json(path, value)
    assert store.read_json(path) == value


def test_trials_of_version_1_are_read_with_nulls_for_what_came_later() -> None:
    trial = store.read_trial(Path(__file__).parent.parent / "golden" / "trial-v1")
    assert list(trial.utterances.columns) == UTTERANCES.names
    assert trial.utterances["schema_version"].tolist() == [1, 1, 1]
    assert trial.utterances["request_id"].tolist() == ["r-0", "r-1", "r-2"]
    assert trial.utterances["intended_ns"].iloc[1] == 10**15 + 50_000_000
    assert trial.utterances[["words", "frame_ms", "pace"]].isna().all(axis=None)
    assert trial.machine["value"].tolist() == [0.0, 1.0]


def test_a_version_2_trial_may_not_lack_what_version_1_did(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "t")
    golden = Path(__file__).parent.parent / "golden" / "trial-v1" / "utterances.parquet"
    (folder / "utterances.parquet").write_bytes(golden.read_bytes())
    with pytest.raises(CorruptFile, match="columns missing: words, frame_ms, pace"):
        store.read_trial(folder)
