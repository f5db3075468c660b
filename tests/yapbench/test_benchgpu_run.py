"""`python -m yapbench.benchgpu` from end to end on the CPU: the real server, the real bare model, a budget."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from yapbench import store
from yapbench.envs import environment

ROOT = Path(__file__).resolve().parents[2]
LOAD = ("--set", "concurrency=[1,2]", "--set", "duration_s=0.6", "--set", "warmup=2", "--bare-s=0.1")
TORCH = environment("torch")
NEMO = environment("nemo")


def start(
    out: Path, *words: str, model: str = "v3-onnx", load: tuple[str, ...] = LOAD, budget_s: float = 90
) -> subprocess.Popen[str]:
    flags = [f"--out={out}", "--device=cpu", f"--model={model}", f"--budget-s={budget_s}", *load, *words]
    command = [sys.executable, "-m", "yapbench.benchgpu", *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_until(true: Callable[[], object], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def packed(out: Path) -> dict[str, bytes]:
    with tarfile.open(out / "bench-gpu.tar.gz") as found:
        files = [(entry.name, found.extractfile(entry)) for entry in found.getmembers()]
        return {name: file.read() for name, file in files if file}


@pytest.mark.slow
def test_a_killed_bench_leaves_nothing_running_and_goes_on(tmp_path: Path) -> None:
    two = ("--set", "window_ms=[0,5]", "--set", "batch_buckets=1,2", "--set", "idle_gap_ms=1")
    bench, folder = start(tmp_path, *two), tmp_path / "smart_turn"
    wait_until(lambda: list(folder.glob("*/trial.json")), seconds=60)
    children = psutil.Process(bench.pid).children(recursive=True)
    os.kill(bench.pid, signal.SIGKILL)
    bench.communicate()
    wait_until(lambda: not any(child.is_running() for child in children), seconds=15)
    (first,) = folder.glob("*/trial.json")
    before = first.read_bytes()
    again = start(tmp_path, *two)
    said = again.communicate(timeout=100)[0]
    assert again.returncode == 0 and "2 of 2 settings measured" in said and "unverified until run on CUDA" in said
    assert first.read_bytes() == before and len(store.read_sweep(folder)) == 2
    files = packed(tmp_path)
    rounds = [json.loads(text) for name, text in files.items() if "/bare/" in name and name.endswith(".json")]
    assert [len(each["sizes"]) for each in rounds] == [2, 2]
    summary = files["bench/smart_turn/summary.md"].decode()
    assert "Unverified until run on CUDA" in summary and "not measured" in summary and "n=" in summary
    assert b"<html" in files["bench/smart_turn/report.html"] and "bench/facts.json" in files


@pytest.mark.slow
def test_one_that_is_asked_to_end_packs_what_it_has(tmp_path: Path) -> None:
    bench = start(tmp_path, "--set", "window_ms=[0,2,5,10]", "--set", "batch_buckets=1")
    wait_until(lambda: list((tmp_path / "smart_turn" / "bare").glob("*.json")), seconds=60)
    bench.terminate()
    said = bench.communicate(timeout=60)[0]
    assert bench.returncode == 0 and "the same command goes on" in said
    assert "settings were not begun" in packed(tmp_path)["bench/smart_turn/summary.md"].decode()


@pytest.mark.slow
def test_a_setting_that_does_not_fit_is_cut_short_and_said(tmp_path: Path) -> None:
    one = ("--set", "window_ms=0", "--set", "batch_buckets=1")
    bench = start(tmp_path, *one, load=("--set", "duration_s=60", "--set", "concurrency=1"), budget_s=9)
    said = bench.communicate(timeout=60)[0]
    assert bench.returncode == 7 and "cut short after" in said, said
    assert "cut short after" in packed(tmp_path)["bench/smart_turn/summary.md"].decode()
    assert store.read_sweep(tmp_path / "smart_turn") == []


@pytest.mark.slow
@pytest.mark.skipif(not TORCH.is_complete(), reason="needs environment torch (yapbench install smart_turn --model=v2)")
def test_pytorch_in_an_interpreter_of_its_own_serves_and_loops(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tests.env.torch.reference import SMALL, Reference\n"
    code += "Path(sys.argv[1]).mkdir(); Reference(SMALL).save(Path(sys.argv[1]))"
    words = [str(TORCH.python), "-c", code, str(tmp_path / "small")]
    subprocess.run(words, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    one = (
        "--set",
        "torch_compile=false",
        "--set",
        "window_ms=0",
        "--set",
        "dtype=float32",
        "--set",
        "batch_buckets=1,2",
    )
    own = ("--server=smart_turn", f"--python={TORCH.python}")
    bench = start(tmp_path / "out", *one, *own, model=str(tmp_path / "small"))
    said = bench.communicate(timeout=100)[0]
    assert bench.returncode == 0, said
    (trial,) = store.read_sweep(tmp_path / "out" / "smart_turn")
    assert (trial.info["status"], trial.info["obtained"]["backend"]) == ("done", "v2-torch")
    assert "| float32, eager | 2 |" in packed(tmp_path / "out")["bench/smart_turn/summary.md"].decode()


@pytest.mark.soak
@pytest.mark.skipif(not NEMO.is_complete(), reason="needs environment nemo (yapbench install fastconformer)")
def test_streams_are_held_against_the_bare_model(tmp_path: Path) -> None:
    one = [f"{name}={value}" for name, value in {"max_batch": 2, "step_ms": 20, "dtype": "float32"}.items()]
    one += ["look_ahead_ms=80", "threads=1", "corpus=samples?kind=turn&limit=8", "max_streams=null"]
    load = [f"{name}={value}" for name, value in {"concurrency": "[1,2]", "duration_s": 1, "warmup": 1}.items()]
    words = ["--server=fastconformer", "--bare-s=0.1", f"--python={NEMO.python}"]
    flags = tuple(word for one_of in (*one, *load) for word in ("--set", one_of))
    bench = start(tmp_path, *words, model="tiny", load=flags, budget_s=240)
    said = bench.communicate(timeout=250)[0]
    assert bench.returncode == 0, said
    trials = store.read_sweep(tmp_path / "fastconformer")
    assert {trial.info["status"] for trial in trials} == {"done"}
    summary = packed(tmp_path)["bench/fastconformer/summary.md"].decode()
    assert "| float32, eager, 80 ms ahead | 2 |" in summary and "audio s/s" in summary
    assert "Unverified until run on CUDA" in summary and "GPU % at most clients" in summary
