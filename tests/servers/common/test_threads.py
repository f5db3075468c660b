"""The shared plumbing is light: importing it loads no model runtime, and BLAS is pinned before numpy comes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def imported_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["servers.common.serve", "servers.common.audio", "servers.echo.app"])
def test_no_model_runtime_is_loaded(module: str) -> None:
    assert not imported_by(module) & {"torch", "onnxruntime", "transformers", "nemo", "yapbench"}


@pytest.mark.parametrize("module", ["servers.echo.__main__", "servers.common.serve", "servers.echo.settings"])
def test_numpy_is_not_loaded_before_blas_is_pinned(module: str) -> None:
    assert "numpy" not in imported_by(module)


def test_blas_is_pinned_unless_the_environment_says_otherwise() -> None:
    code = "import os; from servers.common.threads import *; pin_blas_threads(); print(*map(os.getenv, BLAS_VARIABLES))"
    environ = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert done.stdout.split() == ["1", "3", "1"]
