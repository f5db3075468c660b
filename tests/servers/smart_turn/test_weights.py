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
    for name in ("MODEL_ID", "MODEL_REVISION", "DEVICE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


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


def checkpoint(folder: Path, content: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / weights.CONFIG).write_text("{}")
    (folder / weights.WEIGHTS).write_bytes(content)
    return folder


def test_a_v2_folder_of_one_s_own(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    settings = load(Settings, [f"--model={folder}"])

    assert weights.find(settings) == weights.locate_v2(settings) == folder
    identity = weights.identify(settings)
    assert (identity.model_id, identity.revision) == ("mine", "folder")
    assert identity.sha256 == hashlib.sha256(b"weights").hexdigest()


def test_a_folder_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    (checkpoint(tmp_path / "mine") / weights.WEIGHTS).unlink()

    with pytest.raises(StartupRefused, match=r"mine has no model\.safetensors"):
        weights.find(load(Settings, [f"--model={tmp_path / 'mine'}"]))


def test_the_hub_s_cache_is_read_at_the_revision(tmp_path: Path) -> None:
    repository = tmp_path / "hf/hub/models--pipecat-ai--smart-turn-v2"
    blob = repository / "blobs" / ("ab" * 32)
    folder = checkpoint(repository / "snapshots" / "c0ffee")
    blob.parent.mkdir()
    (folder / weights.WEIGHTS).rename(blob)
    (folder / weights.WEIGHTS).symlink_to(blob)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee\n")

    for flags in (["--model=v2"], ["--model=v2", "--model-revision=c0ffee"]):
        settings = load(Settings, flags)
        weights.fetch(settings)  # nothing is missing: no network is asked
        identity = weights.identify(settings)
        assert weights.find(settings) == folder
        assert (identity.model_id, identity.revision) == ("pipecat-ai/smart-turn-v2", "c0ffee")
        assert identity.sha256 == "ab" * 32  # the cache's own name of the file
    with pytest.raises(StartupRefused, match="hf download pipecat-ai/smart-turn-v2 --revision other"):
        weights.find(load(Settings, ["--model=v2", "--model-revision=other"]))


def test_random_weights_are_known_by_config_and_seed() -> None:
    settings = load(Settings, ["--model=random"])

    assert weights.find(settings) == weights.PUBLISHED_CONFIG
    assert weights.identify(settings).revision == "seed 0"


def test_the_tiny_checkpoint_is_known_by_its_bytes() -> None:
    settings = load(Settings, ["--model=tiny"])

    identity = weights.identify(settings)

    assert (settings.backend, weights.find(settings)) == ("v2-torch", weights.TINY)
    assert (identity.model_id, identity.revision) == ("tiny", "checkpoint")
    assert identity.sha256 == hashlib.sha256((weights.TINY / weights.WEIGHTS).read_bytes()).hexdigest()
