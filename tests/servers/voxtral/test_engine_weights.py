"""Which weights the settings stand for."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from servers.common.errors import StartupRefused
from servers.voxtral import weights
from servers.voxtral.settings import MODEL_ID, Settings
from tests.servers.voxtral.engine_folder import model_folder


def settings(**knobs: Any) -> Settings:
    return Settings(**{"api_key": "secret", **knobs})


def test_a_folder_is_known_by_its_weights(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    given = settings(model=str(folder))
    identity = weights.identify(given)
    assert weights.find(given) == folder
    assert (identity.model_id, identity.sha256) == ("mine", hashlib.sha256(b"weights").hexdigest())


def test_weights_in_parts(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    (folder / "consolidated.safetensors").rename(folder / "consolidated-00001-of-00002.safetensors")
    (folder / "consolidated-00002-of-00002.safetensors").write_bytes(b"more")
    both = weights.identify(settings(model=str(folder))).sha256
    (folder / "consolidated-00002-of-00002.safetensors").write_bytes(b"other")
    assert len(both) == 64 and both != weights.identify(settings(model=str(folder))).sha256


@pytest.mark.parametrize("name", ["params.json", "tekken.json", "consolidated.safetensors"])
def test_what_a_folder_lacks_is_named(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path / "mine")
    (folder / name).unlink()
    with pytest.raises(StartupRefused, match=f"has no {name}"):
        weights.find(settings(model=str(folder)))


def test_a_hub_model_is_found_in_the_cache_at_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StartupRefused, match=f"hf download {MODEL_ID} --revision main"):
        weights.find(settings())
    repository = tmp_path / f"models--{MODEL_ID.replace('/', '--')}"
    folder = model_folder(repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    weights.fetch(settings())  # is there: nothing to do
    identity = weights.identify(settings())
    assert weights.find(settings()) == folder
    assert (identity.model_id, identity.revision) == (MODEL_ID, "abc")


def test_without_a_client_of_the_hub_here_the_engine_s_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nshift 2; echo "$@"\nexit 1\n')
    python.chmod(0o755)
    with pytest.raises(StartupRefused, match=f"{MODEL_ID} could not be fetched"):
        weights.fetch(settings(engine_python=python, model_revision="v1"))
    assert capfd.readouterr().out.startswith(f"{MODEL_ID} v1 params.json tekken.json consolidated.safetensors")


def test_somebody_else_s_engine_needs_no_weights_here() -> None:
    given = settings(engine_url="ws://127.0.0.1:1/v1/realtime", served_model_name="v")
    weights.fetch(given)
    assert weights.identify(given).model_id == "v"


def test_the_random_model_is_the_published_size() -> None:
    assert weights.find(settings(model="random")) == weights.PUBLISHED_PARAMS
    assert weights.identify(settings(model="random")).model_id == "random"
