"""Which weights the settings stand for, where their files lie, and how they are fetched. Needs no model runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from servers.common import checkpoint, hub
from servers.common.interfaces import ModelIdentity
from servers.voxtral.program import run_python
from servers.voxtral.settings import Settings

PARAMS: Final = "params.json"
TEKKEN: Final = "tekken.json"
WEIGHTS: Final = "consolidated.safetensors"
PARTS: Final = "consolidated-*.safetensors"
"""The weights where they are in several files."""
WANTED: Final = (PARAMS, TEKKEN, WEIGHTS, PARTS)

PUBLISHED_PARAMS: Final = Path(__file__).with_name("params_4b.json")
"""What `random` is built from."""
TINY: Final = Path(__file__).parent / "tiny" / "checkpoint"


_DOWNLOAD: Final = """
import sys
from servers.common import hub
hub.download(sys.argv[1], sys.argv[2], sys.argv[3:])
"""


def find(settings: Settings) -> Path:
    """The checkpoint's folder; for random the params. StartupRefused, with the remedy, when it is not there."""
    if settings.model == "random":
        return PUBLISHED_PARAMS
    if settings.hub_id is None:
        folder = TINY if settings.model == "tiny" else Path(settings.model).expanduser()
        return checkpoint.whole(settings.model, folder, _lacks(folder))
    snapshot = _cached(settings)
    if snapshot is None:
        raise hub.not_cached(settings.hub_id, _revision(settings))
    return snapshot


def fetch(settings: Settings) -> None:
    """Downloads the model's files (HF_TOKEN and HF_HOME are honoured) if they are the hub's and not there.

    The hub's client is taken from the engine's environment where ours lacks it. Nothing for an engine that somebody
    else runs. Raises StartupRefused when they cannot be had.
    """
    if settings.engine_url is not None or settings.hub_id is None or _cached(settings) is not None:
        return
    wanted = (settings.hub_id, _revision(settings), *WANTED)
    if importlib.util.find_spec("huggingface_hub") is not None:
        hub.download(wanted[0], wanted[1], WANTED)
    else:
        run_python(settings, ["-c", _DOWNLOAD, *wanted], wish=f"{settings.hub_id} could not be fetched", shown=True)


def identify(settings: Settings) -> ModelIdentity:
    """Which weights they are. Reads their files for their hash; raises like `find`.

    Of an engine that somebody else runs nothing is known but the name it was asked for.
    """
    if settings.engine_url is not None:
        return ModelIdentity(model_id=settings.client_model, revision="", sha256="")
    folder = find(settings)
    if settings.model == "random":
        return ModelIdentity(model_id="random", revision="engine's dummy weights", sha256=hub.sha256(folder))
    return checkpoint.identify(settings.model, settings.hub_id, folder, weight_files(folder))


def _cached(settings: Settings) -> Path | None:
    """The complete snapshot of the hub model in the hub's cache."""
    if settings.hub_id is None:
        return None
    snapshot = hub.cached(settings.hub_id, _revision(settings), [PARAMS])
    return None if snapshot is None or _lacks(snapshot) else snapshot


def _lacks(folder: Path) -> list[str]:
    """What a checkpoint's folder should have and has not."""
    lacks = [name for name in (PARAMS, TEKKEN) if not (folder / name).is_file()]
    return lacks if weight_files(folder) else [*lacks, WEIGHTS]


def weight_files(folder: Path) -> list[Path]:
    """One file, or its parts; [] where there is neither."""
    whole = folder / WEIGHTS
    return [whole] if whole.is_file() else sorted(folder.glob(PARTS))


def _revision(settings: Settings) -> str:
    return settings.model_revision or hub.DEFAULT_REVISION
