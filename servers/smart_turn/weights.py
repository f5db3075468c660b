"""Finds the model's files, fetches them from the hub, and says which they are.

Needs no model runtime and imports no other package's code, but the hub's own client when there is something to fetch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from importlib import metadata
from pathlib import Path

from servers.common.errors import StartupRefused
from servers.common.interfaces import ModelIdentity
from servers.smart_turn.settings import Settings

MODEL_ID = "pipecat-ai/smart-turn-v3"
DISTRIBUTION = "pipecat-ai"
FOLDER = Path("audio/turn/smart_turn/data")
PATTERN = "smart-turn-v3*-cpu.onnx"
INSTALL = "pip install --no-deps -c constraints.txt pipecat-ai"

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""The files of a v2 checkpoint."""

PUBLISHED_CONFIG = Path(__file__).with_name("config_v2.json")
TINY = Path(__file__).parent / "tiny" / "checkpoint"
RANDOM_SEED = 0
DEFAULT_REVISION = "main"


def locate(model: str) -> Path:
    """The v3 file of `auto`, `v3-onnx` or a path; StartupRefused, with the remedy, when it is not there."""
    if model not in ("auto", "v3-onnx"):
        path = Path(model).expanduser()
        if not path.is_file():
            raise StartupRefused(f"--model={model}: there is no such file")
        return path
    # Asking for the parent's spec does not run the package: its imports take seconds and are not wanted here.
    spec = importlib.util.find_spec("pipecat")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for place in places for path in (Path(place) / FOLDER).glob(PATTERN)]
    if not found:
        reason = f"the Smart Turn v3 model lies in the {DISTRIBUTION} wheel, which is not installed here"
        raise StartupRefused(f"{reason}: {INSTALL}")
    return max(found, key=lambda path: _version(path.name))


def find(settings: Settings) -> Path:
    """What `settings` are served from: a v3 file, a v2 folder, for random the config. Raises StartupRefused."""
    if settings.model == "random":
        return PUBLISHED_CONFIG
    return locate(settings.model) if settings.backend == "v3-onnx" else locate_v2(settings)


def locate_v2(settings: Settings) -> Path:
    """The folder of a v2 checkpoint: tiny, a folder, or the hub's cache. StartupRefused when it is not there."""
    if settings.model == "tiny":
        return _checkpoint(TINY, settings)
    folder = Path(settings.model).expanduser()
    if "/" in settings.model and (folder.is_dir() or settings.hub_id is None):
        return _checkpoint(folder, settings)
    snapshot = _cached(settings)
    if snapshot is None:
        revision = settings.model_revision or DEFAULT_REVISION
        reason = f"{settings.hub_id} at {revision} is neither a folder here nor in the hub's cache {_hub_cache()}"
        raise StartupRefused(f"{reason}: hf download {settings.hub_id} --revision {revision}")
    return snapshot


def fetch(settings: Settings) -> None:
    """Downloads what `settings` need from the hub (HF_TOKEN and HF_HOME are honoured), unless it is there.

    Raises StartupRefused when it cannot be had.
    """
    is_folder = "/" in settings.model and Path(settings.model).expanduser().is_dir()
    if settings.hub_id is None or is_folder or _cached(settings) is not None:
        return
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    revision = settings.model_revision or DEFAULT_REVISION
    try:
        snapshot_download(settings.hub_id, revision=revision, allow_patterns=[CONFIG, WEIGHTS])
    except (OSError, HfHubHTTPError) as error:
        reason = " ".join(str(error).split())[:300]
        raise StartupRefused(f"{settings.hub_id} at {revision} could not be fetched: {reason}") from error


def identify(settings: Settings) -> ModelIdentity:
    """Which weights `settings` stand for. Reads their file for its hash; raises like `locate` and `locate_v2`."""
    if settings.model == "random":
        return ModelIdentity(model_id="random", revision=f"seed {RANDOM_SEED}", sha256=_sha256(PUBLISHED_CONFIG))
    if settings.backend == "v2-torch":
        return _identify_v2(settings)
    path = locate(settings.model)
    shipped = settings.model in ("auto", "v3-onnx")
    revision = f"{path.stem} ({DISTRIBUTION} {metadata.version(DISTRIBUTION)})" if shipped else path.stem
    return ModelIdentity(model_id=MODEL_ID if shipped else path.name, revision=revision, sha256=_sha256(path))


def _identify_v2(settings: Settings) -> ModelIdentity:
    folder = locate_v2(settings)
    sha256 = _sha256(folder / WEIGHTS)
    if settings.model == "tiny":
        return ModelIdentity(model_id="tiny", revision="checkpoint", sha256=sha256)
    if folder == _cached(settings):
        return ModelIdentity(model_id=settings.hub_id or "", revision=folder.name, sha256=sha256)
    return ModelIdentity(model_id=folder.resolve().name, revision="folder", sha256=sha256)


def _checkpoint(folder: Path, settings: Settings) -> Path:
    lacks = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if lacks:
        raise StartupRefused(f"--model={settings.model}: {folder} has no {' and no '.join(lacks)}")
    return folder


def _cached(settings: Settings) -> Path | None:
    """The complete snapshot of the hub model in the hub's cache, found without the hub's code."""
    if settings.hub_id is None:
        return None
    revision = settings.model_revision or DEFAULT_REVISION
    repository = _hub_cache() / f"models--{settings.hub_id.replace('/', '--')}"
    reference = repository / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    snapshot = repository / "snapshots" / commit
    return snapshot if all((snapshot / name).is_file() for name in (CONFIG, WEIGHTS)) else None


def _hub_cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or home) / "hub"
    return Path(hub).expanduser()


def _sha256(path: Path) -> str:
    # The hub's cache names a large file by its hash; 380 MB need not be read again.
    if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", path.resolve().name):
        return path.resolve().name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))
