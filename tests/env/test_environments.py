"""Runs the tests of each environment that is not ours, by that environment's own pytest."""

from __future__ import annotations

import os
import subprocess

import pytest

from yapbench import envs

TORCH = envs.environment("torch")
NEMO = envs.environment("nemo")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not TORCH.is_complete(), reason="needs environment torch (yapbench install smart_turn --model=v2)")
def test_the_tests_of_torch_pass_there() -> None:
    run_there(TORCH)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not NEMO.is_complete(), reason="needs environment nemo (yapbench install fastconformer)")
def test_the_tests_of_nemo_pass_there() -> None:
    run_there(NEMO)


@pytest.mark.soak
@pytest.mark.skipif(not TORCH.is_complete(), reason="needs environment torch (yapbench install smart_turn --model=v2)")
def test_the_longer_tests_of_torch_pass_there() -> None:
    run_there(TORCH, marked="soak")


@pytest.mark.soak
@pytest.mark.skipif(not NEMO.is_complete(), reason="needs environment nemo (yapbench install fastconformer)")
def test_the_longer_tests_of_nemo_pass_there() -> None:
    run_there(NEMO, marked="soak")


def run_there(environment: envs.Environment, *, marked: str = "not soak") -> None:
    """The tests of tests/env/<name> that are so marked, which must pass; what failed is shown."""
    options = ["-m", marked, "-q", "-p", "no:cacheprovider"]
    command = [str(environment.python), "-m", "pytest", f"tests/env/{environment.name}", *options]
    variables = {**os.environ, "PYTHONPATH": str(envs.CHECKOUT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=envs.CHECKOUT, env=variables, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
