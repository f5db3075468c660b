"""A sweep against another commit: both servers in turn, paired by seed, and a regression is an exit code."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.yapbench.test_checkouts import commit, git
from yapbench import baseline, checkouts, store
from yapbench.baseline import Options
from yapbench.errors import ExitCode, UsageError
from yapbench.sweep import Sweep

ROOT = Path(__file__).resolve().parents[2]
GRID = {
    "notebook": "05_echo",
    "parameters": {"client": "echo", "delay_ms": 30, "concurrency": 2, "requests": 40, "warmup": 2},
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with our servers as they are; the cache is the test's own."""
    folder = tmp_path / "repository"
    for name in ("common", "echo"):
        shutil.copytree(
            ROOT / "servers" / name, folder / "servers" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / "servers" / "__init__.py").touch()
    git(folder, "init", "-q")
    monkeypatch.setattr(checkouts, "CHECKOUT", folder)
    monkeypatch.setenv("YAPBENCH_CACHE", str(tmp_path / "cache"))
    return folder


def against(ref: str, runs_dir: Path, grid: dict[str, object] | None = None) -> ExitCode:
    sweep = Sweep.from_mapping(grid or GRID, name="gate")
    console = Console(file=io.StringIO(), width=160)
    return baseline.sweep(sweep, ref, runs_dir=runs_dir, options=Options(threshold=0.05), console=console)


@pytest.mark.slow
def test_a_server_that_was_faster_before_is_a_regression(repository: Path, tmp_path: Path) -> None:
    stage = repository / "servers" / "echo" / "stage.py"
    stage.write_text(stage.read_text().replace("settings.delay_ms)", "settings.delay_ms / 2)"))
    faster = commit(repository)

    assert against(faster, tmp_path / "runs") == ExitCode.REGRESSION
    before, after = sorted((tmp_path / "runs").iterdir(), key=lambda path: "here" in path.name)
    rounds = [[trial.info for trial in store.read_sweep(side)] for side in (before, after)]
    assert [len(side) for side in rounds] == [3, 3]
    assert {info["git"]["commit"] for info in rounds[0]} == {faster}
    began = sorted((info["started_at"], k) for k, side in enumerate(rounds) for info in side)
    assert [k for _, k in began] == [0, 1, 0, 1, 0, 1]
    assert (after / "compare.html").is_file()
    assert against(faster, tmp_path / "runs") == ExitCode.REGRESSION  # resumed: nothing runs again
    assert [t.info["started_at"] for t in store.read_sweep(after)] == [info["started_at"] for info in rounds[1]]


def test_the_rounds_of_a_sweep_pair_by_seed(repository: Path, tmp_path: Path) -> None:
    first = commit(repository)
    before, after = baseline.sides(Sweep.from_mapping(GRID, name="gate"), first)
    planned = baseline.interleaved(before, after, runs_dir=tmp_path)

    assert [item.job.parameters["seed"] for item in planned] == [1, 1, 2, 2, 3, 3]
    assert [item.trial.server_commit for item in planned] == [first, ""] * 3
    assert len({item.trial.trial_id for item in planned}) == 6
    assert {item.job.folder.parent.name for item in planned[::2]} == {f"gate-{first[:7]}"}


@pytest.mark.parametrize("name", ["seed", "repeats", "server_commit"])
def test_what_the_rounds_set_cannot_be_an_axis(repository: Path, name: str) -> None:
    grid = {**GRID, "parameters": {"client": "echo", name: [1, 2]}}
    with pytest.raises(UsageError, match=f"{name} is set by --baseline"):
        baseline.sides(Sweep.from_mapping(grid, name="gate"), commit(repository))


def test_neither_a_folder_nor_a_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-thing"):
        against("no-such-thing", tmp_path / "runs")


@pytest.mark.slow
def test_the_verb_says_so_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "yapbench", "sweep", "sweeps/smart_turn-gate.yaml", "--baseline", "nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.USAGE
    assert "'nothing' is no commit" in done.stderr
