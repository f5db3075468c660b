"""Finds the model's files, fetches them from the hub, and says which they are.

Needs no model runtime and imports no other package's code, but the hub's own client when there is something to fetch.
"""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path

from servers.common import hub
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
        revision = _revision(settings)
        reason = f"{settings.hub_id} at {revision} is neither a folder here nor in the hub's cache {hub.cache()}"
        raise StartupRefused(f"{reason}: hf download {settings.hub_id} --revision {revision}")
    return snapshot


def fetch(settings: Settings) -> None:
    """Downloads what `settings` need from the hub (HF_TOKEN and HF_HOME are honoured), unless it is there.

    Raises StartupRefused when it cannot be had.
    """
    is_folder = "/" in settings.model and Path(settings.model).expanduser().is_dir()
    if settings.hub_id is not None and not is_folder and _cached(settings) is None:
        hub.download(settings.hub_id, _revision(settings), [CONFIG, WEIGHTS])


def identify(settings: Settings) -> ModelIdentity:
    """Which weights `settings` stand for. Reads their file for its hash; raises like `locate` and `locate_v2`."""
    if settings.model == "random":
        return ModelIdentity(model_id="random", revision=f"seed {RANDOM_SEED}", sha256=hub.sha256(PUBLISHED_CONFIG))
    if settings.backend == "v2-torch":
        return _identify_v2(settings)
    path = locate(settings.model)
    shipped = settings.model in ("auto", "v3-onnx")
    revision = f"{path.stem} ({DISTRIBUTION} {metadata.version(DISTRIBUTION)})" if shipped else path.stem
    return ModelIdentity(model_id=MODEL_ID if shipped else path.name, revision=revision, sha256=hub.sha256(path))


def _identify_v2(settings: Settings) -> ModelIdentity:
    folder = locate_v2(settings)
    sha256 = hub.sha256(folder / WEIGHTS)
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
    """The complete snapshot of the hub model in the hub's cache."""
    if settings.hub_id is None:
        return None
    return hub.cached(settings.hub_id, _revision(settings), [CONFIG, WEIGHTS])


def _revision(settings: Settings) -> str:
    return settings.model_revision or hub.DEFAULT_REVISION


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))
