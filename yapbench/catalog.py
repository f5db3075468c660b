"""Which servers there are, one line each, and what their settings are called.

Reads a server's `settings` module, which imports no model runtime; knows nothing of starting or measuring it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.common.settings import BaseServerSettings, SettingsError, effective, load, table
from yapbench import keys
from yapbench.errors import UsageError


@dataclass(frozen=True)
class CatalogEntry:
    """One server."""

    name: str
    """What the user types."""
    module: str
    """Started as `python -m <module>`."""
    clients: tuple[str, ...]
    """Names in yapbench.clients of those that speak its wires; the first one where none is asked for."""
    environment: str
    """Name of the environment it runs in (envs.py), unless its settings name another."""
    others: tuple[tuple[str, str], ...] = ()
    """Environments its settings may name instead, each with a flag that means it."""
    models: tuple[tuple[str, float], ...] = ()
    """Models that `yapbench doctor` judges, each with about the GB of GPU memory it takes at most; 0: it needs none."""
    beside: tuple[tuple[str, str], ...] = ()
    """Environments that a process of the server's own runs in, each with the server's variable for its Python."""
    ready_timeout_s: float = 120.0
    """From the start to the first answer of /ready, at most."""
    scripted: bool = False
    """It recognises nothing and says what a script tells it (echo_script.py)."""

    @property
    def client(self) -> str:
        """The client where none is asked for."""
        return self.clients[0]


@dataclass(frozen=True)
class DiskNeed:
    """About what an environment takes, in GB."""

    without_gpu: float
    """Measured."""
    with_gpu: float
    """With NVIDIA's packages: a guess."""


# v2: 0.2 GB of bfloat16 weights, 0.5 GB of CUDA itself, and for six clips of 16 s about five copies of the first
# convolution's 51199 x 512 values, 1.6 GB: calculated, not measured on a GPU.
_TURN_MODELS = (("v3-onnx", 0.0), ("v2", 3.0), ("tiny", 1.0))

# 115 M parameters in float32 are 0.5 GB, CUDA itself 0.5, a step of 128 streams and their caches (2.7 MB each) about
# 1: calculated, not measured on a GPU.
_STREAMING_MODELS = (("auto", 3.0), ("tiny", 1.0))

# 618 M parameters in float32 are 2.5 GB, CUDA itself 0.5, a batch of 16 chunks of 30 s about 3: calculated,
# not measured on a GPU.
_OFFLINE_MODELS = (("auto", 6.0), ("tiny", 1.0))

# 1.3 billion parameters in bfloat16 are 2.6 GB with Mimi, CUDA itself 0.5, and each of 64 seats 98 MB of keys and
# values for the language model, 8 for Mimi: calculated, not measured on a GPU.
_KYUTAI_MODELS = (("auto", 11.0), ("tiny", 1.0))

# The model card asks for 16 GB: 4.4 billion parameters in bfloat16 are 8.9 GB, the rest keys and values; vLLM takes as
# much as --vllm-gpu-memory-utilization says. tiny: CUDA itself and vLLM's graphs, a guess.
_VOXTRAL_MODELS = (("auto", 16.0), ("tiny", 2.0))

_ECHO_WIRES = ("echo", "echo_upload", "echo_pcm", "echo_json", "echo_msgpack")

CATALOG = (
    CatalogEntry(
        "smart_turn", "servers.smart_turn", ("smart_turn",), "light", (("torch", "--model=v2"),), _TURN_MODELS
    ),
    CatalogEntry("echo", "servers.echo", _ECHO_WIRES, "light", scripted=True),
    CatalogEntry("fastconformer", "servers.fastconformer", ("fastconformer",), "nemo", (), _STREAMING_MODELS),
    CatalogEntry("parakeet", "servers.parakeet", ("parakeet", "parakeet_upload"), "nemo", (), _OFFLINE_MODELS),
    CatalogEntry("kyutai", "servers.kyutai", ("kyutai", "kyutai_json", "kyutai_marker"), "torch", (), _KYUTAI_MODELS),
    CatalogEntry(
        "voxtral",
        "servers.voxtral",
        ("voxtral", "voxtral_eager"),
        "light",
        (),
        _VOXTRAL_MODELS,
        beside=(("vllm", "VOXTRAL_ENGINE_PYTHON"),),
        ready_timeout_s=960.0,  # its engine may take --engine-start-timeout-s
    ),
)

