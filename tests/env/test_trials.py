"""A trial of a compiled model, run by the harness: it waits for the compiler, and keeps how that ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yapbench import envs
from yapbench.obtained import setting_of
from yapbench.runner import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not envs.environment("torch").is_complete(),
        reason="needs environment torch (yapbench install smart_turn --model=v2)",
    ),
]
COMPILED = {"model": "tiny", "torch_compile": True, "batch_buckets": "1", "max_secs": 1}
SMALL = {"concurrency": "2", "requests": 6, "warmup": 1}


def measured(folder: Path) -> dict[str, Any]:
    with Run.from_parameters("smart_turn", "10_smart_turn", {**COMPILED, **SMALL, "out_dir": str(folder)}) as run:
        run.start()
        run.measure()
        return run.data().info


@pytest.mark.soak
def test_load_begins_when_the_model_is_compiled(tmp_path: Path) -> None:
    info = measured(tmp_path / "trial")

    facts = info["obtained"]["compile"]
    assert (info["status"], facts["state"], facts["shapes_ready"]) == ("done", "ready", facts["shapes"])
    assert facts["seconds"] > 0
    assert setting_of(info)["engine"] == "tiny float32, compiled"


def test_a_failed_compile_is_a_result_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "/bin/false")

    info = measured(tmp_path / "trial")

    facts = info["obtained"]["compile"]
    assert (info["status"], facts["state"], facts["shapes_ready"]) == ("done", "failed", 0)
    assert facts["error"]
    assert setting_of(info)["engine"] == "tiny float32, compile failed"
