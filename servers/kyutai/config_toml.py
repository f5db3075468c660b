"""A moshi-server TOML as settings: what of it counts here, and what would have no effect.

The file's shape: https://github.com/kyutai-labs/moshi, rust/moshi-server (configs of delayed-streams-modeling).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from servers.common.settings import SettingsError

MODULE_TYPES: Final = ("BatchedAsr", "PyBatchedAsr", "Asr", "PyAsr")
PATH: Final = "/api/asr-streaming"
DEFAULT_KEY: Final = "public_token"
KNOBS: Final = {
    "batch_size": "seats",
    "asr_delay_in_tokens": "delay_tokens",
    "temperature": "temperature",
    "model.audio_codebooks": "codebooks",
}
"""Names in `[modules.NAME]` and the setting each stands for."""
KEYS: Final = {field: key for key, field in KNOBS.items()}
SHAPE: Final = {
    "model.text_out_vocab_size": "text_vocabulary",
    "model.transformer.d_model": "d_model",
    "model.transformer.num_heads": "heads",
    "model.transformer.num_layers": "layers",
    "model.transformer.context": "window",
    "model.extra_heads.num_heads": "pause_heads",
}
"""What the model tables say of the weights: compared with what was loaded, as a typo there means another model."""
SILENT: Final = (
    "type",
    "path",
    "lm_model_file",
    "text_tokenizer_file",
    "audio_tokenizer_file",
    "conditioning_learnt_padding",
)
"""Read, or true of every model here: not worth a warning."""


@dataclass(frozen=True, slots=True)
class Toml:
    """One file, read."""

    settings: Mapping[str, Any]
    """By field name of Settings; `api_keys` are `authorized_ids` but the one that everybody knows."""
    shape: Mapping[str, int]
    """What its model tables say, by the names of SHAPE's values."""
    without_effect: tuple[str, ...]
    """Dotted names that nothing here reads."""


def read(path: Path) -> Toml:
    """Raises SettingsError that names the file, the table and what is wrong."""
    try:
        with path.expanduser().open("rb") as file:
            tables = tomllib.load(file)
    except (OSError, ValueError) as error:  # ValueError: no TOML, or no text at all
        raise SettingsError(f"--config={path} (KYUTAI_CONFIG): {error}") from error
    except RecursionError:
        raise SettingsError(f"--config={path} (KYUTAI_CONFIG): nested too deeply") from None
    name, module = _module(tables, path)
    flat = _flat(module)
    settings = {field: flat[key] for key, field in KNOBS.items() if key in flat}
    settings |= _model(flat)
    if keys := [str(key) for key in _list(tables, "authorized_ids", path) if key != DEFAULT_KEY]:
        settings["api_keys"] = ",".join(keys)
    known = {*KNOBS, *SHAPE, *SILENT}
    idle = [f"modules.{name}.{key}" for key in flat if key not in known]
    idle += [key for key in tables if key not in ("modules", "authorized_ids")]
    shape = {SHAPE[key]: value for key, value in flat.items() if key in SHAPE}
    for key, value in flat.items():
        if key in SHAPE and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise SettingsError(f"--config={path}: modules.{name}.{key} must be a whole number, not {value!r}")
    return Toml(settings, shape, tuple(sorted(idle)))


def _module(tables: Mapping[str, Any], path: Path) -> tuple[str, Mapping[str, Any]]:
    """The one speech-to-text module of the file."""
    modules = tables.get("modules")
    found = {
        name: module
        for name, module in (modules.items() if isinstance(modules, dict) else ())
        if isinstance(module, dict) and module.get("type") in MODULE_TYPES
    }
    if len(found) != 1:
        types = " or ".join(MODULE_TYPES)
        raise SettingsError(f"--config={path}: it must have one [modules.NAME] of type {types}, not {len(found)}")
    ((name, module),) = found.items()
    if module.get("path", PATH) != PATH:
        raise SettingsError(f"--config={path}: modules.{name}.path is {module['path']!r}; this server has {PATH}")
    return name, module


def _model(flat: Mapping[str, Any]) -> dict[str, str]:
    """The hub's repository that the weights are named by: `hf://kyutai/stt-1b-en_fr-candle/model.safetensors`."""
    file = str(flat.get("lm_model_file", ""))
    if not file.startswith("hf://"):
        return {}
    owner, _, rest = file.removeprefix("hf://").partition("/")
    repository = rest.partition("/")[0]
    for twin in ("-candle", "-trfs", "-mlx"):
        repository = repository.removesuffix(twin)
    return {"model": f"{owner}/{repository}"}


def _flat(table: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{head}{key}.")
        else:
            found[f"{head}{key}"] = value
    return found


def _list(tables: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    value = tables.get(key, [])
    if not isinstance(value, list):
        raise SettingsError(f"--config={path}: {key} must be a list, not {value!r}")
    return value
