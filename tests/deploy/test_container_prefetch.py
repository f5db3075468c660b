"""Weights put into an image at build time: fetched with the secret's token, which stays nowhere; then found offline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HUB = """
import os, pathlib
def snapshot_download(model, *, revision, allow_patterns):
    if os.environ.get("HF_TOKEN") != "hf_planted":
        raise OSError("401: who are you?")
    folder = pathlib.Path(os.environ["HF_HUB_CACHE"], f"models--{model.replace('/', '--')}", "snapshots", revision)
    folder.mkdir(parents=True)
    for name in allow_patterns:
        (folder / name).write_bytes(b"weights")
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder like /app, with a hub's client that asks for a token."""
    (tmp_path / "code" / "huggingface_hub").mkdir(parents=True)
    (tmp_path / "code" / "huggingface_hub" / "__init__.py").write_text(HUB)
    (tmp_path / "code" / "huggingface_hub" / "errors.py").write_text("class HfHubHTTPError(Exception): pass")
    app = tmp_path / "app"
    app.mkdir()
    (app / "servers").symlink_to(ROOT / "servers")
    (app / "prefetch.py").write_bytes((ROOT / "deploy" / "container" / "prefetch.py").read_bytes())
    (tmp_path / "token").write_text("hf_planted\n")
    return app


def prefetch(app: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(app.parent / "code"), "HOME": str(app.parent)}
    argv = [sys.executable, str(app / "prefetch.py"), f"--into={app / 'weights'}", *words]
    return subprocess.run(argv, cwd=app, env=environment, capture_output=True, text=True, check=False)


def test_weights_are_fetched_with_the_secrets_token_which_is_not_kept(image: Path) -> None:
    token = f"--token-file={image.parent / 'token'}"
    done = prefetch(image, "--server=smart_turn", "--variant=cuda", token)
    assert done.returncode == 0, done.stderr
    kept = [path for path in (image / "weights").rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {"config.json", "model.safetensors"}
    assert b"hf_planted" not in b"".join(path.read_bytes() for path in kept)
    again = prefetch(image, "--server=smart_turn", "--variant=cuda")  # without a token: nothing is fetched any more
    assert again.returncode == 0, again.stderr


def test_without_the_token_the_build_ends_with_the_hubs_reason(image: Path) -> None:
    done = prefetch(image, "--server=smart_turn", "--variant=cuda", "--token-file=/nowhere")
    assert done.returncode == 1
    assert "pipecat-ai/smart-turn-v2 at main could not be fetched: 401" in done.stderr


def test_flags_choose_the_model_and_wrong_ones_end_the_build(image: Path) -> None:
    assert "model_id='tiny'" in prefetch(image, "--server=kyutai", "--variant=cpu", "--", "--model=tiny").stdout
    done = prefetch(image, "--server=kyutai", "--variant=cpu", "--", "--modell=tiny")
    assert done.returncode == 1
    assert "did you mean --model?" in done.stderr


def test_a_server_without_weights_has_nothing_to_fetch(image: Path) -> None:
    done = prefetch(image, "--server=echo", "--variant=cpu")
    assert (done.returncode, done.stdout) == (0, "echo has no weights\n")
