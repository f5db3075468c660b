"""A sweep that is killed, or whose server is: nothing left behind, nothing measured twice, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.yapbench.processes import words
from yapbench.store import read_trial

ROOT = Path(__file__).resolve().parents[2]
GRID = """
notebook: 10_smart_turn
parameters: {window_ms: [0, 2], concurrency: 2, requests: 20, warmup: 2}
"""


def start(tmp_path: Path) -> subprocess.Popen[str]:
    grid = tmp_path / "tiny.yaml"
    grid.write_text(GRID)
    command = [sys.executable, "-m", "yapbench", "sweep", str(grid), "--runs", str(tmp_path / "runs")]
    with (tmp_path / "output.txt").open("a") as output:
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True)


def wait_until(true: Callable[[], object], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def finished(tmp_path: Path) -> list[Path]:
    return sorted(path.parent for path in (tmp_path / "runs" / "tiny").glob("*/trial.json"))


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_a_killed_sweep_resumes_and_keeps_finished_trials_byte_for_byte(tmp_path: Path) -> None:
    sweep = start(tmp_path)
    wait_until(lambda: finished(tmp_path), seconds=60)
    wait_until(lambda: len(list((tmp_path / "runs" / "tiny").rglob("server.log"))) == 2, seconds=30)
    children = descendants(sweep)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    wait_until(lambda: not any(child.is_running() for child in children), seconds=12)
    (first,) = finished(tmp_path)
    before = contents(first)
    assert start(tmp_path).wait(timeout=100) == 0, (tmp_path / "output.txt").read_text()
    assert len(finished(tmp_path)) == 2
    after = contents(first)
    assert {name: after[name] for name in before} == before
    assert not list((tmp_path / "runs").rglob(".kernel*"))
    stamps = {path.name: path.stat().st_mtime_ns for path in first.iterdir()}
    assert start(tmp_path).wait(timeout=60) == 0
    assert contents(first) == after and stamps.keys() == {path.name for path in first.iterdir()}
    assert "report.html" in (tmp_path / "output.txt").read_text().splitlines()[-1]


@pytest.mark.slow
def test_a_server_that_dies_fails_its_trial_only(tmp_path: Path) -> None:
    sweep = start(tmp_path)

    def server() -> list[psutil.Process]:
        return [p for p in descendants(sweep) if "servers.smart_turn" in words(p)]

    wait_until(lambda: list((tmp_path / "runs" / "tiny").rglob("progress.json")), seconds=60)
    for process in server():
        process.kill()
    assert sweep.wait(timeout=100) == 6, (tmp_path / "output.txt").read_text()
    failed, done = sorted((read_trial(f) for f in finished(tmp_path)), key=lambda t: str(t.info["status"]))[::-1]
    assert (failed.info["status"], done.info["status"]) == ("failed", "done")
    assert failed.info["failure"]["code"] == "server_died"
    assert set(failed.utterances["outcome"]) - {"ok"} <= {"server_died", "refused"}


@pytest.mark.slow
def test_a_kernel_that_is_killed_costs_one_more_try_and_leaves_no_server(tmp_path: Path) -> None:
    sweep = start(tmp_path)

    def kernels() -> list[psutil.Process]:
        return [p for p in descendants(sweep) if "ipykernel_launcher" in " ".join(words(p))]

    wait_until(lambda: list((tmp_path / "runs" / "tiny").rglob("progress.json")), seconds=60)
    children = [p for p in descendants(sweep) if p.pid != sweep.pid]
    for kernel in kernels():
        kernel.kill()
    assert sweep.wait(timeout=100) == 0, (tmp_path / "output.txt").read_text()
    assert [read_trial(folder).info["status"] for folder in finished(tmp_path)] == ["done", "done"]
    assert not any(child.is_running() for child in children)