DISK_GB = {
    "torch": DiskNeed(without_gpu=1.3, with_gpu=8.0),
    "nemo": DiskNeed(without_gpu=2.4, with_gpu=9.0),
    "vllm": DiskNeed(without_gpu=2.4, with_gpu=13.0),
}
"""By environment; the harness's own needs no room of its own."""


def lookup(name: str) -> CatalogEntry:
    """The server called `name`. Raises UsageError with the nearest name."""
    for entry in CATALOG:
        if entry.name == name:
            return entry
    raise UsageError.unknown("server", name, [entry.name for entry in CATALOG])


def settings_class(entry: CatalogEntry) -> type[BaseServerSettings]:
    """The server's Settings: the only declaration of its knobs."""
    found = importlib.import_module(f"{entry.module}.settings").Settings
    if not (isinstance(found, type) and issubclass(found, BaseServerSettings)):
        raise TypeError(f"{entry.module}.settings.Settings is no BaseServerSettings")
    return found


def environment_of(entry: CatalogEntry, settings: Mapping[str, Any]) -> str:
    """Name of the environment the server runs in with `settings`. Raises UsageError as `parsed_settings` does."""
    return str(getattr(parsed_settings(entry, settings), "environment", entry.environment))


def environment_of_flags(entry: CatalogEntry, words: Sequence[str]) -> str:
    """The same for a command line. Raises UsageError for words that the server would refuse."""
    return str(getattr(settings_of_flags(entry, words), "environment", entry.environment))


def settings_of_flags(entry: CatalogEntry, words: Sequence[str]) -> BaseServerSettings:
    """`parsed_settings` of a command line. Raises UsageError for words that the server would refuse."""
    try:
        return load(settings_class(entry), words)
    except SettingsError as error:
        raise UsageError(f"{entry.name}: {error}") from error


def known_parameters(entry: CatalogEntry) -> list[str]:
    """Names a notebook or sweep may set. Secrets are not among them: they travel by environment."""
    return [knob.name for knob in table(settings_class(entry)) if not knob.secret]


def flags(entry: CatalogEntry, settings: Mapping[str, Any]) -> list[str]:
    """`--window-ms=2` for each setting that has a value; None means "the server's default".

    Raises UsageError for a name the server does not know, with the nearest one, and for a secret.
    """
    known = {knob.name: knob for knob in table(settings_class(entry))}
    given = {name: value for name, value in settings.items() if value is not None}
    for name in given:
        if name not in known:
            raise UsageError.unknown(f"setting of {entry.name}", name, [n for n, k in known.items() if not k.secret])
        if known[name].secret:
            variable = known[name].env[0]
            raise UsageError(f"{name} is a secret and no setting: set {variable} in the environment")
    return [f"{known[name].flag}={written(value)}" for name, value in given.items()]


def parsed_settings(entry: CatalogEntry, settings: Mapping[str, Any]) -> BaseServerSettings:
    """The server's Settings as they will be in force, environment and .env included.

    Raises UsageError naming the flag, the value and its limits.
    """
    try:
        return load(settings_class(entry), flags(entry, settings))
    except SettingsError as error:
        raise UsageError(f"{entry.name}: {error}") from error


def effective_settings(entry: CatalogEntry, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`parsed_settings` fit for JSON, secrets masked: what the server will show in /status."""
    return effective(parsed_settings(entry, settings))


def secrets(entry: CatalogEntry) -> dict[str, str]:
    """The server's keys as its environment and .env give them, by variable: what a client must have too."""
    return dict(keys.for_start(parsed_settings(entry, {})).given)


def written(value: object) -> str:
    """A setting's value as it stands on a command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(written(item) for item in value)
    return str(os.fspath(value)) if isinstance(value, os.PathLike) else str(value)
