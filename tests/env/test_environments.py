"""Runs the tests of each environment that is not ours, by that environment's own pytest."""

from __future__ import annotations

import os
import subprocess

import pytest

from yapbench import envs

TORCH = envs.environment("torch")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not TORCH.is_complete(), reason="needs environment torch (yapbench install smart_turn --model=v2)")
def test_the_tests_of_torch_pass_there() -> None:
    command = [str(TORCH.python), "-m", "pytest", "tests/env/torch", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(envs.CHECKOUT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=envs.CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
