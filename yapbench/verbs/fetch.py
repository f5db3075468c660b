"""The verb `fetch`: a server's weights, before it is started. Says where they lie and what they hash to.

The server's own `weights.fetch` does it, in a process of the first interpreter that has huggingface_hub (ours, then
the server's): that shows progress, and goes on where it was when the same command is run again. HF_TOKEN and HF_HOME
count, from the environment or .env.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from servers.common.errors import StartupRefused
from servers.common.settings import BaseServerSettings
from yapbench import catalog, envs, service
from yapbench.catalog import CatalogEntry
from yapbench.errors import ExitCode, UsageError, YapbenchError
from yapbench.trial import CHECKOUT
from yapbench.verbs import environment

HUB_VARIABLES: Final = ("HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT")
"""What the hub's client reads; a server that fetches by itself reads them, too."""

_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_NO_HUB: Final = 3
_SCRIPT: Final = f"""
import importlib, sys
from servers.common.errors import StartupRefused
from servers.common.settings import load
module, *flags = sys.argv[1:]
settings = load(importlib.import_module(module + ".settings").Settings, flags)
try:
    importlib.import_module(module + ".weights").fetch(settings)
except StartupRefused as refused:
    sys.exit(str(refused))
except ModuleNotFoundError as missing:
    sys.exit({_NO_HUB} if missing.name == "huggingface_hub" else str(missing))
"""


class FetchFailed(YapbenchError):
    """The hub did not give the weights; what it said stands above."""

    exit_code = ExitCode.SERVER_FAILED


def fetch(name: str, words: Sequence[str]) -> int:
    """Get the weights that `words`, the server's flags, stand for, unless they are here already.

    Raises UsageError when nothing can be fetched, with what to do; FetchFailed when the hub failed.
    """
    environment.adopt(HUB_VARIABLES)
    entry = catalog.lookup(name)
    flags = service.flag_values(words)
    settings = catalog.parsed_settings(entry, flags)
    weights = weights_of(entry)
    if weights is None:
        print(f"{name} has no weights: nothing to fetch")
        return ExitCode.OK
    hub_id = getattr(settings, "hub_id", None)
    try:
        identity = weights.identify(settings)
    except StartupRefused as refused:
        if hub_id is None:
            raise UsageError(str(refused)) from refused
        download(entry, hub_id, flags)
        identity = weights.identify(settings)
    print(f"{identity.model_id} is here: {_place(weights, settings, hub_id)}")
    print(f"revision {identity.revision}\nsha256   {identity.sha256}")
    return ExitCode.OK


def download(entry: CatalogEntry, hub_id: str, flags: Mapping[str, str]) -> None:
    """Fetch a model from the hub into its cache. Raises UsageError without huggingface_hub, FetchFailed."""
    print(f"{hub_id} into {hub_folder()} ...", flush=True)
    wanted = catalog.environment_of(entry, flags)
    # A server whose own environment has no client of the hub may take it from one beside.
    variables = os.environ | envs.interpreters_beside(entry, catalog.parsed_settings(entry, flags))
    for python in _interpreters(wanted):
        words = [str(python), "-c", _SCRIPT, entry.module, *catalog.flags(entry, flags)]
        paths = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(words, env=variables | {"PYTHONPATH": paths}, check=False)
        if done.returncode == 0:
            return
        if done.returncode != _NO_HUB:
            raise FetchFailed(f"{hub_id} was not fetched; the same command goes on where it was")
    remedy = "pip install huggingface_hub" if wanted == envs.LIGHT else f"yapbench install {entry.name}"
    flag = dict(entry.others).get(wanted, "")
    raise UsageError(
        f"{hub_id} comes from the hub, and no huggingface_hub is installed: `{f'{remedy} {flag}'.strip()}`"
    )


def weights_of(entry: CatalogEntry) -> ModuleType | None:
    """The server's `weights` module, which needs no model runtime; None for a server without weights."""
    try:
        return importlib.import_module(f"{entry.module}.weights")
    except ModuleNotFoundError:
        return None


def hub_models(entry: CatalogEntry) -> list[str]:
    """Every hub model that the server's own code names, by its constants called ...MODEL_ID."""
    modules = [importlib.import_module(f"{entry.module}.settings"), weights_of(entry)]
    named = {
        value
        for module in modules
        for constant, value in vars(module or object).items()
        if constant.endswith("MODEL_ID") and isinstance(value, str) and _HUB_NAME.fullmatch(value)
    }
    return sorted(named)


def hub_folder() -> Path:
    """Where the hub's files are cached: HF_HUB_CACHE, else hub/ in HF_HOME."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()


def hub_model_folder(hub_id: str) -> Path:
    """Where the files of one model lie, in all their revisions."""
    return hub_folder() / f"models--{hub_id.replace('/', '--')}"


def _place(weights: ModuleType, settings: BaseServerSettings, hub_id: str | None) -> Path | str:
    if hub_id is not None and hub_model_folder(hub_id).is_dir():
        return hub_model_folder(hub_id)
    found: Path = weights.find(settings)
    return found


def _interpreters(wanted: str) -> list[Path]:
    """Ours, and that of the environment which the server will run in."""
    complete = wanted != envs.LIGHT and envs.environment(wanted).is_complete()
    return [Path(sys.executable), *([envs.interpreter(wanted)] if complete else [])]
