"""Where a NeMo server's model file lies, what it is called, and what is said when it is not there."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servers.common import hub
from servers.common.errors import StartupRefused
from servers.common.settings import BaseServerSettings, load
from tests.servers.clean import clear

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "fastconformer": "stt_en_fastconformer_hybrid_large_streaming_multi.nemo",
    "parakeet": "parakeet-tdt-0.6b-v2.nemo",
}


class Served:
    """A server's settings and weights modules."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.weights: Any = importlib.import_module(f"servers.{name}.weights")
        settings: Any = importlib.import_module(f"servers.{name}.settings")
        self.model_id: str = settings.MODEL_ID
        self.file = FILES[name]
        self.settings: type[BaseServerSettings] = settings.Settings


@pytest.fixture(params=FILES)
def served(request: pytest.FixtureRequest) -> Served:
    return Served(request.param)


@pytest.fixture(autouse=True)
def clean_environment(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear(monkeypatch, served.settings, tmp_path)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def test_a_file_of_one_s_own(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "mine.nemo"
    path.write_bytes(b"weights")
    settings = load(served.settings, [f"--model={path}"])

    identity = served.weights.identify(settings)

    assert served.weights.find(settings) == path
    assert (identity.model_id, identity.revision) == ("mine.nemo", "mine")
    assert identity.sha256 == hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(StartupRefused, match="there is no file"):
        served.weights.find(load(served.settings, [f"--model={tmp_path / 'other.nemo'}"]))


def test_the_hubs_file_is_read_at_the_revision(served: Served, tmp_path: Path) -> None:
    repository = tmp_path / f"hf/hub/models--{served.model_id.replace('/', '--')}"
    blob, snapshot = repository / "blobs" / ("ab" * 32), repository / "snapshots" / "c0ffee"
    for folder in (blob.parent, snapshot, repository / "refs"):
        folder.mkdir(parents=True)
    blob.write_bytes(b"weights")
    (snapshot / served.file).symlink_to(blob)
    (repository / "refs" / "main").write_text("c0ffee")

    for flags in ([], ["--model-revision=c0ffee"]):
        settings = load(served.settings, flags)
        served.weights.fetch(settings)  # it is there: no network is asked
        identity = served.weights.identify(settings)
        assert served.weights.find(settings) == snapshot / served.file
        assert (identity.model_id, identity.revision, identity.sha256) == (served.model_id, "c0ffee", "ab" * 32)


def test_a_model_that_is_not_in_the_cache_names_the_remedy(served: Served) -> None:
    with pytest.raises(StartupRefused, match=f"hf download {served.model_id} --revision v2"):
        served.weights.find(load(served.settings, ["--model-revision=v2"]))


def test_only_a_model_of_the_hub_is_fetched_and_only_its_file(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(hub, "download", lambda *words: asked.append(words))

    for flags in (["--model=tiny"], ["--model=random"], ["--model=mine.nemo"], []):
        served.weights.fetch(load(served.settings, flags))

    assert asked == [(served.model_id, "main", [served.file])]


def test_random_weights_are_known_by_config_and_seed(served: Served) -> None:
    settings = load(served.settings, ["--model=random"])

    identity = served.weights.identify(settings)

    assert served.weights.find(settings) == served.weights.PUBLISHED_CONFIG
    assert (identity.model_id, identity.revision) == ("random", "seed 0")
    assert identity.sha256 == hashlib.sha256(served.weights.PUBLISHED_CONFIG.read_bytes()).hexdigest()


def test_the_tiny_checkpoint_is_known_by_its_bytes(served: Served) -> None:
    settings = load(served.settings, ["--model=tiny"])

    identity = served.weights.identify(settings)

    assert served.weights.find(settings) == served.weights.TINY
    assert (identity.model_id, identity.revision) == ("tiny", "checkpoint")
    assert identity.sha256 == hashlib.sha256(served.weights.TINY.read_bytes()).hexdigest()


def test_finding_it_loads_no_runtime(served: Served) -> None:
    code = (
        f"import sys; from servers.common.settings import load; from servers.{served.name} import settings, weights;"
        "weights.identify(load(settings.Settings, ['--model=random']));"
        "print([name for name in ('torch', 'nemo', 'huggingface_hub') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
