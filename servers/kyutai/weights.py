"""Which weights the settings stand for, where their files lie, and how they are fetched. Needs no model runtime.

Kyutai publishes each model several times; served is the one in transformers' layout (`-trfs`). The heads behind `prs`
are not in it: they are taken from its twin in candle's layout where that is in the hub's cache.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from servers.common import checkpoint, hub
from servers.common.errors import StartupRefused
from servers.common.interfaces import ModelIdentity
from servers.kyutai.settings import Settings

CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
PREPROCESSOR: Final = "preprocessor_config.json"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
"""Beside weights in several files: which tensor is in which."""
HEADS: Final = "pause_heads.safetensors"
"""Ours: one tensor, HEADS_KEY, of shape (heads, classes, d_model)."""
HEADS_KEY: Final = "weight"
WANTED: Final = (
    CONFIG,
    "generation_config.json",
    PREPROCESSOR,
    TOKENIZER,
    WEIGHTS,
    INDEX,
    "model-*.safetensors",
    HEADS,
)

PUBLISHED_CONFIG: Final = Path(__file__).with_name("config_1b.json")
"""What `random` is built from."""
TINY: Final = Path(__file__).parent / "tiny" / "checkpoint"
RANDOM_SEED: Final = 0


def find(settings: Settings) -> Path:
    """The checkpoint's folder; for random the config. StartupRefused, with the remedy, when it is not there."""
    if settings.model == "random":
        return PUBLISHED_CONFIG
    if settings.hub_id is None:
        folder = TINY if settings.model == "tiny" else Path(settings.model).expanduser()
        return checkpoint.whole(settings.model, folder, _lacks(folder))
    snapshot = _cached(settings)
    if snapshot is None:
        raise hub.not_cached(twin(settings.hub_id, "-trfs"), _revision(settings))
    return snapshot


def find_heads(settings: Settings) -> Path | None:
    """The file that may hold pause heads: of the checkpoint's own folder, else its candle twin in the hub's cache."""
    if settings.pause_heads == "off" or settings.model == "random":
        return None
    if (own := find(settings) / HEADS).is_file():
        return own
    if settings.hub_id is None:
        return None
    snapshot = hub.cached(twin(settings.hub_id, "-candle"), hub.DEFAULT_REVISION, [WEIGHTS])
    return None if snapshot is None else snapshot / WEIGHTS


def fetch(settings: Settings) -> None:
    """Downloads the model's files (HF_TOKEN and HF_HOME are honoured) if they are the hub's and not there.

    Raises StartupRefused when they cannot be had.
    """
    if settings.hub_id is not None and _cached(settings) is None:
        hub.download(twin(settings.hub_id, "-trfs"), _revision(settings), WANTED)


def identify(settings: Settings) -> ModelIdentity:
    """Which weights they are. Reads their files for their hash; raises like `find`."""
    folder = find(settings)
    if settings.model == "random":
        return ModelIdentity(model_id="random", revision=f"seed {RANDOM_SEED}", sha256=hub.sha256(folder))
    return checkpoint.identify(settings.model, settings.hub_id, folder, weight_files(folder))


def twin(hub_id: str, layout: str) -> str:
    """Kyutai's repository with the same model in another layout; of others, who publish it once, the same."""
    if not hub_id.startswith("kyutai/"):
        return hub_id
    for ending in ("-trfs", "-candle", "-mlx"):
        hub_id = hub_id.removesuffix(ending)
    return hub_id + layout


def _cached(settings: Settings) -> Path | None:
    """The complete snapshot of the hub model in the hub's cache."""
    if settings.hub_id is None:
        return None
    snapshot = hub.cached(twin(settings.hub_id, "-trfs"), _revision(settings), [CONFIG])
    return None if snapshot is None or _lacks(snapshot) else snapshot


def _lacks(folder: Path) -> list[str]:
    """What a checkpoint's folder should have and has not."""
    lacks = [name for name in (CONFIG, TOKENIZER) if not (folder / name).is_file()]
    return lacks + [path.name for path in weight_files(folder) if not path.is_file()]


def weight_files(folder: Path) -> list[Path]:
    """One file, or those that the index names."""
    index = folder / INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return [folder / WEIGHTS]
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise StartupRefused(f"{index} does not say which files there are: {error!r}") from error
    return [folder / name for name in sorted(names)]


def _revision(settings: Settings) -> str:
    return settings.model_revision or hub.DEFAULT_REVISION
