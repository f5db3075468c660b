"""Where the model lies, what it is called, and what is said when it is not there."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from servers.common.errors import StartupRefused
from servers.common.settings import load
from servers.smart_turn import weights
from servers.smart_turn.settings import Settings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODEL_ID", raising=False)


def test_auto_is_the_file_in_the_wheel() -> None:
    path = weights.locate("auto")

    assert path == weights.locate("v3-onnx")
    assert path.name.startswith("smart-turn-v3")


def test_its_identity_is_that_of_its_bytes() -> None:
    identity = weights.identify(load(Settings))

    assert identity.sha256 == hashlib.sha256(weights.locate("auto").read_bytes()).hexdigest()
    assert identity.model_id == "pipecat-ai/smart-turn-v3"
    assert "pipecat-ai" in identity.revision


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"weights")

    identity = weights.identify(load(Settings, [f"--model={path}"]))

    assert (identity.model_id, identity.revision) == ("mine.onnx", "mine")
    with pytest.raises(StartupRefused, match="no such file"):
        weights.locate(str(tmp_path / "other.onnx"))


def test_without_the_wheel_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(StartupRefused, match="pip install"):
        weights.locate("auto")


def test_finding_it_loads_neither_pipecat_nor_a_runtime() -> None:
    code = (
        "import sys; from servers.smart_turn import weights; weights.locate('auto');"
        "print([name for name in ('pipecat', 'onnxruntime', 'torch') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
