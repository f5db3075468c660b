"""Which flags belong to which engine, and what is shown of runs."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from yapbench.engines import choosing
from yapbench.engines.job import Job, Running
from yapbench.engines.local import LocalEngine
from yapbench.engines.ray_cluster import RayEngine
from yapbench.engines.table import table
from yapbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("local", {"cpus_per_run": 2}, "--cpus-per-run=2 is for --engine ray"),
        ("local", {"out": "s3://b"}, "--out=s3://b is for --engine ray"),
        ("local", {"ray_address": "x:1"}, "--ray-address=x:1 is for --engine ray"),
        ("ray", {"jobs": 2}, "--jobs=2 is for --engine local"),
    ],
)
def test_a_flag_of_the_other_engine_is_refused(name: Any, flags: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choosing.engine(name, **flags)
    assert isinstance(choosing.engine("local"), LocalEngine) and isinstance(choosing.engine("ray"), RayEngine)


def test_without_ray_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install .*\[ray\]"):
        RayEngine().__enter__()
    with pytest.raises(UsageError, match="the Ray client cannot"):
        RayEngine(address="ray://head:10001").__enter__()


@pytest.mark.slow
def test_ray_is_not_imported_unless_asked_for() -> None:
    code = "import sys, yapbench.__main__, yapbench.sweeping; sys.exit('ray' in sys.modules or 'fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_table_says_what_runs_where_and_how_many_wait() -> None:
    jobs = [Job("n", "echo", {}, Path("runs/s") / name) for name in ("abc", "def")]
    progress = {"level": 2, "phase": "load", "points": 3, "done": 4, "total": 9}
    running = [Running(jobs[0], "node-1 GPU 3", 10.0, progress), Running(jobs[1], "", 10.0)]
    out = Console(file=io.StringIO(), width=140, force_terminal=False)
    out.print(table(running, {job.folder: f"wire={job.folder.name}" for job in jobs}, now_s=75.0))
    shown = out.file.getvalue()  # type: ignore[attr-defined]
    assert "node-1 GPU 3" in shown and "wire=abc" in shown and "4 of 9" in shown and "65 s" in shown
    assert "def" not in shown and "1 wait for a place" in shown
