"""A model that is a folder of files: whether it is whole, and which weights they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from servers.common import hub
from servers.common.errors import StartupRefused
from servers.common.interfaces import ModelIdentity


def whole(model: str, folder: Path, lacks: Sequence[str]) -> Path:
    """`folder`, which --model=`model` means; StartupRefused where it `lacks` files."""
    if lacks:
        raise StartupRefused(f"--model={model}: {folder} has no {' and no '.join(lacks)}")
    return folder


def identify(model: str, hub_id: str | None, folder: Path, weights: Sequence[Path]) -> ModelIdentity:
    """Of `tiny`, of a snapshot in the hub's cache, or of a folder of one's own."""
    sha256 = _sha256(weights)
    if model == "tiny":
        return ModelIdentity(model_id="tiny", revision="checkpoint", sha256=sha256)
    if hub_id is not None:
        return ModelIdentity(model_id=hub_id, revision=folder.name, sha256=sha256)
    return ModelIdentity(model_id=folder.resolve().name, revision="folder", sha256=sha256)


def _sha256(files: Sequence[Path]) -> str:
    """Of one file's bytes; of several, of their hashes one after another."""
    hashes = [hub.sha256(path) for path in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
