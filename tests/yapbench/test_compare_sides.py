"""Where a side comes from: folders, names of sweeps, commits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.yapbench import made_up
from yapbench import store
from yapbench.compare.sides import of_folder, open_sides
from yapbench.errors import NothingRan, UsageError

OLD, NEW = "a" * 40, "b" * 40
Measured = Callable[[str, str, str], Path]


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """Writes a trial of a commit into a sweep's folder."""

    def write(sweep: str, trial: str, commit: str) -> Path:
        folder = tmp_path / sweep / trial
        made_up.trial(folder, levels=(1,), requests=10)
        info = store.read_json(folder / store.TRIAL)
        store.write_json(folder / store.TRIAL, info | {"git": {"commit": commit, "dirty": False}})
        return folder

    return write


def test_folders_and_names_of_sweeps(measured: Measured, tmp_path: Path) -> None:
    folder = measured("one", "t1", OLD).parent
    measured("two", "t2", NEW)
    before, after = open_sides(str(folder), "two", runs_dir=tmp_path)
    assert (before.name, after.name) == ("one", "two")
    assert [trial.folder.name for trial in (*before.done, *after.done)] == ["t1", "t2"]


def test_two_commits_of_one_sweep(measured: Measured, tmp_path: Path) -> None:
    measured("one", "t1", OLD)
    measured("one", "t2", NEW)
    measured("elsewhere", "t3", NEW)
    before, after = open_sides(OLD[:7], NEW, runs_dir=tmp_path)
    assert (before.name, after.name) == ("one at aaaaaaa", "one at bbbbbbb")
    assert [trial.folder.name for trial in (*before.done, *after.done)] == ["t1", "t2"]


def test_commits_of_several_sweeps_need_a_name(measured: Measured, tmp_path: Path) -> None:
    for sweep in ("one", "two"):
        measured(sweep, "t1", OLD)
        measured(sweep, "t2", NEW)
    with pytest.raises(UsageError, match="measured by one, two; name one"):
        open_sides(OLD[:7], NEW[:7], runs_dir=tmp_path)
    assert open_sides(OLD[:7], NEW[:7], runs_dir=tmp_path, sweep="two")[0].folder == tmp_path / "two"


def test_two_commits_that_two_sweeps_measured(measured: Measured, tmp_path: Path) -> None:
    measured("old", "t1", OLD)
    measured("new", "t2", NEW)
    before, after = open_sides(OLD[:7], NEW[:7], runs_dir=tmp_path)
    assert (before.name, after.name) == ("old at aaaaaaa", "new at bbbbbbb")


def test_a_folder_against_a_commit(measured: Measured, tmp_path: Path) -> None:
    measured("old", "t1", OLD)
    measured("new", "t2", NEW)
    before, after = open_sides("old", NEW[:7], runs_dir=tmp_path)
    assert (before.name, after.name) == ("old", "new at bbbbbbb")


def test_a_commit_that_nobody_measured(measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured("old", "t1", OLD)
    monkeypatch.setattr("yapbench.checkouts.resolve", lambda ref: NEW)
    with pytest.raises(NothingRan, match="bbbbbbb: no sweep measured this"):
        open_sides("old", "HEAD", runs_dir=tmp_path)


def test_what_is_neither_folder_nor_commit(measured: Measured, tmp_path: Path) -> None:
    measured("one", "t1", OLD)
    with pytest.raises(UsageError, match="'nonsense' is no folder"):
        open_sides("nonsense", "one", runs_dir=tmp_path)


def test_a_folder_without_a_finished_trial(tmp_path: Path) -> None:
    made_up.failed(tmp_path / "one" / "t1")
    with pytest.raises(NothingRan, match="one: no trial ended well"):
        of_folder(tmp_path / "one")


def test_what_cannot_be_read_is_named(measured: Measured, tmp_path: Path) -> None:
    measured("one", "t1", OLD)
    (tmp_path / "one" / "t2").mkdir()
    (tmp_path / "one" / "t2" / store.TRIAL).write_text("{")
    (tmp_path / "one" / "t3").mkdir()
    (tmp_path / "one" / "t3" / "server.log").write_text("starting\n")
    found = of_folder(tmp_path / "one")
    assert found.unread == (("t2", "trial.json: half written: its end is missing"), ("t3", "begun and never ended"))
