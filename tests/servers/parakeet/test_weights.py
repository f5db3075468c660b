"""Where the model's file lies, what it is called, and what is said when it is not there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from servers.common import hub
from servers.common.errors import StartupRefused
from servers.common.settings import load
from servers.parakeet import weights
from servers.parakeet.settings import MODEL_ID, Settings

ROOT = Path(__file__).resolve().parents[3]
FILE = "parakeet-tdt-0.6b-v2.nemo"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MODEL_ID", "MODEL_REVISION", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.nemo"
    path.write_bytes(b"weights")
    settings = load(Settings, [f"--model={path}"])

    identity = weights.identify(settings)

    assert weights.find(settings) == path
    assert (identity.model_id, identity.revision) == ("mine.nemo", "mine")
    assert identity.sha256 == hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(StartupRefused, match="there is no file"):
        weights.find(load(Settings, [f"--model={tmp_path / 'other.nemo'}"]))


def test_the_hubs_file_is_read_at_the_revision(tmp_path: Path) -> None:
    repository = tmp_path / f"hf/hub/models--{MODEL_ID.replace('/', '--')}"
    blob, snapshot = repository / "blobs" / ("ab" * 32), repository / "snapshots" / "c0ffee"
    for folder in (blob.parent, snapshot, repository / "refs"):
        folder.mkdir(parents=True)
    blob.write_bytes(b"weights")
    (snapshot / FILE).symlink_to(blob)
    (repository / "refs" / "main").write_text("c0ffee")

    for flags in ([], ["--model-revision=c0ffee"]):
        settings = load(Settings, flags)
        weights.fetch(settings)  # it is there: no network is asked
        identity = weights.identify(settings)
        assert weights.find(settings) == snapshot / FILE
        assert (identity.model_id, identity.revision, identity.sha256) == (MODEL_ID, "c0ffee", "ab" * 32)


def test_a_model_that_is_not_in_the_cache_names_the_remedy() -> None:
    with pytest.raises(StartupRefused, match=f"hf download {MODEL_ID} --revision v2"):
        weights.find(load(Settings, ["--model-revision=v2"]))


def test_only_a_model_of_the_hub_is_fetched_and_only_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(hub, "download", lambda *words: asked.append(words))

    for flags in (["--model=tiny"], ["--model=random"], ["--model=mine.nemo"], []):
        weights.fetch(load(Settings, flags))

    assert asked == [(MODEL_ID, "main", [FILE])]


def test_random_weights_are_known_by_config_and_seed() -> None:
    settings = load(Settings, ["--model=random"])

    identity = weights.identify(settings)

    assert weights.find(settings) == weights.PUBLISHED_CONFIG
    assert (identity.model_id, identity.revision) == ("random", "seed 0")
    assert identity.sha256 == hashlib.sha256(weights.PUBLISHED_CONFIG.read_bytes()).hexdigest()


def test_the_fixture_has_the_published_shape() -> None:
    shape = yaml.safe_load(weights.PUBLISHED_CONFIG.read_text(encoding="utf-8"))

    encoder = shape["encoder"]
    assert (encoder["n_layers"], encoder["d_model"], encoder["n_heads"], encoder["feat_in"]) == (24, 1024, 8, 128)
    assert (encoder["subsampling_factor"], encoder["subsampling_conv_channels"]) == (8, 256)
    assert (shape["decoder"]["prednet"]["pred_rnn_layers"], shape["decoder"]["prednet"]["pred_hidden"]) == (2, 640)
    assert shape["joint"]["jointnet"]["joint_hidden"] == 640
    assert shape["decoding"]["durations"] == shape["loss"]["tdt_kwargs"]["durations"] == [0, 1, 2, 3, 4]
    assert shape["joint"]["num_extra_outputs"] == 5


def test_the_tiny_checkpoint_is_known_by_its_bytes() -> None:
    settings = load(Settings, ["--model=tiny"])

    identity = weights.identify(settings)

    assert weights.find(settings) == weights.TINY
    assert (identity.model_id, identity.revision) == ("tiny", "checkpoint")
    assert identity.sha256 == hashlib.sha256(weights.TINY.read_bytes()).hexdigest()


def test_finding_it_loads_no_runtime() -> None:
    code = (
        "import sys; from servers.common.settings import load; from servers.parakeet import settings, weights;"
        "weights.identify(load(settings.Settings, ['--model=random']));"
        "print([name for name in ('torch', 'nemo', 'huggingface_hub') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
