"""Trials of every version of the rows are still read, reported and summed up to the byte; others are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.golden import write
from yapbench import measures, store
from yapbench.errors import CorruptFile
from yapbench.report import build
from yapbench.report.gather import gather
from yapbench.schema import SCHEMA_VERSION

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built

GOLDEN = write.trials()


def sweep_of(tmp_path: Path, *trials: Path) -> Path:
    """A user's folder with copies of the raw files of trials, without what can be made of them."""
    for trial in trials:
        shutil.copytree(trial, tmp_path / "sweep" / trial.name, ignore=shutil.ignore_patterns("summary.json"))
    return tmp_path / "sweep"


def test_every_version_that_is_read_has_a_golden_trial() -> None:
    versions = [store.read_info(folder)["schema_version"] for folder in GOLDEN]
    assert versions == list(range(1, SCHEMA_VERSION + 1)) == sorted(store.READABLE)
    assert [folder.name for folder in GOLDEN] == [f"trial-v{version}" for version in versions]


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_a_report_recomputes_the_summary_to_the_byte(tmp_path: Path, folder: Path) -> None:
    sweep = sweep_of(tmp_path, folder)
    page = build(sweep).read_text(encoding="utf-8")
    assert str(store.read_info(folder)["trial_id"]) in page
    assert (sweep / folder.name / "summary.json").read_bytes() == (folder / "summary.json").read_bytes()


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_summary_and_points_do_not_hang_on_who_asks(folder: Path) -> None:
    trial = store.read_trial(folder)
    points, summary = measures.points_and_summary(trial)
    assert points == measures.points_of(trial)
    assert summary == measures.summary(trial) == measures.summary(trial, pooled=points)


def test_versions_side_by_side_are_each_shown_or_named(tmp_path: Path) -> None:
    found = gather(sweep_of(tmp_path, *GOLDEN))
    shown = {trial.folder.name for trial in found.done}
    assert shown | {name for name, _ in found.apart} == {folder.name for folder in GOLDEN}
    assert shown
    assert not found.corrupt


def test_a_version_from_the_future_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, GOLDEN[-1])
    ahead = shutil.copytree(sweep / GOLDEN[-1].name, sweep / "ahead")
    info = json.loads((ahead / store.TRIAL).read_text())
    store.write_json(ahead / store.TRIAL, info | {"schema_version": SCHEMA_VERSION + 1, "trial_id": "ahead"})
    found = gather(sweep)
    assert len(found.done) == 1
    assert found.corrupt == [("ahead/trial.json", _no_reader(SCHEMA_VERSION + 1))]
    assert "has no reader" in build(sweep).read_text(encoding="utf-8")


def _no_reader(version: int) -> str:
    known = ", ".join(map(str, store.READABLE))
    return f"schema version {version} has no reader (this yapbench reads {known})"


@pytest.mark.parametrize("name", [store.UTTERANCES_FILE, store.MACHINE_FILE, store.TRIAL])
@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_a_file_that_lost_its_end_is_named(tmp_path: Path, folder: Path, name: str) -> None:
    broken = sweep_of(tmp_path, folder) / folder.name / name
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(CorruptFile) as raised:
        store.read_trial(broken.parent)
    assert raised.value.path == broken
    assert gather(broken.parent.parent).corrupt[0][0] == f"{folder.name}/{name}"


def test_the_next_golden_trial_has_failures_words_and_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "HERE", tmp_path)
    write.write_trial(tmp_path / "trial-v9")
    write.write_summaries()
    trial = store.read_trial(tmp_path / "trial-v9")
    assert (tmp_path / "trial-v9" / "summary.json").exists()
    assert set(trial.utterances["outcome"]) > {"ok"}
    assert trial.utterances["words"].notna().all()
    assert {"worker0", "gpu0", "server", "machine"} == set(trial.machine["source"])
