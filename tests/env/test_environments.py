"""Runs the tests of each environment that is not ours, by that environment's own pytest."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from yapbench import envs

TORCH = envs.environment("torch")
NEMO = envs.environment("nemo")
needs_torch = pytest.mark.skipif(
    not TORCH.is_complete(), reason="needs environment torch (yapbench install smart_turn --model=v2)"
)
needs_nemo = pytest.mark.skipif(
    not NEMO.is_complete(), reason="needs environment nemo (yapbench install fastconformer)"
)


@dataclass(frozen=True)
class Run:
    """The tests of tests/env/<name> that are so marked, on one core; their output goes to `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, environment: envs.Environment, folder: Path, *, marked: str) -> Run:
        log = folder / f"{environment.name}.log"
        options = ["-m", marked, "-q", "-p", "no:cacheprovider"]
        command = [str(environment.python), "-m", "pytest", f"tests/env/{environment.name}", *options]
        variables = {**os.environ, "PYTHONPATH": str(envs.CHECKOUT), "OMP_NUM_THREADS": "1"}
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=envs.CHECKOUT, env=variables, stdout=output, stderr=output)
        return cls(process, log)

    def check(self) -> None:
        """Waits for its end; they must pass, and what failed is shown."""
        try:
            assert self.process.wait() == 0, self.log.read_text(encoding="utf-8", errors="replace")[-10_000:]
        finally:
            self.stop()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Those of all environments that stand here, side by side: each has a core."""
    folder = tmp_path_factory.mktemp("env")
    found = {one.name: Run.start(one, folder, marked="not soak") for one in (TORCH, NEMO) if one.is_complete()}
    yield found
    for run in found.values():
        run.stop()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@needs_torch
def test_the_tests_of_torch_pass_there(runs: dict[str, Run]) -> None:
    runs[TORCH.name].check()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@needs_nemo
def test_the_tests_of_nemo_pass_there(runs: dict[str, Run]) -> None:
    runs[NEMO.name].check()


@pytest.mark.soak
@needs_torch
def test_the_longer_tests_of_torch_pass_there(tmp_path: Path) -> None:
    Run.start(TORCH, tmp_path, marked="soak").check()


@pytest.mark.soak
@needs_nemo
def test_the_longer_tests_of_nemo_pass_there(tmp_path: Path) -> None:
    Run.start(NEMO, tmp_path, marked="soak").check()
