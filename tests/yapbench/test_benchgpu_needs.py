"""Looking before anything heavy is imported: what is missing is one line, and no GPU is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yapbench import envs
from yapbench.benchgpu import needs
from yapbench.benchgpu.__main__ import missing
from yapbench.benchgpu.declared import BENCHES, lookup

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.executable)


def bench(*words: str, flags: tuple[str, ...] = (), out: str = "/nowhere") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-m", "yapbench.benchgpu", f"--out={out}", *words]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_what_is_there_is_not_missing_and_what_is_not_is_named_as_pip_names_it() -> None:
    rows = [("numpy", "", ""), ("no_such_module", "no-such-package", ""), ("nothing_else", "", "2.1")]
    assert needs.missing(rows) == ["no-such-package", "nothing_else>=2.1"]
    assert needs.missing_in(PYTHON, rows, checkout=ROOT) == needs.missing(rows)


def test_a_package_that_is_too_old_is_missing() -> None:
    assert needs.missing([("numpy", "", "1.0")]) == []
    assert needs.missing([("numpy", "", "1000.0")]) == ["numpy>=1000.0"]


def test_a_package_that_is_there_under_another_name_has_its_version() -> None:
    assert needs.missing([("yaml", "", "5")]) == []  # PyYAML brings it
    assert needs.missing([("yaml", "", "1000")]) == ["yaml>=1000"]


def test_an_interpreter_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(OSError, match="no-python"):
        needs.missing_in(Path("/nowhere/no-python"), [], checkout=ROOT)


def test_each_backend_asks_for_its_own_runtime() -> None:
    (found,) = [each for each in BENCHES if each.server == "smart_turn"]
    assert found.backend("random") == found.backend("./folder") == found.backend("v2") == "v2-torch"
    assert found.backend("v3-onnx") == found.backend("/some/where.onnx") == "v3-onnx"
    assert missing([found], "v3-onnx", PYTHON) == []


def test_without_any_package_there_is_one_line_with_all_of_them() -> None:
    done = bench("--device=cpu", flags=("-S",))  # without site-packages: a heavy import at the top would break it
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("missing: aiohttp ") and "torch>=2.11" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no CUDA device is visible here; --device=cpu"),
        (("--device=cuda:1",), "no CUDA device"),
        (("--server=smart_turm",), "those declared are smart_turn"),
        (("--device=cpu", "--python=/nowhere/python"), "/nowhere/python"),
        (("--device=cpu", "--model=/nowhere/x.onnx"), "there is no such file"),
        (("--device=cpu", "--model=v3-onnx", "--set", "windw_ms=[0]"), "did you mean 'window_ms'"),
        (("--device=cpu", "--model=v3-onnx", "--set", "window_ms"), "expected name=value"),
    ],
)
def test_what_cannot_run_is_one_line_and_exit_2(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = bench(*words, out=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_every_declared_file_is_there() -> None:
    assert lookup("no such server") is None
    assert all((ROOT / each.grid).is_file() and (ROOT / each.bare).is_file() for each in BENCHES)


def test_one_interpreter_stands_for_every_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAPBENCH_PYTHON", sys.executable)
    assert envs.interpreter("torch") == envs.interpreter("light") == PYTHON
    assert envs.fingerprint("smart_turn", "torch")["packages"]["numpy"]
