"""Finds the model's file, fetches it from the hub, and says which it is.

Needs no model runtime, and the hub's own client only when there is something to fetch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from servers.common import hub
from servers.common.errors import StartupRefused
from servers.common.interfaces import ModelIdentity
from servers.fastconformer.settings import Settings

PUBLISHED_CONFIG: Final = Path(__file__).with_name("config_large.yaml")
"""What `random` is built from."""
TINY: Final = Path(__file__).parent / "tiny" / "tiny.nemo"
RANDOM_SEED: Final = 0


def find(settings: Settings) -> Path:
    """The .nemo file that `settings` are served from; for random the config. StartupRefused when it is not there."""
    if settings.model == "random":
        return PUBLISHED_CONFIG
    if settings.hub_id is None:
        path = TINY if settings.model == "tiny" else Path(settings.model).expanduser()
        if not path.is_file():
            raise StartupRefused(f"--model={settings.model}: there is no file {path}")
        return path
    cached = _cached(settings)
    if cached is None:
        revision = _revision(settings)
        reason = f"{settings.hub_id} at {revision} is not in the hub's cache {hub.cache()}"
        raise StartupRefused(f"{reason}: hf download {settings.hub_id} --revision {revision}")
    return cached


def fetch(settings: Settings) -> None:
    """Downloads what `settings` need from the hub (HF_TOKEN and HF_HOME are honoured), unless it is there.

    Raises StartupRefused when it cannot be had.
    """
    if settings.hub_id is not None and _cached(settings) is None:
        hub.download(settings.hub_id, _revision(settings), [_file_of(settings.hub_id)])


def identify(settings: Settings) -> ModelIdentity:
    """Which weights `settings` stand for. Reads their file for its hash; raises like `find`."""
    path = find(settings)
    sha256 = hub.sha256(path)
    if settings.model == "random":
        return ModelIdentity(model_id="random", revision=f"seed {RANDOM_SEED}", sha256=sha256)
    if settings.model == "tiny":
        return ModelIdentity(model_id="tiny", revision="checkpoint", sha256=sha256)
    if settings.hub_id is not None:
        return ModelIdentity(model_id=settings.hub_id, revision=path.parent.name, sha256=sha256)
    return ModelIdentity(model_id=path.name, revision=path.stem, sha256=sha256)


def _cached(settings: Settings) -> Path | None:
    """The hub model's file in the hub's cache."""
    if settings.hub_id is None:
        return None
    name = _file_of(settings.hub_id)
    snapshot = hub.cached(settings.hub_id, _revision(settings), [name])
    return None if snapshot is None else snapshot / name


def _file_of(hub_id: str) -> str:
    """NVIDIA's repositories hold one model file, named like the repository."""
    return f"{hub_id.rpartition('/')[2]}.nemo"


def _revision(settings: Settings) -> str:
    return settings.model_revision or hub.DEFAULT_REVISION
