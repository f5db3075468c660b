"""Which files Kyutai's settings stand for, found and fetched without a model runtime."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from servers.common import hub
from servers.common.errors import StartupRefused
from servers.common.settings import load
from servers.kyutai import weights
from servers.kyutai.settings import Settings

COMMIT = "c0ffee0123456789"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def settings_of(*flags: str) -> Settings:
    return load(Settings, ["--device=cpu", *flags])


def in_cache(cache: Path, repository: str, *names: str) -> Path:
    """A snapshot that the main branch points to, each file with its name in it."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMIT
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    snapshot.mkdir(parents=True)
    for name in names:
        (snapshot / name).write_text(name)
    return snapshot


def in_folder(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text(name)
    return folder


ONE_FILE = (weights.CONFIG, weights.TOKENIZER, weights.WEIGHTS)


@pytest.mark.parametrize("named", ["kyutai/stt-1b-en_fr", "kyutai/stt-1b-en_fr-trfs", "kyutai/stt-1b-en_fr-candle"])
def test_kyutais_models_are_their_twins_in_transformers_layout(cache: Path, named: str) -> None:
    snapshot = in_cache(cache, "kyutai/stt-1b-en_fr-trfs", *ONE_FILE)
    settings = settings_of(f"--model={named}")

    assert weights.find(settings) == snapshot
    identity = weights.identify(settings)
    assert (identity.model_id, identity.revision) == (named, COMMIT)
    assert identity.sha256 == hashlib.sha256(weights.WEIGHTS.encode()).hexdigest()


def test_the_default_model_and_one_of_another_owner() -> None:
    assert weights.twin(settings_of().hub_id or "", "-trfs") == "kyutai/stt-1b-en_fr-trfs"
    assert weights.twin("someone/stt-polish", "-trfs") == "someone/stt-polish"


def test_weights_in_several_files(cache: Path) -> None:
    names = ("model-1-of-2.safetensors", "model-2-of-2.safetensors")
    snapshot = in_cache(cache, "kyutai/stt-2.6b-en-trfs", weights.CONFIG, weights.TOKENIZER, names[0])
    (snapshot / weights.INDEX).write_text(json.dumps({"weight_map": dict(zip("abc", (*names, names[0]), strict=True))}))
    settings = settings_of("--model=kyutai/stt-2.6b-en")
    with pytest.raises(StartupRefused, match=r"hf download kyutai/stt-2\.6b-en-trfs --revision main"):
        weights.find(settings)
    (snapshot / names[1]).write_text(names[1])

    each = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    assert weights.find(settings) == snapshot
    assert weights.identify(settings).sha256 == hashlib.sha256("".join(each).encode()).hexdigest()


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    settings = settings_of(f"--model={in_folder(tmp_path, weights.CONFIG)}")
    with pytest.raises(StartupRefused, match=r"has no tokenizer\.json and no model\.safetensors"):
        weights.find(settings)
    in_folder(tmp_path, *ONE_FILE)
    assert weights.find(settings) == tmp_path
    assert weights.identify(settings).model_id == tmp_path.name


def test_an_index_that_says_nothing_is_named(tmp_path: Path) -> None:
    in_folder(tmp_path, weights.CONFIG, weights.TOKENIZER, weights.INDEX)
    with pytest.raises(StartupRefused, match=weights.INDEX):
        weights.find(settings_of(f"--model={tmp_path}"))


def test_only_what_is_not_there_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[tuple[object, ...]] = []
    monkeypatch.setattr(hub, "download", lambda *given: fetched.append(given))
    settings = settings_of("--model-revision=v1")
    for words in ("--model=tiny", "--model=random"):
        weights.fetch(settings_of(words))

    weights.fetch(settings)
    in_cache(cache, "kyutai/stt-1b-en_fr-trfs", *ONE_FILE)
    weights.fetch(settings_of())

    assert fetched == [("kyutai/stt-1b-en_fr-trfs", "v1", weights.WANTED)]


def test_pause_heads_of_the_own_folder_or_of_the_candle_twin(cache: Path) -> None:
    snapshot = in_cache(cache, "kyutai/stt-1b-en_fr-trfs", *ONE_FILE)
    assert weights.find_heads(settings_of()) is None
    candle = in_cache(cache, "kyutai/stt-1b-en_fr-candle", weights.WEIGHTS)
    assert weights.find_heads(settings_of()) == candle / weights.WEIGHTS
    in_folder(snapshot, weights.HEADS)
    assert weights.find_heads(settings_of()) == snapshot / weights.HEADS
    assert weights.find_heads(settings_of("--pause-heads=off")) is None


def test_random_is_of_the_published_size() -> None:
    settings = settings_of("--model=random")
    shape = json.loads(weights.find(settings).read_text(encoding="utf-8"))

    assert weights.identify(settings).revision == "seed 0"
    assert (shape["num_hidden_layers"], shape["hidden_size"], shape["num_attention_heads"]) == (16, 2048, 16)
    assert (shape["vocab_size"], shape["num_codebooks"], shape["sliding_window"]) == (8001, 32, 750)
    rows = shape["vocab_size"] + shape["num_codebooks"] * shape["codebook_vocab_size"] + 1
    layer = 4 * 2048**2 + 2048 * shape["ffn_dim"] * 3 // 2
    assert 0.97e9 < 16 * layer + rows * 2048 < 0.98e9
