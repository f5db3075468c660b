"""Weights that are here are named with their hash; those of the hub are asked for once, with the user's token."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from servers.smart_turn import weights
from yapbench import catalog
from yapbench.errors import UsageError
from yapbench.verbs import environment, fetch

HUB = """
import json, os, sys
from pathlib import Path
def snapshot_download(model, *, revision, allow_patterns):
    if model == "org/gone":
        raise OSError("404: no such model")
    folder = Path(os.environ["HF_HOME"]) / "hub" / f"models--{model.replace('/', '--')}" / "snapshots" / revision
    folder.mkdir(parents=True)
    for name in allow_patterns:
        (folder / name).write_bytes(b"weights")
    (folder / "config.json").write_text(json.dumps({"token": os.environ.get("HF_TOKEN")}))
"""
MODEL = ["--model=org/model", "--model-revision=abc"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a `huggingface_hub` that a child process imports; .env has token and cache."""
    package = tmp_path / "code" / "huggingface_hub"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(HUB)
    (package / "errors.py").write_text("class HfHubHTTPError(Exception): pass")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path / "envs"))
    for name in fetch.HUB_VARIABLES:  # set and then taken away, so that what a verb adopts is taken away, too
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"HF_TOKEN=hf_$ecret\nHF_HOME={tmp_path}/home\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_in_the_wheel_is_named_with_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.fetch("smart_turn", ["--model=v3-onnx"]) == 0
    said = capsys.readouterr().out
    path = weights.locate("v3-onnx")
    assert str(path) in said and hashlib.sha256(path.read_bytes()).hexdigest() in said


def test_a_server_without_weights_has_nothing_to_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.fetch("echo", []) == 0
    assert "echo has no weights" in capsys.readouterr().out


def test_a_setting_that_the_server_refuses_is_refused_here() -> None:
    with pytest.raises(UsageError, match="did you mean"):
        fetch.fetch("smart_turn", ["--modle=v3-onnx"])


def test_a_model_of_the_hub_is_fetched_once_with_the_users_token(hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fetch.fetch("smart_turn", MODEL) == 0
    folder = hub / "home" / "hub" / "models--org--model" / "snapshots" / "abc"
    assert json.loads((folder / "config.json").read_text()) == {"token": "hf_$ecret"}
    said = capfd.readouterr().out
    assert "org/model is here" in said and "revision abc" in said
    assert hashlib.sha256(b"weights").hexdigest() in said
    assert fetch.fetch("smart_turn", MODEL) == 0  # a second download would fail: its folder is there
    assert "into" not in capfd.readouterr().out


def test_each_server_fetches_the_files_that_it_needs(hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fetch.fetch("fastconformer", MODEL) == 0
    folder = hub / "home" / "hub" / "models--org--model" / "snapshots" / "abc"
    assert {path.name for path in folder.iterdir()} == {"model.nemo", "config.json"}
    assert hashlib.sha256(b"weights").hexdigest() in capfd.readouterr().out


def test_a_model_that_the_hub_does_not_give_is_a_failure_that_says_so(
    hub: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(fetch.FetchFailed, match="org/gone was not fetched"):
        fetch.fetch("smart_turn", ["--model=org/gone"])
    assert "404: no such model" in capfd.readouterr().err


def test_without_the_hubs_package_the_remedy_is_named(hub: Path) -> None:
    (hub / "code" / "sitecustomize.py").write_text("import sys; sys.modules['huggingface_hub'] = None")
    with pytest.raises(UsageError, match="yapbench install smart_turn"):
        fetch.fetch("smart_turn", MODEL)


def test_the_hubs_cache_is_where_its_variables_say(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(hub / "home"))
    assert fetch.hub_folder() == hub / "home" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(hub / "elsewhere"))
    assert fetch.hub_folder() == hub / "elsewhere"


def test_the_environment_wins_over_the_file(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.value_of("HF_TOKEN") == "hf_$ecret"
    monkeypatch.setenv("HF_TOKEN", "mine")
    assert environment.value_of("HF_TOKEN") == "mine"
    assert environment.value_of("NO_SUCH_NAME") == ""


def test_the_servers_own_code_names_its_hub_models() -> None:
    assert "pipecat-ai/smart-turn-v2" in fetch.hub_models(catalog.lookup("smart_turn"))
    assert fetch.hub_models(catalog.lookup("fastconformer")) == [
        "nvidia/stt_en_fastconformer_hybrid_large_streaming_multi"
    ]
    assert fetch.hub_models(catalog.lookup("echo")) == []
