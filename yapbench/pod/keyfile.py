"""The key of a server that others can reach: the one that is set, else one that is made once and kept beside its log.

A made key is written to a file that only its owner reads, and shown nowhere.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from servers.common.settings import BaseServerSettings
from yapbench import catalog, keys, probe
from yapbench.catalog import CatalogEntry
from yapbench.verbs import target

FILE = "key.env"
_BYTES = 24


@dataclass(frozen=True)
class Key:
    """How clients of a server get in."""

    variable: str = ""
    """What holds the key; "": none is asked for."""
    path: Path | None = None
    """Where it is written; None: the user has set it."""


def settle(entry: CatalogEntry, flags: Mapping[str, str], folder: Path) -> Key:
    """See to it that a server that asks for a key, or that others can reach, has one; it is in our environment then.

    `folder`: the server's, where a made key is kept.
    """
    settings = catalog.parsed_settings(entry, flags)
    variable = target.key_variable(entry)
    if keys.for_start(settings).given.get(variable):
        return Key(variable)
    if probe.is_loopback(settings.host) and not _is_required(settings, variable):
        return Key()
    path = folder / FILE
    kept = (dotenv_values(path, interpolate=False).get(variable) or "") if path.is_file() else ""
    os.environ[variable] = kept or _write(path, variable)
    return Key(variable, path)


def _is_required(settings: BaseServerSettings, variable: str) -> bool:
    return variable in keys.for_start(settings).made


def _write(path: Path, variable: str) -> str:
    """A new key in a file that is whole or not there, and readable to its owner alone."""
    key = secrets.token_urlsafe(_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"export {variable}={key}\n")
    part.replace(path)
    return key
